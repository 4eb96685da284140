# Everything happens in .venv; each target sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test lint ruff mypy imports bench clean

quickstart: .venv/run.stamp
	$(BIN)/evalkit quickstart --out quickstart

test: .venv/dev.stamp
	$(BIN)/python -m pytest --numprocesses logical --dist worksteal

lint: ruff mypy imports

ruff: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check

mypy: .venv/dev.stamp
	$(BIN)/mypy

imports: .venv/dev.stamp
	$(BIN)/lint-imports

bench: .venv/dev.stamp
	EVALKIT_TEST_TRL=$$(.ci/trl-1.12) $(BIN)/python -m pytest -m benchmark tests/benchmarks -s

.venv/run.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/dev.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv quickstart
