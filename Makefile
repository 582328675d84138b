# rsrag: `make demo` shows what it does, `make test` checks that it does.
# Both set up .venv from pyproject.toml with constraints.txt, and need only git, make and Python 3.11.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-all test-faults lint types check setup plugins bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@PYTHON="$(PYTHON)" sh .ci/setup.sh $(VENV)
	@touch $@

demo: setup
	@$(BIN)/python examples/demo.py

test: setup
	$(BIN)/python -m pytest -q

test-all: setup
	$(BIN)/python -m pytest -q -m "slow or not slow"

# Writers that are killed, disks that are full or fail, files cut off, and many at once; see docs/reliability.md.
test-faults: setup
	$(BIN)/python -m pytest -q -m faults

# The packages in plugins/, each installed beside rsrag into an environment of its own and tested there.
plugins: setup
	BORROW=$(VENV) sh .ci/plugins.sh

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

check: test lint types

clean:
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
