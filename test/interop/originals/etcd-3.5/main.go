// The original etcd server of before: members of this version and ours are in one cluster while it is upgraded.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
