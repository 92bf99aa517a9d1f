// The original etcdctl, built from its Go module so that the interop suite can put the real client beside ours.
package main

import "go.etcd.io/etcd/etcdctl/v3/ctlv3"

func main() { ctlv3.MustStart() }
