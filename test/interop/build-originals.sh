#!/usr/bin/env bash
# Builds the original kubectl, etcdctl, etcd, etcdutl and the API server's storage library (a program of ours around it) from their Go modules into
# test/interop/.bin (git-ignored), and says how long each took. Skips what is built already. The whole original kube-apiserver takes minutes and is
# built by build-kube-apiserver.sh only when asked.
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
  # A program whose sources are ours is built again when they have changed.
  [ -x ".bin/$name" ] && [ -z "$(find "originals/$name" -newer ".bin/$name" -print -quit)" ] && return
  local started=$SECONDS
  (cd "originals/$name" && GOFLAGS=-mod=mod go build -trimpath -ldflags "-s -w $flags" -o "../../.bin/$name" "$package")
  echo "built $name in $((SECONDS - started)) s"
}
version=v1.$(sed -n 's/.*k8s.io\/kubectl v0\.\([0-9]*\.[0-9]*\).*/\1/p' originals/kubectl/go.mod | head -1)
# Two at once; those that have most of their packages in common one after the other, so that nothing is compiled twice.
kubernetes() {
  build kubectl "-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"
  build apiserver-storage ''
}
kubernetes &
other=$!
build etcd ''
build etcdctl ''
# A program that is no library: built by its own import path.
build etcdutl '' go.etcd.io/etcd/etcdutl/v3
wait "$other"
