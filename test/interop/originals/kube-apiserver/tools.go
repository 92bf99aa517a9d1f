//go:build tools

// Names the program that this module exists for, so that `go mod tidy` keeps what it needs.
package tools

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
