// The original etcd server, built from its Go module: the storage suite and the benchmarks run beside it.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
