# `make demo`, `make test`, `make lint` each do their own set-up; a second run installs nothing.
# Variables: PYTHON (3.11 or 3.12), INPUT (your own volume for the demo), ARGS (more options for the demo),
# ROWS (benchmarks to run, with commas between), TORCH_INDEX (a pip index with the torch build you want, see README).

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TORCH_INDEX ?=
INPUT ?=
ARGS ?=
ROWS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test lint format soak bench clean system-run system-test

help:
	@echo "make demo     translate an example and show it (INPUT=path for your own, ARGS=--no-browser to only write files)"
	@echo "make test     all tests        make soak   the tests with many repetitions"
	@echo "make bench    how fast it is, into Testing/Benchmarks/RESULTS.md (ROWS=a,b for some)"
	@echo "make lint     ruff and mypy    make clean  remove .venv and caches"

demo: $(VENV)/.run
	@$(BIN)/imagetranslation demo $(if $(INPUT),--input "$(INPUT)") $(ARGS)

test: $(VENV)/.test
	@sh Testing/run.sh $(BIN)/python

soak: $(VENV)/.test
	@IMAGETRANSLATION_SOAK=1 $(BIN)/python -m pytest -m soak Testing

bench: $(VENV)/.test
	@$(BIN)/python -m Testing.Benchmarks $(if $(ROWS),--rows "$(ROWS)")

lint: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.test
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# ---- set-up ----------------------------------------------------------------------------------------------------

# What Debian must provide: checked by use, installed when root, otherwise named in one apt line.
system-run:
	@PYTHON="$(PYTHON)" sh Resources/Setup/system-packages.sh run

system-test:
	@PYTHON="$(PYTHON)" sh Resources/Setup/system-packages.sh test

# The stamps' order-only prerequisites look at the machine each time; the stamps themselves only at the lock files.
$(VENV)/.run: requirements.lock pyproject.toml | system-run
	@echo "Setting up $(VENV) (once; some minutes)"
	@test -x $(BIN)/pip || "$(PYTHON)" -m venv $(VENV)
	@$(if $(TORCH_INDEX),$(PIP) --index-url "$(TORCH_INDEX)" "$$(grep '^torch==' requirements.lock)")
	@$(PIP) -r requirements.lock
	@PYTHONWARNINGS=ignore $(PIP) --no-build-isolation --no-deps -e .
	@sh Resources/Setup/pyradiomics.sh $(BIN)/python
	@touch $@

$(VENV)/.test: Testing/requirements.lock $(VENV)/.run | system-test
	@$(PIP) -r Testing/requirements.lock
	@touch $@
