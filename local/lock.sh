#!/bin/sh
# Pins all dependencies with hashes and without addresses: development first, then what ships in the
# layers at the same versions, then the environments of the local stack and of checkov.
set -eu
cd "$(dirname "$0")/.."
pin() {
    .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.13 \
        --generate-hashes --no-emit-index-url --no-header "$@"
}
pin pyproject.toml --group dev --output-file requirements-dev.txt
pin pyproject.toml --constraint requirements-dev.txt \
    --output-file layers/millrace/python/requirements.txt
pin layers/schemas/requirements.in --constraint requirements-dev.txt \
    --output-file layers/schemas/python/requirements.txt
pin local/requirements.in --output-file local/requirements.txt
pin local/checkov.in --output-file local/checkov.txt
# uv alone, for local/setup.sh to install everything else with.
awk '/^[a-z]/ { uv = /^uv==/ } uv && !/#/' requirements-dev.txt >local/uv.txt
