// Command oracle answers what Go, and with it every Kubernetes component, makes of bytes that this project produces.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: oracle certificate|request|der|handshake|dial [flags] < input")
	}
	input, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}
	var answer any
	switch args[0] {
	case "certificate":
		answer, err = certificate(args[1:], input)
	case "request":
		answer, err = request(input)
	case "der":
		answer, err = derElements(input)
	case "handshake":
		answer, err = handshake(input)
	case "dial":
		answer, err = dial(args[1:], input)
	default:
		err = fmt.Errorf("unknown subcommand %q", args[0])
	}
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(answer)
}
