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

download() {
    "$python" -m pip download --quiet --only-binary=:all: --python-version "$version" --dest "$directory" "$@"
}

# What the project's own wheel is built with: pip looks for it in the same directory.
build_requires=$("$python" -c '
import pathlib, tomllib
print(*tomllib.loads(pathlib.Path("pyproject.toml").read_text())["build-system"]["requires"], sep="\n")
')

mkdir -p "$directory"
download --require-hashes --no-deps --requirement requirements/runtime.lock
# shellcheck disable=SC2086 # one word for each requirement
download $build_requires
echo "wheels for Python $version are in $directory"
