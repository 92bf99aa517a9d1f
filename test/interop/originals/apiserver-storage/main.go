// What the original API server does with an etcd, done by its own storage library: one line per check, so that two etcds can be compared.
//
//	apiserver-storage --endpoints https://10.0.0.1:2379 [--cacert ca.pem --cert c.pem --key k.pem] [--only name,name]
//
// The etcd has to be empty. Lines hold nothing that differs between two runs (no revisions, no times); the exit code is 1 when a check failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"k8s.io/klog/v2"
)

// A check gives a line of what it saw, or what was wrong. What it only needs on the way it asks for with must and ensure: when that fails, the check
// has failed. Not in goroutines of its own: those hand their errors over.
type check struct {
	name string
	run  func(ctx context.Context, w *world) (string, error)
}

func main() {
	endpoints := flag.String("endpoints", "http://127.0.0.1:2379", "client URLs of the etcd, comma-separated")
	cacert := flag.String("cacert", "", "authority of the etcd's certificate")
	cert := flag.String("cert", "", "client certificate")
	key := flag.String("key", "", "key of the client certificate")
	only := flag.String("only", "", "names of checks to run, comma-separated")
	slow := flag.Duration("timeout", 60*time.Second, "time that each check has")
	times := flag.Bool("times", false, "print how long each check took, to stderr")
	flag.Parse()
	// The library talks to the log about what the checks provoke.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)

	w, err := newWorld(strings.Split(*endpoints, ","), *cacert, *cert, *key)
	if err != nil {
		fmt.Printf("FAIL  connect: %v\n", err)
		os.Exit(1)
	}
	defer w.close()
	wanted := map[string]bool{}
	for _, name := range strings.Split(*only, ",") {
		if name != "" {
			wanted[name] = true
		}
	}
	failed := 0
	for _, c := range allChecks() {
		if len(wanted) > 0 && !wanted[c.name] {
			continue
		}
		started := time.Now()
		line, err := guarded(c, w, *slow)
		if *times {
			fmt.Fprintf(os.Stderr, "%6d ms  %s\n", time.Since(started).Milliseconds(), c.name)
		}
		if err != nil {
			failed++
			fmt.Printf("FAIL  %s: %v\n", c.name, err)
		} else {
			fmt.Printf("ok    %s: %s\n", c.name, line)
		}
	}
	if failed > 0 {
		fmt.Printf("%d failed\n", failed)
		os.Exit(1)
	}
}

// Runs one check with a deadline; a panic in the library is a failure of the check.
func guarded(c check, w *world, limit time.Duration) (line string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	defer func() {
		switch problem := recover().(type) {
		case nil:
		case failedNeed:
			err = problem.err
		default:
			err = fmt.Errorf("panic: %v", problem)
		}
	}()
	return c.run(ctx, w)
}

// Ends a check from within.
type failedNeed struct{ err error }

func ensure(err error) {
	if err != nil {
		panic(failedNeed{err})
	}
}

func must[T any](value T, err error) T {
	ensure(err)
	return value
}

func allChecks() []check {
	var all []check
	all = append(all, objectChecks...)
	all = append(all, listChecks...)
	all = append(all, watchChecks...)
	all = append(all, leaseChecks...)
	all = append(all, cacherChecks...)
	all = append(all, serverChecks...)
	return all
}
