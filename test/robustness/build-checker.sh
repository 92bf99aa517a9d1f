#!/usr/bin/env bash
# Builds what the robustness suite needs besides Node into test/robustness/.bin (git-ignored): the linearizability checker (Go, porcupine) and
# the library that shifts a process's wall clock (C). Skips what is newer than its source.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p .bin
missing() {
  echo "robustness: $1 is missing: $2 cannot be built" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
}
if ! command -v go >/dev/null; then
  missing Go 'the linearizability checker'
else
  for source in checker/*.go checker/go.mod; do
    [ "$source" -nt .bin/linearizable ] && stale=yes
  done
  if [ "${stale:-}" = yes ]; then
    (cd checker && go build -trimpath -ldflags '-s -w' -o ../.bin/linearizable .)
    echo 'built linearizable'
  fi
fi
if ! command -v cc >/dev/null; then
  missing 'a C compiler' 'the clock that jumps'
elif [ clock-shift.c -nt .bin/clock-shift.so ]; then
  cc -shared -fPIC -O2 -Wall -o .bin/clock-shift.so clock-shift.c
  echo 'built clock-shift.so'
fi
