#!/usr/bin/env bash
# Builds the linearizability checker (Go, porcupine) into test/robustness/.bin (git-ignored). Skips it when it is newer than its source.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v go >/dev/null; then
  echo 'robustness: Go is missing: the linearizability checker cannot be built' >&2
  [ "${CI:-}" = true ] && exit 1
  exit 0
fi
mkdir -p .bin
for source in checker/*.go checker/go.mod; do
  [ "$source" -nt .bin/linearizable ] && stale=yes
done
[ "${stale:-}" = yes ] || exit 0
(cd checker && go build -trimpath -ldflags '-s -w' -o ../.bin/linearizable .)
echo 'built linearizable'
