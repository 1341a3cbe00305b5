# Targets that a person types; CI and hooks call the same ones. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STOCK ?= .venv-promptflow
RECORDED := build/azure-requests
AZURE_SPECS ?= ../shared/azure-specs
DEPLOYS := $(wildcard tests/conformance/azure tests/conformance/targets tests/unit/deploy tests/integration/*container_app* tests/integration/*deploy*)
# Two more than there are cores, because tests also wait for servers and other processes; who has nothing left to do takes
# tests from the others.
PROCESSES ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 2)')
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test check lint format types imports sizes docs site bench calibration conformance faults deploy-faults quota fuzz soak ray browser azure-schemas infra-schemas lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## compare the arms of flows/ask_docs, offline and without a key
	$(BIN)/headrace compare flows/ask_docs/experiment.yaml

test: $(VENV)/.dev ## install what the tests need and run them with the import contracts and linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m compileall -q src tests/support  # the tests start hundreds of processes, which would each compile them
	$(BIN)/python -m pytest tests/unit/compat  # replaces the import system: in a process without other tests' threads
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist worksteal --ignore=tests/unit/compat

check: test sizes ## everything that must be green before a commit

lint: $(VENV)/.dev ## ruff
	$(BIN)/ruff check .

format: $(VENV)/.dev ## ruff format
	$(BIN)/ruff format .

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/.dev ## layers and other import contracts
	$(BIN)/lint-imports

sizes: $(VENV)/.dev ## modules of at most 500 lines
	$(BIN)/python -m pytest tests/conformance/test_sizes.py

docs: $(VENV)/.dev ## write the generated reference pages, and what is rendered from the template of a project, again
	$(BIN)/python -m tests.support.reference_docs
	$(BIN)/python -m tests.support.own_project

site: $(VENV)/.dev ## the documentation as a site, in build/site
	$(BIN)/python -m tests.support.site

$(STOCK)/.installed: pyproject.toml
	$(PYTHON) -m venv $(STOCK)
	$(STOCK)/bin/python -m pip install --quiet --disable-pip-version-check 'promptflow==1.18.5' 'promptflow-tools==1.6.1' 'keyrings.alt>=5.0' gunicorn
	@touch $@

bench: $(VENV)/.dev $(STOCK)/.installed ## speed side by side with stock promptflow and a bare floor; minutes
	$(BIN)/python -m tests.bench --stock $(STOCK)
	$(BIN)/python -m tests.bench.serve --stock $(STOCK)

calibration: $(VENV)/.dev ## coverage and error rates of the statistics, written to docs/calibration.md; minutes
	$(BIN)/python -m tests.calibration --write

conformance: $(VENV)/.dev $(STOCK)/.installed ## the conformance cases and every flow here under headrace and under live stock promptflow
	HEADRACE_STOCK=$(STOCK) $(BIN)/python -m pytest -m live tests/conformance/stock tests/conformance/promptflow tests/conformance/promptflow_records

faults: $(VENV)/.dev ## kill runs and their workers at random moments; minutes
	$(BIN)/python -m pytest -m faults --ignore=tests/faults/deploy tests/faults

deploy-faults: $(VENV)/.dev ## deploy to stand-ins for Azure while every request meets every fault and processes die; minutes
	$(BIN)/python -m pytest -m faults --numprocesses $(PROCESSES) tests/faults/deploy

quota: $(VENV)/.dev ## how much of a service's limit is used over HTTP, by one process and by three; minutes
	$(BIN)/python -m pytest -m quota --numprocesses $(PROCESSES) tests/integration/test_quota.py

soak: $(VENV)/.dev ## ten minutes (SOAK_S) of load on served flows while processes die and everything around them breaks
	$(BIN)/python -m tests.soak

$(VENV)/.fuzz: pyproject.toml $(VENV)/.dev
	$(PIP) 'schemathesis>=4.32,<5'
	@touch $@

fuzz: $(VENV)/.fuzz ## try what the OpenAPI document of served flows says in every way; installs schemathesis, a minute
	$(BIN)/python -m tests.fuzz

$(VENV)/.ray: pyproject.toml $(VENV)/.dev
	$(PIP) 'ray[client]>=2.40,<3'
	@touch $@

ray: $(VENV)/.ray ## runs on Ray on this machine, its workers killed as well; installs Ray, some minutes
	$(BIN)/python -m pytest -m ray tests/ray

$(VENV)/.browser: pyproject.toml $(VENV)/.dev
	$(PIP) 'selenium>=4.40,<5'
	@touch $@

browser: $(VENV)/.browser ## the pages of comparisons and served flows in Chromium; needs Debian's chromium and chromium-driver
	$(BIN)/python -m pytest -m browser tests/browser

azure-schemas: $(VENV)/.dev ## what the suite sends to Azure's stand-in against Azure's schemas (HEADRACE_AZURE_SCHEMAS, ../shared/azure-specs)
	rm -rf $(RECORDED) && mkdir -p $(RECORDED)
	HEADRACE_AZURE_RECORD=$(abspath $(RECORDED)) $(BIN)/python -m pytest --numprocesses $(PROCESSES) $(DEPLOYS)
	HEADRACE_AZURE_RECORD=$(abspath $(RECORDED)) $(BIN)/python -m pytest -m azure_schemas tests/azure_schemas

infra-schemas: $(VENV)/.dev ## the Bicep files against Azure's schemas (AZURE_SPECS, ../shared/azure-specs), and the table of their lint against both
	$(BIN)/python -m tests.infra_schemas --specs $(AZURE_SPECS)

lock: $(VENV)/.dev ## write constraints.txt from what is installed now
	$(BIN)/python -m pip list --format=freeze --exclude headrace --exclude pip --exclude setuptools > constraints.txt

clean: ## remove what these targets made
	rm -rf $(VENV) $(STOCK) build dist .mypy_cache .ruff_cache .import_linter_cache .headrace
