# Two commands for a fresh machine with Python and make: `make demo` and `make test`.
# Each makes .venv where it is missing and installs what it needs, nothing more.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check docs clean

demo: $(VENV)/.demo
	$(BIN)/maskferry demo --overwrite -o demo-out

test: $(VENV)/.dev
	$(BIN)/pytest -q -m "slow or not slow"

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.dev
	$(BIN)/zensical build --strict --clean

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo]"
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) demo-out site .cache .pytest_cache .mypy_cache .ruff_cache
