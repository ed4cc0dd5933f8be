# Everything here needs Python 3.11 or later, make and git; no Docker, no Java, no database server.
# PYTHON=python3.12 make ... chooses another interpreter for a new .venv.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
PYTHON ?= python3
UV := 0.13.9
BIN := .venv/bin
STAMP := .venv/.installed
# Those on a platform need helm and promtool, those on a cluster Kubernetes: targets of their own, below.
PLATFORM := tests/chart tests/observability
CLUSTER := tests/images tests/cluster
TESTS ?= $(filter-out $(PLATFORM) $(CLUSTER) tests/__pycache__,$(patsubst %/,%,$(wildcard tests/*/)))
# Most tests wait for processes: two workers at a time halve the time, on two cores too.
WORKERS ?= 2

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(STAMP) ## Set up .venv as the lock file says (nothing to do when it is up to date)

$(STAMP): uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Garant needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." >&2; \
	  echo "Install one and name it: make PYTHON=python3.12 install" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "'$(PYTHON) -m venv' does not work here. On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@$(BIN)/uv --version 2>/dev/null | grep -qF 'uv $(UV) ' || $(BIN)/pip install --disable-pip-version-check \
	  --progress-bar on 'uv==$(UV)' || { echo "uv could not be had: is the package index reachable?" >&2; exit 1; }
	@echo "installing what uv.lock pins"
	@VIRTUAL_ENV= UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never $(BIN)/uv sync --frozen
	@touch $@

.PHONY: up
up: $(STAMP) ## Run everything here, until Ctrl-C
	@$(BIN)/garant up

.PHONY: test
test: $(STAMP) ## Run every test, or TESTS=tests/core; WORKERS=1 one after another
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(TESTS)

.PHONY: test-platform
test-platform: $(STAMP) ## Test chart, alerts and dashboards (needs helm and promtool)
	$(BIN)/pytest $(PLATFORM)

.PHONY: test-cluster
test-cluster: $(STAMP) ## Test images and chart with Docker and the Kubernetes of KUBECONFIG (docs/operations/prove-it.md)
	GARANT_TEST_CLUSTER=1 $(BIN)/pytest -s $(CLUSTER)

.PHONY: faults
faults: $(STAMP) ## Break everything again and again, and check what is left (an hour or two); FAULTS='--seed 2'
	GARANT_FAULTS_LONG=1 $(BIN)/python -m tests.faults $(FAULTS)

.PHONY: check
check: $(STAMP) ## Check format, lint, types, import rules and the AsyncAPI document
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/core/test_import_rules.py
	$(BIN)/garant asyncapi --check

.PHONY: format
format: $(STAMP) ## Bring the sources into the checked format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(STAMP) ## Measure
	$(BIN)/python -m bench
