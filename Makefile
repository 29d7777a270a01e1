# The commands of this repository. `make` alone lists them.
#
# Everything lives in .venv and .cache; nothing outside this folder changes, except that `make test` and `make bench`
# install the Debian packages of their lists where they may (root, or sudo without a password).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test check format sim soak mutants trust bench clean

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
RUNTIME := .venv/.installed-runtime
DEV := .venv/.installed-dev
BENCH := .venv/.installed-bench
CODE := reconciler benchmarks examples

help:  ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -nE 's/^([a-z]+):.*## (.*)/  make \1 - \2/p' $(MAKEFILE_LIST)

demo: $(RUNTIME)  ## a sweep from commit to results on this machine, in a folder of its own
	@$(BIN)/reconciler demo $(ARGS)

test: $(DEV)  ## all tests; two processes (JOBS=n); ARGS="-k words tests/core" chooses some
	@.ci/debian-packages tests/debian-packages.txt
	@$(BIN)/python -m pytest -n $(or $(JOBS),2) --dist loadfile $(ARGS)

check: $(DEV)  ## format, lint, types, layers, and the agent's Python version
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/vermin --quiet --no-tips --violations --target=3.6- reconciler/agent

format: $(DEV)  ## let ruff format the code and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

sim: $(DEV)  ## the simulator: SEEDS=0:2000, or SEED=7 replays one and tells its story
	@$(BIN)/python -m tests.sim $(if $(SEED),--seed $(SEED) --verbose,--seeds $(or $(SEEDS),0:2000) --jobs 2) $(ARGS)

soak: $(DEV)  ## a real daemon killed at random until N=1000 tasks are done
	@$(BIN)/python -m tests.soak --tasks $(or $(N),1000) $(ARGS)

mutants: $(DEV)  ## each guard of the protocol taken out, one at a time: is it noticed?
	@$(BIN)/python -m tests.mutants --jobs 2 $(ARGS)

trust: $(DEV)  ## the long version of all of that, and of the tests of kills, torn writes and rebuilding
	@.ci/debian-packages tests/debian-packages.txt
	@$(BIN)/python -m tests.trust --long $(ARGS)

repro-%: $(DEV)  # one bug of TRUST.md's track record, put back into a copy, and what catches it
	@$(BIN)/python -m tests.mutants --only $*

bench: $(BENCH)  ## the figures of benchmarks/README.md, beside their peers, in one run
	@.ci/debian-packages benchmarks/debian-packages.txt
	@$(BIN)/python -m benchmarks $(ARGS)

clean:  ## remove all that these commands made, .venv included
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp per set of dependencies: the second run is instant, and a change of pyproject.toml installs again.

$(BIN)/python:
	@python=$$(.ci/python) && echo "making .venv with $$python" && "$$python" -m venv --clear .venv

$(RUNTIME): pyproject.toml | $(BIN)/python
	@echo "installing what the reconciler needs into .venv"
	@$(PIP) install 'pip>=25.1'  # the first with --group
	@$(PIP) install --editable .
	@touch $@

$(DEV): pyproject.toml $(RUNTIME)
	@echo "installing what tests and checks need into .venv"
	@$(PIP) install --group dev
	@touch $@

$(BENCH): pyproject.toml $(RUNTIME)
	@echo "installing the peers of the benchmarks into .venv"
	@$(PIP) install --group bench
	@$(BIN)/python -m venv .cache/snakemake  # it brings other versions of what we need, too
	@.cache/snakemake/bin/python -m pip --quiet --disable-pip-version-check install 'pip>=25.1'
	@.cache/snakemake/bin/python -m pip --quiet --disable-pip-version-check install --group snakemake
	@touch $@
