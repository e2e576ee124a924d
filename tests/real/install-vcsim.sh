#!/bin/sh
# Installs what the tests of the VMware source need: `vcsim`, the simulator of a vCenter that comes with govmomi. One on
# the PATH or in ~/go/bin will do; else it is built into ~/go/bin, where there is Go. `go install` cannot build govmomi's
# own program (its module names a folder beside it), so a small one is built here on govmomi's package, with those of
# its options that the tests use. Asks nothing, and ends with 0 only when everything is there.
set -u
VERSION=v0.52.0
PATH=$PATH:/usr/local/go/bin
bin=$HOME/go/bin

fail() {
    echo "install-vcsim.sh: $1" >&2
    exit 1
}

command -v vcsim > /dev/null 2>&1 && exit 0
[ -x "$bin/vcsim" ] && exit 0
command -v go > /dev/null 2>&1 || fail "there is neither vcsim nor Go to build it with: install one of them"

directory=$(mktemp -d) || fail "no temporary directory"
trap 'rm -rf "$directory"' EXIT

cat > "$directory/go.mod" << END
module vcsim

go 1.23.0

require github.com/vmware/govmomi $VERSION
END

cat > "$directory/main.go" << 'END'
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

var (
	isEsx    = flag.Bool("esx", false, "a host alone instead of a vCenter")
	listen   = flag.String("l", "127.0.0.1:8989", "address to listen at")
	user     = flag.String("username", "", "the only user; none: anyone")
	password = flag.String("password", "", "that user's password")
	cert     = flag.String("tlscert", "", "file of the certificate")
	key      = flag.String("tlskey", "", "file of its key")
	delays   = flag.String("method-delay", "", "METHOD:MILLISECONDS,...")
	isTraced = flag.Bool("trace", false, "write every message")
	traced   = flag.String("trace-file", "", "the file they are written to")
)

func main() {
	model := simulator.VPX()
	for name, count := range map[string]*int{
		"app": &model.App, "cluster": &model.Cluster, "dc": &model.Datacenter, "folder": &model.Folder,
		"host": &model.ClusterHost, "pool": &model.Pool, "standalone-host": &model.Host, "vm": &model.Machine,
	} {
		flag.IntVar(count, name, *count, "how many of them")
	}
	flag.BoolVar(&model.Autostart, "autostart", true, "power machines on")
	flag.Parse()
	if *isEsx {
		alone := simulator.ESX()
		alone.Autostart, alone.Machine = model.Autostart, model.Machine
		model = alone
	}
	if err := run(model); err != nil {
		log.Fatal(err)
	}
}

func run(model *simulator.Model) error {
	model.DelayConfig.MethodDelay = methodDelays()
	defer model.Remove()
	if err := model.Create(); err != nil {
		return err
	}
	service := model.Service
	service.Listen = &url.URL{Host: *listen}
	if *user != "" {
		service.Listen.User = url.UserPassword(*user, *password)
	}
	service.TLS = new(tls.Config)
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return err
		}
		service.TLS.Certificates = []tls.Certificate{pair}
	}
	if *isTraced {
		file, err := os.Create(*traced)
		if err != nil {
			return err
		}
		simulator.Trace, simulator.TraceFile = true, file
	}
	server := service.NewServer()
	defer server.Close()
	fmt.Printf("export GOVC_URL=%s GOVC_SIM_PID=%d\n", server.URL, os.Getpid())
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
	return nil
}

func methodDelays() map[string]int {
	found := map[string]int{}
	for _, each := range strings.Split(*delays, ",") {
		name, text, _ := strings.Cut(each, ":")
		if ms, err := strconv.Atoi(text); err == nil {
			found[name] = ms
		}
	}
	return found
}
END

mkdir -p "$bin" && cd "$directory" || fail "$bin cannot be made"
go build -mod=mod -o "$bin/vcsim" . || fail "go could not build it"
