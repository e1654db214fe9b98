# make demo   train and picture a small run, offline, in a few minutes
# make check  lint, types and the quick tests: while you work
# make test   lint, types and all tests: what must pass before a commit
# make audit  known holes of what is installed (needs the network), and licences
# make fuzz   damaged and hostile input of every kind; COUNT=1000 of each
# PYTHON=python3.14 VENV=.venv-3.14 CONSTRAINTS=constraints-oldest.txt choose the versions.
# Only the installation below and audit use the network.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
COUNT ?= 1000

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo check test suite coverage lint types audit fuzz clean

help:
	@sed -n 's/^# //p' Makefile

install: $(STAMP)

$(STAMP): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/vtadapt demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy vtadapt

# Tests use one thread each, and as many processes as there are cores. Where CI is set, pytest writes out the whole
# difference of two values: for the weights of two networks that takes hours.
PYTEST := env -u CI -u BUILD_NUMBER $(BIN)/python -m pytest -n auto --dist worksteal

check: lint types
	$(PYTEST) -m "not slow"

test: lint types suite

# The tests alone, as on other versions than the pinned ones, whose types and formatting are others.
suite: $(STAMP)
	$(PYTEST)

coverage: $(STAMP)
	$(PYTEST) --cov --cov-report=term-missing:skip-covered

# pip-audit stands in an extra of its own: what it brings along no test needs.
audit: $(STAMP)
	$(BIN)/python benchmarks/licences.py --check
	$(BIN)/python -m pip install --disable-pip-version-check -c $(CONSTRAINTS) -e '.[audit]'
	$(BIN)/python -m pip_audit --skip-editable --progress-spinner off

fuzz: $(STAMP)
	$(BIN)/python benchmarks/fuzz.py --count $(COUNT)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
