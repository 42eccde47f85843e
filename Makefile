# Everything here does its own set-up: Python 3.11 or newer, make and git are enough. `make help` lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test check format bench fuzz mutate docs screenshots clean setup setup-demo setup-fuzz setup-mutate peers

PY := .venv/bin/python
# Arguments for pytest: make test ARGS="tests/person -k consent"
ARGS ?=
# How many processes run the tests, by default two a processor, since many wait for servers and browsers; JOBS=0 runs
# them in one, which a debugger needs.
JOBS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1))))

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || \
		sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

demo: setup-demo ## Run the guided first contact on this machine; YES=1 runs it unattended
	@.venv/bin/aauth demo $(if $(filter-out 0 no false,$(YES)),--yes)

test: setup peers ## Run the whole test suite; ARGS=... is passed to pytest
	@scripts/with-postgres $(PY) -m pytest -q -n $(JOBS) --maxprocesses=8 --dist=loadfile --no-loadscope-reorder $(ARGS)

check: setup ## Lint, format, types, layers and generated documents
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache --no-logo
	$(PY) scripts/conformance.py --check
	$(PY) scripts/failures.py --check

format: setup ## Put the code in the house format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# Arguments for the measurements: make bench BENCH_ARGS="--only four_party policies".
BENCH_ARGS ?=

bench: setup ## Measure, print and write bench/results.json
	scripts/with-postgres $(PY) bench/run.py $(BENCH_ARGS)

# How many inputs make fuzz tries over all targets, and more arguments, such as FUZZ_ARGS="--only headers --seed 2".
RUNS ?= 1050000

fuzz: setup-fuzz ## Fuzz what reads strangers' input, guided by coverage; RUNS=... inputs, a million by default
	$(PY) -m fuzz.run --runs $(RUNS) $(FUZZ_ARGS)

mutate: setup-mutate ## Mutation testing of httpsig, tokens and deferred; writes docs/mutation.md; MUTATE_ARGS="--only tokens/profile"
	$(PY) scripts/mutate.py $(MUTATE_ARGS)

docs: setup ## Write docs/conformance.md, docs/attacks.md and docs/failures.md anew from the tests
	$(PY) scripts/conformance.py
	$(PY) scripts/attacks.py
	$(PY) scripts/failures.py

screenshots: setup ## Take the pictures in docs/pictures anew, in Chromium
	AAUTHLIB_PICTURES=docs/pictures $(PY) -m pytest -q -m browser

clean: ## Remove the environment and everything generated
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache tests/interop/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@scripts/bootstrap dev

setup-demo:
	@scripts/bootstrap demo

setup-fuzz:
	@scripts/bootstrap fuzz

setup-mutate:
	@scripts/bootstrap mutate

peers:
	@scripts/interop-node
