#!/usr/bin/env bash
# Makes .venv in the checkout: `tools/setup.sh runtime` for using the package with its in-home display,
# `tools/setup.sh data` with the data center's columnar store too, `tools/setup.sh dev` for testing it.
# A second run with unchanged locks returns at once. PYTHON=... chooses the interpreter (default: python3.11,
# then python3, whichever is 3.11 or newer); an existing .venv of another interpreter is made anew then.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile="${1:-runtime}"
case "$profile" in
  runtime) locks=(requirements/build.txt requirements/display.txt) ;;
  data) locks=(requirements/build.txt requirements/display.txt requirements/data.txt) ;;
  dev) locks=(requirements/build.txt requirements/dev.txt) ;;
  *) echo "usage: tools/setup.sh runtime|data|dev" >&2; exit 2 ;;
esac
stamp=".venv/.setup-$profile"

say() { printf '[setup] %s\n' "$*"; }
die() { printf '[setup] %s\n' "$*" >&2; exit 1; }

# What the stamp has to hold: where the checkout is, and what was installed into it.
wanted() { pwd; sha256sum "${locks[@]}" pyproject.toml tools/setup.sh; }

# The same text for an interpreter and for the environments made from it.
identity() { "$1" -c 'import sys; print(sys.base_prefix, sys.version)' 2>/dev/null; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

choose_python() {
  if [ -n "${PYTHON:-}" ]; then
    new_enough "$PYTHON" || die "PYTHON=$PYTHON does not run, or is older than 3.11"
    echo "$PYTHON"
    return
  fi
  local candidate
  for candidate in python3.11 python3; do
    if new_enough "$candidate"; then echo "$candidate"; return; fi
  done
  die "no Python 3.11 or newer found; install it (Debian 12: apt-get install python3.11) or give make PYTHON=..."
}

# Debian ships venv without ensurepip, which is in a package of its own.
ensure_ensurepip() {
  local python="$1" package
  "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
  package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  command -v apt-get >/dev/null || die "$python lacks ensurepip; install it, or give make PYTHON=..."
  if [ "$(id -u)" -ne 0 ]; then
    die "$python lacks ensurepip. Run this, then make again:  sudo apt-get install -y $package"
  fi
  say "installing $package, because $python lacks ensurepip"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$package"; } >/dev/null \
    || die "apt-get could not install $package"
  "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || die "$python still lacks ensurepip after apt-get"
}

make_venv() {
  local python
  python="$(choose_python)"
  ensure_ensurepip "$python"
  say "making .venv with $("$python" --version 2>&1)"
  "$python" -m venv --clear .venv
}

venv_is_usable() {
  [ -x .venv/bin/python ] && .venv/bin/python -m pip --version >/dev/null 2>&1 || return 1
  [ ! -f .venv/.checkout ] || [ "$(cat .venv/.checkout)" = "$PWD" ] || return 1  # moved: scripts point elsewhere
}

other_python_asked() {
  [ -n "${PYTHON:-}" ] && [ "$(identity "$PYTHON")" != "$(identity .venv/bin/python)" ]
}

# One line per package as pip reaches it; errors and warnings come through on stderr.
pip_install() {
  .venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" \
    | awk '/^Collecting /{print "[setup]   " $2; fflush()}'
}

# Two runs in one checkout wait for each other.
exec 9<tools/setup.sh
if command -v flock >/dev/null; then flock 9; fi

if ! other_python_asked && [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(wanted)" ]; then
  exit 0
fi
if ! venv_is_usable || other_python_asked; then make_venv; fi
pwd > .venv/.checkout

say "installing the pinned packages of ${locks[*]}"
pip_install --require-hashes "${locks[@]/#/--requirement=}"
say "installing gridmonitoring itself, editable"
pip_install --no-deps --no-build-isolation --editable .
wanted > "$stamp"
# The locks of dev hold everything of data, and those of data everything of runtime, in the same versions.
if [ "$profile" = dev ]; then
  locks=(requirements/build.txt requirements/display.txt requirements/data.txt)
  wanted > .venv/.setup-data
fi
if [ "$profile" != runtime ]; then
  locks=(requirements/build.txt requirements/display.txt)
  wanted > .venv/.setup-runtime
fi
say "done"
