#!/bin/sh
# Makes .venv with everything that development needs, the command line included; quick if it is there.
#
# Python 3.13 is looked for on PATH, then in pyenv, then fetched by uv. All packages come with hashes
# from requirements-dev.txt.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/requirements.sum
wanted=$(cat requirements-dev.txt pyproject.toml local/uv.txt | cksum)
if [ -x .venv/bin/millrace ] && [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

fail() {
    echo "setup: $1" >&2
    exit 1
}

is_313() {
    "$1" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1
}

find_python() {
    for candidate in python3.13 python3 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3.13; do
        if is_313 "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    # No Python 3.13: any Python 3 can install uv, and uv can fetch one.
    uv=$(command -v uv || true)
    if [ -z "$uv" ]; then
        python3 -m venv .local/uv >/dev/null 2>&1 &&
            .local/uv/bin/python -m pip install --quiet --require-hashes -r local/uv.txt \
                >/dev/null 2>&1 && uv=.local/uv/bin/uv
    fi
    [ -n "$uv" ] && "$uv" python install --quiet 3.13 >/dev/null 2>&1 && "$uv" python find 3.13
}

python=$(find_python) && [ -n "$python" ] ||
    fail "no Python 3.13 on PATH or in pyenv, and none could be fetched: install it, then run make again"

is_313 .venv/bin/python || { rm -rf .venv && "$python" -m venv .venv; } ||
    fail "making .venv with $python failed (see above)"
echo "setup: installing development packages into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
    -r local/uv.txt || fail "installing uv failed (see above): is the package index reachable?"
.venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements-dev.txt ||
    fail "installing packages failed (see above): is the package index reachable?"
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation \
    --editable . || fail "installing the project into .venv failed (see above)"
echo "$wanted" >$stamp
