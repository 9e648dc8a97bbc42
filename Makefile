# The verbs of daily work. Each sets up .venv by itself: once, and again when requirements change.
#   PYTHON=python3.12                  the interpreter to make .venv with
#   TORCH_PIP_ARGS='--index-url ...'   which build of torch to install where there is none

PY := .venv/bin/python
READY := .venv/.ready
# One process a core, each with whole files: what a file makes for all its tests is made once.
SPREAD := --numprocesses logical --maxprocesses 8 --dist loadfile
# What the CPU extension is built from.
CSRC := $(wildcard csrc/*.cpp csrc/*.h)

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-all lint

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(READY) ## Generate counted videos with the built-in model, into demo/
	.venv/bin/numina demo --out demo --force

test: $(READY) ## Run the fast and the full tests (CPU, no network, at most 10 minutes)
	$(PY) -m pytest $(SPREAD) -m "not gpu and not exhaustive"

test-fast: $(READY) ## Run the fast tests alone (at most 2 minutes)
	$(PY) -m pytest $(SPREAD) -m "not slow and not gpu"

test-all: $(READY) ## Run everything: the large sweeps too, and the GPU tests where there is a GPU
	$(PY) -m pytest $(SPREAD) --hypothesis-profile=default

lint: $(READY) ## Check style, formatting and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# Nothing here may ask a server for weights. Idle OpenMP threads sleep instead of spinning: on a
# busy machine spinning threads keep the working ones from their cores.
demo test test-fast test-all: export HF_HUB_OFFLINE = 1
demo test test-fast test-all: export OMP_WAIT_POLICY = PASSIVE
demo test test-fast test-all: export KMP_BLOCKTIME = 0

$(READY): pyproject.toml setup.py constraints.txt .ci/setup $(CSRC)
	@PYTHON='$(PYTHON)' TORCH_PIP_ARGS='$(TORCH_PIP_ARGS)' .ci/setup
	@touch $@
