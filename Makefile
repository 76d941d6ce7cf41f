# For a fresh machine with Python and make: each target makes .venv where it is missing and installs what it needs.
#
#   make demo       track a real clip, results in demo-out
#   make review     the same, then the page on which it is reviewed, in a browser
#   make test       all tests, in WORKERS=2 processes; with EXTRAS=test without torch and the tools for developers
#   make check      formatting, lint, types, spelling
#   make page       the review page's types, and whether its one vendored file is what it should be; needs npm
#   make budgets    how quick the review page is in Chromium; fails at twice what it may take
#   make docs       the documentation site, in site
#   make coverage   the fast tests, with a limit on what they may leave out
#   make lowest     the fast tests on the lowest versions that pyproject.toml allows, in .venv-lowest; with
#                   LOWEST_TESTS="tests/test_import.py tests/test_cli_app.py" these only

PYTHON ?= python3
EXTRAS ?= dev
WORKERS ?= 2
LOWEST_TESTS ?=
VENV := .venv
LOWEST := .venv-lowest
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo review test check page budgets docs coverage lowest clean

demo: $(VENV)/.demo
	$(BIN)/maskferry demo --overwrite -o demo-out

review: demo $(VENV)/.web
	$(BIN)/maskferry open demo-out

test: $(VENV)/.$(EXTRAS)
	$(BIN)/pytest -q -n $(WORKERS) -m "slow or not slow"

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini
	$(BIN)/codespell

page:
	cd tools/page && npm ci --silent --ignore-scripts && npm run --silent types && npm run --silent vendor:check

budgets: demo $(VENV)/.dev
	$(BIN)/python benchmarks/review_page_in_browser.py --demo demo-out --tries 2

docs: $(VENV)/.dev
	$(BIN)/zensical build --strict --clean

coverage: $(VENV)/.dev
	$(BIN)/pytest -q --cov --cov-report=term-missing:skip-covered

# The extra eval is left out: TrackEval asks for a newer numpy than maskferry does. The engines that need torch are
# left out for their size. Old versions warn of newer ones below them: warnings are no errors here.
lowest: $(VENV)/.$(EXTRAS)
	$(PIP) uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install --quiet --python $(LOWEST) --resolution lowest-direct -e ".[viz,demo,parquet,web,test-core]"
	$(BIN)/uv run --quiet --no-project --python $(LOWEST) python -m pytest -q -n $(WORKERS) -W default $(LOWEST_TESTS)

$(VENV)/pyvenv.cfg:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: pyproject.toml | $(VENV)/pyvenv.cfg
	$(PIP) -e ".[$*]"
	touch $@ $(if $(filter dev test,$*),$(VENV)/.demo)

clean:
	rm -rf $(VENV) $(LOWEST) demo-out site .cache .coverage .pytest_cache .mypy_cache .ruff_cache
