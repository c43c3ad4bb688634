# Two commands do everything on a fresh machine:  make demo  and  make test.
# Needed: Python >= 3.11 with venv, a C++ compiler. cmake and ninja come from pip where they are missing.
# For a GPU build, give llama.cpp's own flags:  CMAKE_ARGS="-DGGML_CUDA=on" make demo

PYTHON ?= python3
# With `torch`, the tests of ggml compare it with PyTorch; with `zoo`, on models of other libraries too.
TEST_EXTRAS ?= test,dev
VENV   := .venv
BIN    := $(VENV)/bin
NATIVE  := $(shell find worker_native/src deploy ggml -name "*.cpp" -o -name "*.h")
SOURCES := $(NATIVE) worker_native/CMakeLists.txt pyproject.toml

# Tests that compute in their own process run side by side, one file at a time on each core (up to four: each process
# comes to need 1.5 GB); those that start clusters and measure what these do have the machine for themselves. Threads that
# wait for others sleep in the former: a tenth less time, on 2 cores with 2 processes.
BESIDE := tests/deploy tests/ggml tests/gpu tests/native tests/unit
ALONE  := tests/fault tests/http tests/net tests/ray

# Runs what takes minutes: its output goes to a log, how far it is to the terminal.
SHOWN := $(BIN)/python worker_native/shown_run.py

# MAKEFLAGS would make the compilers' own jobs wait for this make.
unexport MAKEFLAGS

.PHONY: demo test test-all faults check format lint types stubs clean help

help:
	@sed -n 's/^## //p' Makefile

## make demo     set up, serve the shipped model in two stages, stream a story, take it down
demo: $(VENV)/.ready
	@$(BIN)/python -m cluster.demo.tour

## make test     set up, then check and run all tests
test: check
	@OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(BESIDE); first=$$?; \
	$(BIN)/python -m pytest $(ALONE) && exit $$first

## make test-all the slow tests, too: PyTorch's own samples of its operators, models of other libraries
test-all: test
	@$(BIN)/pip install --quiet 'ggml-cluster[slow,zoo]'
	@$(BIN)/python -m pytest -m slow

## make faults   kill, stop and cut what a cluster is made of, five times each; the table goes to docs/faults.md
faults: $(VENV)/.ready-dev
	@FAULT_RUNS=5 FAULT_TABLE=docs/faults.md $(BIN)/python -m pytest tests/fault -m "slow or not slow" -s

## make check    format, lint, import floors, types
check: $(VENV)/.ready-dev
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/clang-format --dry-run --Werror $(NATIVE)
	@$(BIN)/lint-imports
	@$(BIN)/mypy

## make format   rewrite the sources in the project's format
format: $(VENV)/.ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(NATIVE)

## make stubs    regenerate the protobuf code after a change of protos/*.proto
stubs: $(VENV)/.ready-dev
	$(BIN)/python -m protos.generate

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python: 3.11 or newer is needed; run: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "venv: could not be made; on Debian and Ubuntu run: apt-get install python3-venv"; exit 1; }

# One wheel of llama.cpp serves the build of our extension and the runtime: it is compiled once.
$(VENV)/.ready: $(SOURCES) worker_native/build_llama.py worker_native/llama_options.cmake | $(VENV)/bin/python
	@wheels=$$($(BIN)/python worker_native/build_llama.py) && \
	echo "installing ggml-cluster into $(VENV) (about 90 seconds on 2 cores, most of them our own compilation)" >&2 && \
	$(SHOWN) $(VENV)/install.log $(BIN)/pip install --verbose --find-links "$$wheels" --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@echo "installing the test and lint tools into $(VENV)" >&2
	@$(SHOWN) $(VENV)/install-dev.log $(BIN)/pip install --verbose 'ggml-cluster[$(TEST_EXTRAS)]'
	@touch $@

## make clean    remove what was built here (the compiled llama.cpp stays in the user's cache)
clean:
	rm -rf $(VENV) build
