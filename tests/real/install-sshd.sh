#!/bin/sh
# Installs what the tests and the benchmark of SSH nodes need, on Debian: OpenSSH's server and its tools for keys. The
# server that comes with it is not started: the tests start their own, on loopback. Installs only what is missing,
# asks nothing, and ends with 0 only when everything is there.
set -u
PATH=$PATH:/usr/sbin:/usr/local/sbin

have() {
    command -v "$1" > /dev/null 2>&1
}

missing() {
    have sshd || echo openssh-server
    have ssh-keygen || echo openssh-client
}

fail() {
    echo "install-sshd.sh: $1; still missing: $(missing | tr '\n' ' ')" >&2
    exit 1
}

packages=$(missing)
[ -z "$packages" ] && exit 0

have apt-get || fail "there is no apt-get: install OpenSSH's server by hand"
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif have sudo && sudo -n true 2> /dev/null; then
    as_root="sudo -n"
else
    fail "only root can install packages, and sudo wants a password"
fi

# Debian starts a server that it installs, unless this file says that nothing is to be started.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" > /dev/null && $as_root chmod +x "$policy"
    trap '$as_root rm -f "$policy"' EXIT
fi

# Lists that can not be renewed may still be good enough.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update \
    || echo "install-sshd.sh: apt-get update failed; going on with the lists there are" >&2
# shellcheck disable=SC2086 # one word for each package
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages > /dev/null \
    || fail "apt-get install failed"
[ -z "$(missing)" ] || fail "apt-get installed $packages"
