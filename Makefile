# `make audit` and `make test` need Python >= 3.11 with venv, and nothing else: they install into .venv.

BIN := .venv/bin
PYTHON ?= $(shell for p in python3.11 python3 python; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# By file, so that what a file's tests compile is compiled once.
PARALLEL := --numprocesses auto --dist loadfile

.PHONY: audit test test-slow test-all bench clean

audit: .venv/installed ## attack a victim that gives way and one that stands, and write their reports
	$(BIN)/sparring audit discs/duel --victim builtin:disc-early --episodes 1000
	$(BIN)/sparring audit discs/duel --victim builtin:disc --steps 300000 --episodes 1000

test: .venv/installed-dev ## what a change must pass
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	@echo "pyright and pytest, side by side"; $(BIN)/pyright & types=$$!; \
	$(BIN)/pytest -q $(PARALLEL); tests=$$?; wait $$types && exit $$tests

test-slow: .venv/installed-dev ## tests of more than a few seconds; they come after those of `make test`
	$(BIN)/pytest -q -m "slow and not long" $(PARALLEL)

test-all: test test-slow ## every test there is
	$(BIN)/pytest -q -m long $(PARALLEL)

bench: .venv/installed-bench ## measure, and compare with the limits that the benchmarks name (minutes)
	@set -e; for name in startup exact_games discs clips stealth section speed; do echo "$$name"; $(BIN)/python "benchmarks/$$name.py"; done

clean: ## remove what make and the tools made; run folders stay
	rm -rf .venv dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "sparring needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) cannot make virtual environments: install its venv package" >&2; exit 1; }

.venv/installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(PIP_INSTALL) --editable '.[all]'
	@touch $@

.venv/installed-dev: pyproject.toml constraints.txt | $(BIN)/pip
	$(PIP_INSTALL) --editable '.[dev]'
	@touch .venv/installed $@

.venv/installed-bench: pyproject.toml constraints.txt | $(BIN)/pip
	$(PIP_INSTALL) --editable '.[bench]'
	@touch .venv/installed $@
