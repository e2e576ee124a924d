#!/bin/sh
# Installs what the tests in this directory need, on Debian: the Docker engine and its command, Compose, and
# mmdebstrap and busybox, of which they make base images where none can be pulled. Installs only what is missing, asks
# nothing, and ends with 0 only when everything is there.
set -u

have() {
    command -v "$1" > /dev/null 2>&1
}

have_engine() {
    have docker && { have dockerd || docker version > /dev/null 2>&1; }
}

have_compose() {
    have docker-compose || docker compose version > /dev/null 2>&1
}

missing() {
    have_engine || echo docker.io
    have_compose || echo docker-compose
    have mmdebstrap || echo mmdebstrap
    have busybox || echo busybox-static
}

fail() {
    echo "install-docker.sh: $1; still missing: $(missing | tr '\n' ' ')" >&2
    exit 1
}

packages=$(missing)
[ -z "$packages" ] && exit 0

have apt-get || fail "there is no apt-get: install Docker and Compose by hand"
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif have sudo && sudo -n true 2> /dev/null; then
    as_root="sudo -n"
else
    fail "only root can install packages, and sudo wants a password"
fi

# Lists that can not be renewed may still be good enough.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update \
    || echo "install-docker.sh: apt-get update failed; going on with the lists there are" >&2
# shellcheck disable=SC2086 # one word for each package
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages > /dev/null \
    || fail "apt-get install failed"
[ -z "$(missing)" ] || fail "apt-get installed $packages"
