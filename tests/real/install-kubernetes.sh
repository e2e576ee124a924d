#!/bin/sh
# Makes what the tests of the Kubernetes node source need to ask a real API server: kube-apiserver, compiled from its
# Go module, and Debian's etcd, unpacked and not installed. Both are put where the tests look for them:
#
#   tests/real/install-kubernetes.sh [DIRECTORY]        (~/.cache/runbus-tests/kubernetes)
#
# It takes ten minutes on two cores, gigabytes of disk for the caches of Go, and 120 MB in the end: no CI runs it. Makes
# only what is missing, asks nothing, and ends with 0 only when both are there.
set -eu

version=v1.34.2
directory=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/runbus-tests/kubernetes}

fail() {
    echo "install-kubernetes.sh: $1" >&2
    exit 1
}

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

if [ ! -x "$directory/etcd" ]; then
    command -v apt-get > /dev/null || fail "there is no apt-get: put an etcd into $directory by hand"
    (
        cd "$work"
        apt-get -qq -o APT::Sandbox::User="$(id -un)" download etcd-server
        dpkg-deb -x etcd-server_*.deb etcd
    ) || fail "Debian's etcd-server cannot be had: is apt-get update needed?"
    cp "$work/etcd/usr/bin/etcd" "$directory/etcd"
fi

if [ ! -x "$directory/kube-apiserver" ]; then
    command -v go > /dev/null || fail "there is no go, 1.24 or newer, to compile kube-apiserver with"
    GOFLAGS=-modcacherw
    export GOFLAGS
    source=$(cd "$work" && go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    [ -n "$source" ] || fail "the module k8s.io/kubernetes@$version cannot be had"
    mkdir "$work/source"
    cp -R "$source/." "$work/source"
    chmod -R u+w "$work/source"
    cd "$work/source"
    # The module lives in one tree with others, which are in no archive of it: take them as published.
    rm -rf vendor go.work go.work.sum staging
    published=v0.${version#v1.}
    sed -E -i "s#^(\tk8s.io/[a-z-]+) => ./staging/src/(k8s.io/[a-z-]+)#\1 => \2 $published#" go.mod
    component=k8s.io/component-base/version
    GOFLAGS="-mod=mod -buildvcs=false" go build -o "$work/kube-apiserver" -ldflags "-s -w \
        -X $component.gitVersion=$version -X $component.gitMajor=1 -X $component.gitMinor=34" ./cmd/kube-apiserver \
        || fail "kube-apiserver cannot be compiled"
    mv "$work/kube-apiserver" "$directory/kube-apiserver"
fi

"$directory/etcd" --version | head -n 1
"$directory/kube-apiserver" --version
