#!/usr/bin/env bash
# Regenerates requirements/*.txt: every version pinned, every artifact by hash, no address of an index.
# The locks hold for Python 3.11 and newer and carry markers where platforms differ.
# UPGRADE=1 takes newer versions; without it the pins stay unless an input changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/setup.sh runtime
if [ ! -x .venv-lock/bin/uv ] || [ requirements/lock.txt -nt .venv-lock/bin/uv ]; then
  .venv/bin/python -m venv --clear .venv-lock
  .venv-lock/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lock.txt
  touch .venv-lock/bin/uv
fi

compile() { # output, inputs...
  local output="requirements/$1"
  shift
  .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
    --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
    ${UPGRADE:+--upgrade} "$@" --output-file "$output"
  echo "$output"
}

# The order matters: each later lock is constrained by the earlier ones, so a package has one version everywhere.
compile runtime.txt pyproject.toml
compile display.txt pyproject.toml --extra display -c requirements/runtime.txt
compile data.txt pyproject.toml --extra data -c requirements/runtime.txt
compile dev.txt pyproject.toml --extra data --extra display requirements/dev.in
compile build.txt requirements/build.in
compile lock.txt requirements/lock.in
compile go.txt requirements/go.in
