# Every target sets up what it needs first; `make demo` and `make test` work as the very first command.
# PYTHON=/path/to/python3.11 chooses the interpreter, ARGS="..." goes to the program that runs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?=
ARGS ?=
JOBS ?= auto

BIN := .venv/bin
CODE := src tests tools
SETUP := PYTHON="$(PYTHON)" tools/setup.sh

COMETBFT := tools/cometbft.sh

.PHONY: help cometbft setup setup-runtime setup-data demo test check lint format types imports pytest bench soak lock clean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with everything that testing needs
	@$(SETUP) dev

setup-runtime:
	@$(SETUP) runtime

setup-data: ## make .venv for using the package with the data center's columnar store
	@$(SETUP) data

cometbft: setup-runtime ## build CometBFT into .tools/bin, where clusters find it
	@$(COMETBFT)

demo: setup-runtime ## run the demonstration (ARGS="--houses 20 --days 30")
	@$(BIN)/gridmon demo $(ARGS)

test: setup check pytest ## lint, types, import rules and all tests (ARGS="-k name")

check: setup lint types imports

lint: setup ## ruff: rules and format
	@echo "== ruff"
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)

types: setup
	@echo "== mypy"
	@$(BIN)/mypy

imports: setup
	@echo "== import-linter"
	@$(BIN)/lint-imports --no-logo

pytest: setup check
	@$(COMETBFT) >/dev/null
	@echo "== pytest"
	@$(BIN)/pytest --numprocesses $(JOBS) $(ARGS)

format: setup ## rewrite the code in the project's format
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

bench: setup-runtime ## measure ingest and verification beside the machine's ceiling
	@$(BIN)/gridmon bench ingest $(ARGS)
	@$(BIN)/gridmon bench ingest --validators 4 --reports 24
	@$(BIN)/gridmon bench verify

soak: setup cometbft ## the long runs: many examples, many kills, large ledgers
	@$(BIN)/pytest --soak $(ARGS)
	@$(BIN)/gridmon bench ingest
	@$(BIN)/gridmon bench verify --reports 100
	@$(BIN)/gridmon bench scale

lock: ## write requirements/*.txt anew (UPGRADE=1 takes newer versions)
	@tools/lock.sh

clean: ## remove .venv, caches and built files
	@rm -rf .venv .venv-lock .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@rm -rf .coverage .coverage.* htmlcov
	@find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
