# make demo   train and picture a small run, offline, in a few minutes
# make check  lint, types and the quick tests: while you work
# make test   lint, types and all tests: what must pass before a commit
# Only the installation below uses the network.

PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo check test coverage lint types clean

help:
	@sed -n 's/^# //p' Makefile

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
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

test: lint types
	$(PYTEST)

coverage: $(STAMP)
	$(PYTEST) --cov --cov-report=term-missing:skip-covered

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
