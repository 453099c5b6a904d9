# make run | test | test-engine | check | fuzz | bench | screenshots | install | lock | space-dry-run; `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin
# Processes that test at the same time; each may hold 8 GB of weights.
WORKERS ?= 2

# What is downloaded has the hashes that the lock files give for the versions of constraints.txt. Then pip installs
# Earpiece itself, and PyTorch: which build of it a machine gets, with CUDA libraries or without, no lock can know.
INSTALL := $(BIN)/pip install --quiet
LOCKED := $(INSTALL) --require-hashes --no-deps
OURS := $(INSTALL) --no-build-isolation -c constraints.txt

.PHONY: help install weights test-weights run test test-engine check fuzz bench browser prometheus proxy postgresql screenshots lock requirements space-dry-run

help:
	@echo "make run     install what is missing and start at http://127.0.0.1:7860"
	@echo "make test    install what the tests need, Chromium, Prometheus, nginx and PostgreSQL included, and run them all"
	@echo "make test-engine   the same model on a vLLM of its own, compared token by token; takes minutes, not part of test"
	@echo "make check   lint, formatting, types, import contract"
	@echo "make fuzz    ten minutes of broken recordings and messages"
	@echo "make bench   the benchmarks that need no data"
	@echo "make screenshots   pictures of every view of the page into assets/screenshots"
	@echo "make lock    write the lock files and requirements.txt anew from pyproject.toml and constraints.txt; needs uv"
	@echo "make space-dry-run   what a Hugging Face Space would do with this checkout, the page in a frame included"

.venv/.installed: pyproject.toml constraints.txt requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Earpiece needs Python 3.11 or newer; set PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(LOCKED) -r requirements.lock
	$(OURS) -e .
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.lock
	$(LOCKED) -r requirements-dev.lock
	$(OURS) -e '.[dev]'
	@touch $@

.venv/.installed-bench: .venv/.installed-dev
	$(OURS) -e '.[bench]'
	@touch $@

install: .venv/.installed

weights: .venv/.installed
	@$(BIN)/python app.py fetch

test-weights: weights
	@$(BIN)/python app.py fetch --model pocket-tiny --ears whisper --voice af_heart

run: weights
	$(BIN)/python app.py

browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "Installing Chromium for the browser tests"; \
	  if [ "$$(id -u)" = 0 ]; then SUDO=; else SUDO="sudo -n"; fi; \
	  { $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends chromium; } >/dev/null \
	  || echo "Chromium could not be installed: the browser tests will be skipped (an error where CI is set)"; }

prometheus:
	@command -v prometheus >/dev/null || { \
	  echo "Installing Prometheus for the test of the metrics"; \
	  if [ "$$(id -u)" = 0 ]; then SUDO=; else SUDO="sudo -n"; fi; \
	  { $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends prometheus \
	    && { $$SUDO systemctl disable --now prometheus 2>/dev/null || true; }; } >/dev/null \
	  || echo "Prometheus could not be installed: its test will be skipped (an error where CI is set)"; }

proxy:
	@command -v nginx >/dev/null || test -x /usr/sbin/nginx || { \
	  echo "Installing nginx for the tests of several processes"; \
	  if [ "$$(id -u)" = 0 ]; then SUDO=; else SUDO="sudo -n"; fi; \
	  { $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends nginx \
	    && { $$SUDO systemctl disable --now nginx 2>/dev/null || true; }; } >/dev/null \
	  || echo "nginx could not be installed: its tests will be skipped (an error where CI is set)"; }

postgresql:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  echo "Installing PostgreSQL for the tests of the store"; \
	  if [ "$$(id -u)" = 0 ]; then SUDO=; else SUDO="sudo -n"; fi; \
	  { $$SUDO apt-get update -qq && $$SUDO mkdir -p /etc/postgresql-common \
	    && { [ -e /etc/postgresql-common/createcluster.conf ] \
	      || echo "create_main_cluster = false" | $$SUDO tee /etc/postgresql-common/createcluster.conf; } \
	    && $$SUDO apt-get install -y -qq --no-install-recommends postgresql; } >/dev/null \
	  || echo "PostgreSQL could not be installed: its tests will be skipped (an error where CI is set)"; }

test: .venv/.installed-dev weights test-weights browser prometheus proxy postgresql
	$(BIN)/python -m pytest -m 'not alone' -n $(WORKERS) --dist loadfile --cov --cov-report= --cov-fail-under=0
	$(BIN)/python -m pytest -m alone --cov --cov-append --cov-report=term

VLLM_ENVIRONMENT ?= $(HOME)/.cache/earpiece-vllm

test-engine: .venv/.installed-dev
	$(BIN)/python -m tests.engine.environment $(VLLM_ENVIRONMENT)
	VLLM_PYTHON=$(VLLM_ENVIRONMENT)/bin/python $(BIN)/python -m pytest -s tests/engine/check_vllm.py

check: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

screenshots: .venv/.installed-dev browser
	$(BIN)/python -m tests.browser.screenshots

fuzz: .venv/.installed-dev
	$(BIN)/python -m tests.fuzz

bench: .venv/.installed-bench weights
	$(BIN)/python -m tests.benchmarks.bench_decode
	for family in ultravox qwen2_audio voxtral; do $(BIN)/python -m tests.benchmarks.bench_prefix --family $$family; done
	$(BIN)/python -m tests.benchmarks.bench_detection
	$(BIN)/python -m tests.benchmarks.bench_response --clips assets/clips
	$(BIN)/python -m tests.benchmarks.bench_answers --by text

TORCH := torch triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc \
  cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command 'make lock' \
  -c constraints.txt pyproject.toml

lock:
	$(COMPILE) $(addprefix --no-emit-package ,$(TORCH)) -o requirements.lock
	$(COMPILE) --all-extras $(addprefix --no-emit-package ,$(TORCH)) \
	  $$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements.lock) -o requirements-dev.lock
	$(MAKE) requirements

requirements:
	$(PYTHON) -m deploy.requirements

space-dry-run: .venv/.installed-dev weights browser
	$(BIN)/python -m deploy.dry_run
