#!/bin/sh
# Installs what the tests of the Vault key storage need: HashiCorp's Vault, its own core with the KV engine and four
# ways to log in, storing in memory, built where there is Go. Its command line cannot be installed (the module names
# folders beside it) and would bring every cloud's client along; so a small program is built on Vault's packages.
# Licence: Business Source License 1.1, which permits what is not production; nothing of it is in Runbus.
# The first build takes 3 to 20 minutes and 3 GB below Go's caches; it runs on one processor, at the lowest priority.
# Asks nothing, and ends with 0 only when everything is there.
set -u
VERSION=v1.21.4
PATH=$PATH:/usr/local/go/bin
target=${XDG_CACHE_HOME:-$HOME/.cache}/runbus-tests/vault-$VERSION

fail() {
    echo "install-vault.sh: $1" >&2
    exit 1
}

[ -x "$target" ] && exit 0
command -v go > /dev/null 2>&1 || fail "there is neither $target nor Go to build it with: install Go 1.25.3 or newer"

directory=$(mktemp -d) || fail "no temporary directory"
trap 'rm -rf "$directory"' EXIT

cat > "$directory/go.mod" << END
module vault

go 1.25.3

require (
	github.com/hashicorp/vault $VERSION
	github.com/hashicorp/vault-plugin-secrets-kv v0.25.0
)

// Vault is built with the SDK in its own repository; of those published this is the one that fits it.
replace github.com/hashicorp/vault/sdk => github.com/hashicorp/vault/sdk v0.20.0
END

cat > "$directory/main.go" << 'END'
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/cert"
	"github.com/hashicorp/vault/builtin/credential/github"
	"github.com/hashicorp/vault/builtin/credential/userpass"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

var (
	listen = flag.String("l", "127.0.0.1:0", "address to listen at")
	pair   = flag.String("tlscert", "", "file of the certificate; none: plain HTTP")
	key    = flag.String("tlskey", "", "file of its key")

	engines = map[string]logical.Factory{"kv": kv.Factory}
	logins  = map[string]logical.Factory{
		"approle": approle.Factory, "cert": cert.Factory, "github": github.Factory, "userpass": userpass.Factory,
	}
)

// builtins tells Vault's plugin catalogue what is compiled in.
type builtins struct{}

func (builtins) of(kind consts.PluginType) map[string]logical.Factory {
	switch kind {
	case consts.PluginTypeSecrets:
		return engines
	case consts.PluginTypeCredential:
		return logins
	}
	return nil
}

func (b builtins) Contains(name string, kind consts.PluginType) bool {
	_, found := b.of(kind)[name]
	return found
}

func (b builtins) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	factory, found := b.of(kind)[name]
	return func() (interface{}, error) { return factory, nil }, found
}

func (b builtins) Keys(kind consts.PluginType) (names []string) {
	for name := range b.of(kind) {
		names = append(names, name)
	}
	return names
}

func (b builtins) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, b.Contains(name, kind)
}

func (builtins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func main() {
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	logger := hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Warn})
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: storage, DisableMlock: true, Logger: logger, BuiltinRegistry: builtins{},
		LogicalBackends: engines, CredentialBackends: logins,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	scheme := "http"
	if *pair != "" {
		own, err := tls.LoadX509KeyPair(*pair, *key)
		if err != nil {
			return err
		}
		scheme = "https"
		listener = tls.NewListener(listener, &tls.Config{
			Certificates: []tls.Certificate{own}, ClientAuth: tls.RequestClientCert,
		})
	}
	fmt.Printf("VAULT_ADDR=%s://%s\n", scheme, listener.Addr())
	return http.Serve(listener, vaulthttp.Handler.Handler(&vault.HandlerProperties{
		Core: core, ListenerConfig: &configutil.Listener{},
	}))
}
END

mkdir -p "${target%/*}" && cd "$directory" || fail "${target%/*} cannot be made"
nice -n 19 go build -mod=mod -p 1 -o vault . || fail "go could not build it"
mv vault "$target" || fail "$target cannot be written"
