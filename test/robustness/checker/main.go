// Checks histories of an etcd for linearizability with porcupine, against a model of our own: one file per history, a line of JSON with the
// state at its beginning, then a line per operation. Prints a line of JSON per file; ends with 1 when one is not linearizable.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type start struct {
	Revision int64      `json:"revision"`
	Kvs      []keyValue `json:"kvs"`
	Leases   []string   `json:"leases"`
}

type operation struct {
	Client     int    `json:"client"`
	Call       call   `json:"call"`
	CalledAt   int64  `json:"calledAt"`
	ReturnedAt int64  `json:"returnedAt"`
	Output     output `json:"output"`
}

type verdict struct {
	File         string `json:"file"`
	Result       string `json:"result"`
	Operations   int    `json:"operations"`
	Milliseconds int64  `json:"milliseconds"`
	// The longest order that works, when none takes all; and an operation that follows nothing.
	Linearized int    `json:"linearized,omitempty"`
	Stuck      string `json:"stuck,omitempty"`
}

const limit = 60 * time.Second

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		v, err := check(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, path, err)
			os.Exit(2)
		}
		line, _ := json.Marshal(v)
		fmt.Println(string(line))
		failed = failed || v.Result != string(porcupine.Ok)
	}
	if failed {
		os.Exit(1)
	}
}

func check(path string) (verdict, error) {
	file, err := os.Open(path)
	if err != nil {
		return verdict{}, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 1<<20), 64<<20)
	if !lines.Scan() {
		return verdict{}, fmt.Errorf("empty history")
	}
	var s start
	if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
		return verdict{}, err
	}
	var history []porcupine.Operation
	for lines.Scan() {
		var op operation
		if err := json.Unmarshal(lines.Bytes(), &op); err != nil {
			return verdict{}, err
		}
		history = append(history, porcupine.Operation{ClientId: op.Client, Input: &op.Call, Call: op.CalledAt, Output: &op.Output, Return: op.ReturnedAt})
	}
	if err := lines.Err(); err != nil {
		return verdict{}, err
	}
	began := time.Now()
	model := modelFrom(newState(s.Revision, s.Kvs, s.Leases))
	narrow(history)
	if at := impossible(history); at >= 0 {
		v := verdict{File: path, Result: string(porcupine.Illegal), Operations: len(history)}
		v.Stuck = describe(history[at])
		return v, nil
	}
	result := porcupine.CheckOperationsTimeout(model, history, limit)
	v := verdict{File: path, Result: string(result), Operations: len(history), Milliseconds: time.Since(began).Milliseconds()}
	if result == porcupine.Illegal {
		// Costs the square of the history's length, so only when there is something to explain.
		_, info := porcupine.CheckOperationsVerbose(model, history, limit)
		v.explain(history, info)
	}
	return v, nil
}

// explain names the operation that returned first of those that the longest order leaves out.
func (v *verdict) explain(history []porcupine.Operation, info porcupine.LinearizationInfo) {
	var longest []int
	for _, partition := range info.PartialLinearizations() {
		for _, order := range partition {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	taken := make(map[int]bool, len(longest))
	for _, at := range longest {
		taken[at] = true
	}
	first := -1
	for at := range history {
		if !taken[at] && (first < 0 || history[at].Return < history[first].Return) {
			first = at
		}
	}
	v.Linearized = len(longest)
	if first >= 0 {
		v.Stuck = describe(history[first])
	}
}

func describe(op porcupine.Operation) string {
	in, _ := json.Marshal(op.Input)
	out, _ := json.Marshal(op.Output)
	return fmt.Sprintf("%s -> %s", in, out)
}
