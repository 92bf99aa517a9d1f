#!/usr/bin/env bash
# Builds the original etcd 3.6 and 3.5 (or those named) from their Go modules into test/interop/.bin, for etcd-versions.test.ts. Cold that costs 35 and
# 50 s of CPU, so it is done only when asked; the tests skip what is not there.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p .bin
[ $# -gt 0 ] || set -- etcd-3.6 etcd-3.5
for name in "$@"; do
  [ -x ".bin/$name" ] && [ -z "$(find "originals/$name" -newer ".bin/$name" -print -quit)" ] && continue
  started=$SECONDS
  (cd "originals/$name" && GOFLAGS=-mod=mod go build -trimpath -ldflags '-s -w' -o "../../.bin/$name" .)
  echo "built $name in $((SECONDS - started)) s"
done
