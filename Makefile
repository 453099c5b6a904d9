# make run | test | check | fuzz | bench | install; `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install weights run test check fuzz bench browser

help:
	@echo "make run     install what is missing and start at http://127.0.0.1:7860"
	@echo "make test    install what the tests need, the browser included, and run them all"
	@echo "make check   lint, formatting, types, import contract"
	@echo "make fuzz    ten minutes of broken recordings and messages"
	@echo "make bench   the benchmarks that need no data"

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Earpiece needs Python 3.11 or newer; set PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e .
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

.venv/.installed-bench: .venv/.installed-dev
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	@touch $@

install: .venv/.installed

weights: .venv/.installed
	@$(BIN)/python app.py fetch

run: weights
	$(BIN)/python app.py

browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "Installing Chromium for the browser tests"; \
	  if [ "$$(id -u)" = 0 ]; then SUDO=; else SUDO="sudo -n"; fi; \
	  { $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends chromium; } >/dev/null \
	  || echo "Chromium could not be installed: the browser tests will be skipped (an error where CI is set)"; }

test: .venv/.installed-dev weights browser
	$(BIN)/python -m pytest --cov --cov-report=term

check: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: .venv/.installed-dev
	$(BIN)/python -m tests.fuzz

bench: .venv/.installed-bench weights
	$(BIN)/python -m tests.benchmarks.bench_decode
	for family in ultravox qwen2_audio voxtral; do $(BIN)/python -m tests.benchmarks.bench_prefix --family $$family; done
	$(BIN)/python -m tests.benchmarks.bench_detection
	$(BIN)/python -m tests.benchmarks.bench_response --clips assets/clips
