#!/bin/sh
# Puts the wheels that the image needs into a directory, for an image build without network.
#
#   tests/real/wheels.sh [PYTHON_VERSION] [DIRECTORY]        (3.12 and dist/wheels)
#
# PYTHON_VERSION is the one inside the image. The wheels are chosen for the CPU and the libc of this machine. PYTHON
# names the interpreter whose pip is used (python3).
set -eu

cd "$(dirname "$0")/../.."
version=${1:-3.12}
directory=${2:-dist/wheels}
python=${PYTHON:-python3}

mkdir -p "$directory"
# The second lock is what the project's own wheel is built with.
for lock in runtime build; do
    "$python" -m pip download --quiet --only-binary=:all: --python-version "$version" --dest "$directory" \
        --require-hashes --no-deps --requirement "requirements/$lock.lock"
done
echo "wheels for Python $version are in $directory"
