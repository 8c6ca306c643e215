# Two commands for a newcomer: make demo, make test. CI runs: make check test test-s3 test-ui.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= out/demo
PHOTOS ?= productshot/demo/photos
NOUNS ?= $(if $(filter productshot/demo/photos,$(PHOTOS)),productshot/demo/nouns.csv,$(error set NOUNS=<csv with sku,noun> for PHOTOS=$(PHOTOS)))

.PHONY: setup demo test test-s3 test-ui check format clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; set PYTHON=python3.12, say"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0 -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@echo "compiling what compiles on its first import (once)"
	$(BIN)/python -m productshot.warm
	@touch $@

demo: setup
	@rm -rf $(OUT)
	$(BIN)/productshot init $(PHOTOS) --nouns $(NOUNS) --out $(OUT)/catalog.yaml --store $(OUT)/store
	$(BIN)/productshot night $(OUT)/catalog.yaml --store $(OUT)/store

test: setup
	@command -v exiftool >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends libimage-exiftool-perl; } || echo "exiftool is missing: three tests that need it are skipped"
	$(BIN)/pytest

test-s3: setup
	PYTEST=$(CURDIR)/$(BIN)/pytest infra/dev/test-s3.sh

test-ui: setup
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }
	$(BIN)/pytest -m ui tests/ui

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv out
