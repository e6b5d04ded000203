# Needs make and Python 3.11 or later, nothing else: PostgreSQL and Valkey come as Python wheels.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROTOS_OUT ?= .
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11
# One line of pip that nobody asked for.
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo serve bench test protos docs lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## Create .venv with the pinned dependencies (every command below does it first)

# Hashes make the lock the last word on what is installed; the lock names everything, so pip need not resolve anything.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; choose one with: make PYTHON=python3.12 setup" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
		{ echo "Python's venv module is needed (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Installing the pinned dependencies into $(VENV) (about a minute, once) ..."
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps --no-compile --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## See card traffic authorized on real servers; leaves nothing running
	@$(BIN)/authsvc demo $(ARGS)

serve: setup ## Run the service, embedded servers included; Ctrl-C drains; data stays in .authsvc
	@$(BIN)/authsvc serve $(ARGS)

bench: setup ## Measure throughput beside a no-op echo of the same run
	@$(BIN)/authsvc bench $(ARGS)

test: setup ## Lint, types, import walls, and the whole test suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

protos: setup ## Regenerate authsvc/v1 from protos/authsvc/v1
	$(BIN)/python -m grpc_tools.protoc -I protos --python_out=$(PROTOS_OUT) --pyi_out=$(PROTOS_OUT) \
		--grpc_python_out=$(PROTOS_OUT) protos/authsvc/v1/*.proto

docs: setup ## Regenerate docs/api.md from the contract, lifecycle-cases.md from the cases, data-model.md from the schema
	$(BIN)/python docs/make_api.py
	$(BIN)/python docs/make_cases.py
	$(BIN)/python docs/make_data_model.py

lock: setup ## Pin again what pyproject.toml names; delete a lock first to take newer versions
	$(COMPILE) --extra build --extra dev --extra embedded pyproject.toml --output-file requirements.lock
	$(COMPILE) --extra build --constraint requirements.lock pyproject.toml --output-file requirements-run.lock

clean: ## Remove .venv, caches and build results; data in .authsvc stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
