#!/usr/bin/env bash
# Builds the whole original kube-apiserver from its Go modules into test/interop/.bin (git-ignored). Not part of build-originals.sh: with an empty
# build cache it takes some twelve minutes on two busy cores. original-kube-apiserver.test.ts is skipped until it is there.
set -euo pipefail
cd "$(dirname "$0")"
version=v$(sed -n 's/^require k8s.io\/kubernetes v\([0-9.]*\).*/\1/p; s/^\tk8s.io\/kubernetes v\([0-9.]*\)$/\1/p' originals/kube-apiserver/go.mod | head -1)
mkdir -p .bin
started=$SECONDS
(cd originals/kube-apiserver && GOFLAGS=-mod=mod nice -n 19 go build -p "${GO_JOBS:-1}" -trimpath \
  -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37" \
  -o ../../.bin/kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver)
echo "built kube-apiserver $version in $((SECONDS - started)) s"
