#!/usr/bin/env bash
# Builds the original kubectl, etcdctl and etcd from their Go modules into test/interop/.bin (git-ignored). Skips what is built already.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v go >/dev/null; then
  echo 'interop: Go is missing: the original clients cannot be built' >&2
  [ "${CI:-}" = true ] && exit 1
  exit 0
fi
mkdir -p .bin
build() {
  local name=$1 flags=$2 package=${3:-.}
  [ -x ".bin/$name" ] && return
  (cd "originals/$name" && GOFLAGS=-mod=mod go build -trimpath -ldflags "-s -w $flags" -o "../../.bin/$name" "$package")
  echo "built $name"
}
version=v1.$(sed -n 's/.*k8s.io\/kubectl v0\.\([0-9]*\.[0-9]*\).*/\1/p' originals/kubectl/go.mod | head -1)
build kubectl "-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"
build etcdctl ''
build etcd ''
# A program that is no library: built by its own import path.
build etcdutl '' go.etcd.io/etcd/etcdutl/v3
