.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# One stamp an extra: `make demo` on a bare machine installs what the demo needs and no more.
$(VENV)/.demo $(VENV)/.dev: $(VENV)/.%: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing tollhouse[$*] into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@touch $@

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 12

.PHONY: demo
demo: $(VENV)/.demo ## a real Envoy asks both services about real requests (ARGS=--keep leaves it up)
	@$(BIN)/python -m deploy.demo $(ARGS)

.PHONY: test
test: $(VENV)/.dev ## all tests, with branch coverage
	@$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

.PHONY: check
check: $(VENV)/.dev ## format, lint, types, import contracts, regenerate-and-diff, then the tests
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory test

.PHONY: lint
lint: $(VENV)/.dev ## everything of check but the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m protos.generate --check
	$(BIN)/python -m deploy.render --check

.PHONY: format
format: $(VENV)/.dev ## let ruff write what check asks for
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(VENV)/.dev ## CPU-µs of a call on each engine, straight and behind a real Envoy
	@$(BIN)/python -m loadtest.bench $(ARGS)

.PHONY: loadtest
loadtest: $(VENV)/.dev ## p50 and p99 that each service adds behind a real Envoy (Locust)
	@$(BIN)/python -m loadtest $(ARGS)

.PHONY: protos
protos: $(VENV)/.dev ## regenerate the protobuf twins
	$(BIN)/python -m protos.generate

.PHONY: manifests
manifests: $(VENV)/.dev ## regenerate deploy/kubernetes from the typed wiring
	$(BIN)/python -m deploy.render

.PHONY: clean
clean: ## remove the virtual environment and what the tools left
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* build *.egg-info
