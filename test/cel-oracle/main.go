// Command cel-oracle answers, for each JSON line on standard input, what cel-go makes of an expression: a report of its
// compile errors, or its type and its value or evaluation error.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/cel-go/cel"
)

type question struct {
	Expression  string          `json:"expression"`
	Environment json.RawMessage `json:"environment"`
	// Bindings is absent when only the types matter.
	Bindings *map[string]any `json:"bindings"`
}

type issue struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

type answer struct {
	// CompileError is cel-go's whole report.
	CompileError string  `json:"compileError,omitempty"`
	Issues       []issue `json:"issues,omitempty"`
	Type         string  `json:"type,omitempty"`
	// ProgramError comes of constant folding, after a successful check.
	ProgramError    string `json:"programError,omitempty"`
	EvaluationError string `json:"evaluationError,omitempty"`
	Value           any    `json:"value,omitempty"`
	Panic           string `json:"panic,omitempty"`
}

// An evaluation is interrupted as contract/supervisor.md 3.1 says, but sooner than after its 5 s.
const (
	checkEvery = 100
	timeLimit  = 2 * time.Second
)

func main() {
	reader := bufio.NewReaderSize(os.Stdin, 1<<20)
	writer := bufio.NewWriterSize(os.Stdout, 1<<20)
	encoder := json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	for {
		line, err := reader.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err := encoder.Encode(reply(line)); err != nil {
				fail(err)
			}
			// Whoever waits for this answer before it asks again must get it.
			if reader.Buffered() == 0 {
				if err := writer.Flush(); err != nil {
					fail(err)
				}
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			fail(err)
		}
	}
	if err := writer.Flush(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func reply(line []byte) (result answer) {
	defer func() {
		if cause := recover(); cause != nil {
			result = answer{Panic: fmt.Sprint(cause)}
		}
	}()
	var asked question
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&asked); err != nil {
		panic(err)
	}
	env, err := environmentFor(asked.Environment)
	if err != nil {
		panic(err)
	}
	ast, issues := env.env.Compile(asked.Expression)
	if issues.Err() != nil {
		result.CompileError = issues.Err().Error()
		for _, one := range issues.Errors() {
			result.Issues = append(result.Issues, issue{
				Line: one.Location.Line(), Column: one.Location.Column() + 1, Message: one.Message,
			})
		}
		return result
	}
	result.Type = ast.OutputType().String()
	program, err := env.env.Program(ast,
		cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		result.ProgramError = err.Error()
		return result
	}
	if asked.Bindings == nil {
		return result
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	value, _, err := program.ContextEval(ctx, bindingsOf(env, *asked.Bindings))
	if err != nil {
		result.EvaluationError = err.Error()
		return result
	}
	result.Value = encode(value)
	return result
}
