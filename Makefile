# `make demo` and `make test` are all a new machine needs: they make their own environment in .venv.
#   PYTHON=python3.12    the Python to make it from      TORCH=cpu|gpu|auto   which build of torch
#   VENV=folder          where it lies
VENV   ?= .venv
PYTHON ?=
TORCH  ?= auto
CORPUS ?=
ROOT   ?=
ARGS   ?=

BIN  := $(VENV)/bin
MADE := pyproject.toml constraints.txt scripts/setup_env.py

# One thread for each test process: two OpenMP threads in each of two processes wait for each other.
test test-slow check: export OMP_NUM_THREADS = 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-slow check format docs clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20
	@echo 'With a corpus of your own disk: make demo CORPUS=emodb ROOT=path/to/emodb'

demo: $(VENV)/.ready-use ## corpus, honest folds, GLAM, report, prediction; needs no data
	@$(BIN)/serenade demo $(if $(CORPUS),--corpus $(CORPUS)) $(if $(ROOT),--root '$(ROOT)') $(ARGS)

test: $(VENV)/.ready-dev ## the default tests, in two processes
	@$(BIN)/pytest -n 2 $(ARGS)

test-slow: $(VENV)/.ready-dev ## the tests marked slow
	@$(BIN)/pytest -n 2 -m 'slow and not gpu' $(ARGS)

check: $(VENV)/.ready-dev ## format, lint, strict types, import directions, default tests: what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q -p no:randomly tests/contracts/test_imports.py
	$(BIN)/pytest -n 2 $(ARGS)

format: $(VENV)/.ready-dev ## lay out the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.ready-docs ## the documentation, into docs/_build
	$(BIN)/sphinx-build --fail-on-warning --quiet docs docs/_build
	@echo 'Made docs/_build/index.html'

clean: ## remove everything that make makes, the environment too
	rm -rf $(VENV) docs/_build build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready-use: EXTRAS = train,media
$(VENV)/.ready-dev: EXTRAS = train,media,data,track,explain,ssl,serve,vad,export,faces,dev
$(VENV)/.ready-docs: EXTRAS = train,media,docs
$(VENV)/.ready-%: $(MADE)
	@python=$$(PYTHON='$(PYTHON)' scripts/find_python.sh) && "$$python" scripts/setup_env.py $(VENV) --extras $(EXTRAS) --torch $(TORCH)
	@touch $@
