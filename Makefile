# What people type; .ci/run calls the same rules.
# Everything runs in .venv, made by the first rule that needs it.

SHELL := /bin/bash
.SHELLFLAGS := -e -u -o pipefail -c
PYTHON := .venv/bin/python
INSTALLED := .venv/installed

# A folder name reaches the recipe through the environment, as it was typed: `$$` and quotes too.
unexport SLIDES
export DEMO_SLIDES := $(value SLIDES)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slurm test-pbs lint types check coverage clean

help:
	@echo 'make demo [SLIDES=FOLDER]  slides to a feature store, on synthetic slides or on your own'
	@echo 'make test                  the tests; those on a real SLURM too, where one can be started'
	@echo 'make test-slurm            only those on a real SLURM (as root, on Debian or Ubuntu)'
	@echo 'make test-pbs              the PBS that is on PATH in place of the fake one; it gets small jobs'
	@echo 'make lint, make types      style and spelling; types'
	@echo 'make check                 lint, types and tests: what CI runs'
	@echo 'make coverage              the tests, with the lines that none of them reached'
	@echo 'make clean                 remove .venv, caches and built packages; demo/ stays'

# The first Python that is new enough and able to make an environment: a pyenv shim may be neither.
$(INSTALLED): pyproject.toml
	@if [ ! -x $(PYTHON) ]; then \
	  for candidate in python3.13 python3.12 python3.11 python3; do \
	    if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	      2>/dev/null; then found=$$candidate; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    echo 'error: no Python 3.11 or newer that has the venv module was found' >&2; \
	    echo '       (tried python3.13, python3.12, python3.11, python3);' >&2; \
	    echo '       on Debian and Ubuntu: apt-get install python3-venv' >&2; \
	    exit 1; \
	  fi; \
	  "$$found" -m venv .venv; \
	fi
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

# Each folder of slides gets a demo of its own: a run directory is frozen.
demo: $(INSTALLED)
	@if [ -n "$$DEMO_SLIDES" ]; then \
	  folder=$$(realpath -m -- "$$DEMO_SLIDES"); \
	  mark=$$(printf %s "$$folder" | sha256sum | cut -c 1-8); \
	  set -- "demo/own-$$(basename -- "$$folder")-$$mark" --slides "$$DEMO_SLIDES"; \
	else \
	  set -- demo/synthetic; \
	fi; \
	$(PYTHON) -m slidearray demo "$$@"

# Tests of one file stay together (loadfile): what they share is made once, runs on SLURM above all.
test: $(INSTALLED)
	$(PYTHON) -m pytest -n 2 --dist loadfile

test-slurm: $(INSTALLED)
	@tests/slurm/cluster/start-slurm --check
	CI=true $(PYTHON) -m pytest -n 2 --dist loadfile tests/slurm

# A real PBS takes the place of the fake one: whoever types this submits small jobs to it.
test-pbs: $(INSTALLED)
	@command -v qsub > /dev/null || { echo 'error: no qsub on PATH: type this where jobs are submitted' >&2; exit 1; }
	SLIDEARRAY_REAL_PBS=1 $(PYTHON) -m pytest -k '[pbs' \
	  tests/one_set/test_runs.py tests/one_set/test_faults.py tests/one_set/test_forgetting.py

lint: $(INSTALLED)
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m codespell_lib

types: $(INSTALLED)
	$(PYTHON) -m mypy

check: lint types test

# In one process: with pytest-xdist, coverage warns that the process in charge measured nothing.
coverage: $(INSTALLED)
	$(PYTHON) -m coverage erase
	$(PYTHON) -m coverage run -m pytest
	$(PYTHON) -m coverage combine --quiet
	$(PYTHON) -m coverage report --skip-covered

clean:
	rm -rf .venv dist build .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
