// Command launcher is every command of the server image, selected by the name
// that it is called by. The image has no shell.
//
// As pinniped-concierge or lanyard-concierge it becomes Node.js with the
// server. As pinniped-concierge-kube-cert-agent it is the tool that hands out
// the cluster's signing key pair from the controller manager's node: that one
// has to live in 32 MiB, which Node.js does not.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
)

const (
	node   = "/usr/local/bin/node"
	server = "/app/dist/concierge/main.js"
)

func main() {
	// A core file would hold signing keys.
	noCore := syscall.Rlimit{Cur: 0, Max: 0}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &noCore); err != nil {
		fail("could not switch core files off: %v", err)
	}
	switch name := filepath.Base(os.Args[0]); name {
	case "pinniped-concierge", "lanyard-concierge":
		arguments := append([]string{node, "--disable-sigusr1", server}, os.Args[1:]...)
		fail("could not start %s: %v", node, syscall.Exec(node, arguments, os.Environ()))
	case "pinniped-concierge-kube-cert-agent", "lanyard-concierge-kube-cert-agent":
		agent(os.Args[1:])
	default:
		fail("unknown program %q", name)
	}
}

func agent(arguments []string) {
	debug.SetMemoryLimit(8 << 20)
	if len(arguments) == 0 {
		fail("missing subcommand")
	}
	switch arguments[0] {
	case "sleep":
		// As process 1 of a Pod, a signal without a handler would not end it.
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
		<-signals
	case "print":
		pair := struct {
			Certificate []byte `json:"tls.crt"`
			Key         []byte `json:"tls.key"`
		}{read("CERT_PATH"), read("KEY_PATH")}
		if err := json.NewEncoder(os.Stdout).Encode(pair); err != nil {
			fail("could not write: %v", err)
		}
	default:
		fail("invalid subcommand %q", arguments[0])
	}
}

func read(variable string) []byte {
	content, err := os.ReadFile(os.Getenv(variable))
	if err != nil {
		fail("could not read %s: %v", variable, err)
	}
	return content
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}
