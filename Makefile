# Every verb sets up what it needs. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON := .venv/bin/python
INTERPRETER := $(if $(shell command -v npm),tests/functional/node/node_modules)

.PHONY: help setup run stop log test check lint types template security chaos bench load lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with everything that development needs
	@local/setup.sh

run: setup ## Start the local stack, deploy, run both examples on real input
	@$(PYTHON) -m millrace_local run

stop: setup ## Stop the local stack; flows, runs and tokens stay
	@$(PYTHON) -m millrace_local down

log: setup ## Follow the local stack's log
	@$(PYTHON) -m millrace_local logs --follow

test: setup $(INTERPRETER) ## Run all tests
	$(PYTHON) -m pytest -n 2 --dist loadfile

# A second interpreter of state machines. Without Node its tests are not run, and pytest's summary
# says so; in CI they fail.
tests/functional/node/node_modules: tests/functional/node/package-lock.json
	cd tests/functional/node && npm ci --silent --no-audit --no-fund
	@touch $@

check: lint types template security test ## Everything that CI runs

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: setup
	.venv/bin/mypy

template: setup
	SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 .venv/bin/sam validate --lint

security: .local/checkov/bin/checkov ## Ask checkov for what is insecure in template.yaml
	.local/checkov/bin/checkov --config-file local/checkov.yaml

.local/checkov/bin/checkov: local/checkov.txt | setup
	@echo "security: installing checkov into .local/checkov"
	@.venv/bin/uv venv --quiet --clear --python $(PYTHON) .local/checkov
	@.venv/bin/uv pip sync --quiet --python .local/checkov/bin/python --require-hashes $<
	@touch $@

chaos: setup ## Let whole flows run under faults: SEEDS=1000, or one SEED=123
	$(PYTHON) -m chaos $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000) --first $(or $(FIRST),0))

bench: setup ## Run the benchmarks; figures, no verdicts
	$(PYTHON) -m benchmarks.compiler
	$(PYTHON) -m benchmarks.api
	$(PYTHON) -m benchmarks.throughput
	$(PYTHON) -m benchmarks.latency
	$(PYTHON) -m benchmarks.timing

load: setup ## Deliver 2,000 times to a local stack of its own: each is run once
	$(PYTHON) -m benchmarks.load --deliveries $(or $(DELIVERIES),2000)

lock: setup ## Pin all dependencies anew, with hashes and without addresses
	@local/lock.sh

clean: ## Remove what the verbs made, the local stack's data included
	@[ ! -x $(PYTHON) ] || $(PYTHON) -m millrace_local down
	rm -rf .venv .local .aws-sam tests/functional/node/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
