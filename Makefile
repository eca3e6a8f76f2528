# Everything a developer types. The only thing that must be there is Python 3.11 or newer; `.venv` is made on demand.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
SHARED ?= ../shared
PROTO := runtime/om/ge_ir.proto runtime/om/task.proto
PACKAGES := dialects passes lowering runtime tools

# One thread per BLAS call: tests and blocks run in parallel processes, and timings repeat.
export OPENBLAS_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1
export PIP_NO_INPUT ?= 1

.DEFAULT_GOAL := help
.PHONY: help dev demo test lint types unit lit isa proto docs bench cores containers conformance clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# The folders under the name they are imported by, for the type checker (docs/decisions has the reason).
build/typing/ascend_mlir/__init__.py:
	@mkdir -p $(@D)
	@for folder in $(PACKAGES); do ln -sfn ../../../$$folder $(@D)/$$folder; done
	@ln -sfn ../../../tools/package/__init__.py $@

dev: $(VENV)/.installed-dev build/typing/ascend_mlir/__init__.py ## environment for development
	@if [ -d .git ]; then $(BIN)/pre-commit install >/dev/null; fi

demo: $(VENV)/.installed-demo ## compile the digits network, run it on the simulator, compare
	$(BIN)/python examples/digits/demo.py

test: lint types unit lit ## everything CI checks

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev build/typing/ascend_mlir/__init__.py
	$(BIN)/basedpyright

unit: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) -q

lit: $(VENV)/.installed-dev
	$(BIN)/lit -j $(JOBS) -q tests/filecheck

isa: $(VENV)/.installed-dev ## regenerate the instruction ops from the ISA table
	$(BIN)/python -m ascend_mlir.tools.generate_isa

proto: $(VENV)/.installed-dev build/typing/ascend_mlir/__init__.py ## regenerate the protobuf modules
	cd build/typing && ../../$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. $(addprefix ascend_mlir/,$(PROTO))

docs: isa ## regenerate isa.md, dialects.md and passes.md in docs
	$(BIN)/python -m ascend_mlir.tools.generate_docs

bench: $(VENV)/.installed-dev ## measure compile time, simulator speed and modelled latency
	$(BIN)/python benchmarks/run.py

cores: $(VENV)/.installed-dev ## list the tasks that leave cores idle (needs SHARED for more than the benchmark's models)
	$(BIN)/python benchmarks/cores.py --folder $(SHARED)/models

containers: $(VENV)/.installed-dev ## write, read, compile twice and view the .om of every shared model (needs SHARED)
	$(BIN)/python benchmarks/containers.py --folder $(SHARED)/models

conformance: $(VENV)/.installed-dev ## the ONNX backend suite and whole models (needs SHARED)
	$(BIN)/python $(SHARED)/conformance/run_onnx_backend.py
	$(BIN)/python $(SHARED)/conformance/run_models.py $(SHARED)/models/real $(SHARED)/models/tiny

clean: ## remove what was generated, but not the environment
	rm -rf build out demo .pytest_cache .ruff_cache .hypothesis
