# Everything sets itself up in .venv/: `make rehearse` and `make test` are all that a new machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCENARIO ?= go-live
FLEET ?= process
ARGS ?=

.PHONY: rehearse test check lint types unit long bench mutants clean help

help:
	@echo "make rehearse   run the go-live rehearsal (SCENARIO=..., FLEET=docker, ARGS=...)"
	@echo "make test       lint, types and tests"
	@echo "make long       the tests that take their time: a crash at every boundary, thousands of simulated gates, ..."
	@echo "make bench      benchmarks, written to reports/bench/benchmark.json"
	@echo "make mutants    mutate the protocol cores and count what tests and schedules kill (ARGS=--sample 400)"
	@echo "make clean      remove .venv and caches"

rehearse: $(VENV)/.ready
	@$(BIN)/tillproof run $(SCENARIO) --fleet $(FLEET) $(ARGS)

test: check

check: lint types unit

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready-dev
	$(BIN)/mypy

unit: $(VENV)/.ready-dev
	@.ci/tests -n 2 -m "not long" $(ARGS)

long: $(VENV)/.ready-dev
	@.ci/tests -n 2 -m long $(ARGS)

bench: $(VENV)/.ready-dev
	$(BIN)/python -m loadtest.bench $(ARGS)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready-dev: requirements/dev.txt $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

mutants: $(VENV)/.ready-dev
	$(BIN)/python -m tests.mutants $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks build *.egg-info
