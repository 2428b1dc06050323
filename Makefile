# `make` prints the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ATTACKS := tests/unit/test_keys.py tests/integration/test_token_attacks.py tests/integration/test_rate_limits.py \
	tests/attacks
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: help
help: ## Print the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/runtime ## Serve the documented example on port 3001, from memory
	@exec $(BIN)/customer-service demo

.PHONY: test
test: $(VENV)/dev ## Run every test, on mongomock and on a real mongod
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not alone" --numprocesses 3 --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage run -m pytest -m alone
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.PHONY: fuzz
fuzz: $(VENV)/dev ## Hold the OpenAPI document against the service with 10,000 requests
	CI=true FUZZ_EXAMPLES=800 $(BIN)/pytest -q -s tests/e2e/test_schemathesis.py

.PHONY: attack
attack: $(VENV)/dev ## Attack it, also at length, and tabulate what held
	CI=true ATTACK_CUSTOMERS=1000 $(BIN)/pytest -q -p tests.attacks.report -o python_files="test_*.py timing.py" $(ATTACKS)

.PHONY: bulk
bulk: $(VENV)/dev ## Measure an import beside the driver alone: ROWS in PARTS, 1000000 in 1
	@$(BIN)/python -m tests.bulk $(or $(ROWS),1000000) $(or $(PARTS),1)

.PHONY: sbom
sbom: $(VENV)/dev ## List what the runtime is made of, in CycloneDX, and audit it
	@$(BIN)/cyclonedx-py requirements --output-reproducible --spec-version 1.6 -o sbom.json requirements.txt
	@echo "sbom.json lists every package of requirements.txt, with its hashes."
	@$(BIN)/python -m tests.audit

.PHONY: lint
lint: $(VENV)/dev ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/dev ## Format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: lock
lock: $(VENV)/dev ## Write the hashed locks anew from setup.cfg
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header setup.cfg -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header setup.cfg --extra dev -c requirements.txt -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header requirements-build.in -o requirements-build.txt

.PHONY: clean
clean: ## Remove the virtual environment and every cache
	rm -rf $(VENV) *.egg-info .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/pip:
	@echo "Making a virtual environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3 with its venv module is needed: apt-get install python3-venv"; exit 1; }

$(VENV)/runtime: requirements.txt requirements-build.txt setup.cfg | $(VENV)/bin/pip
	@echo "Installing what the service needs …"
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --require-hashes -r requirements-build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/runtime
	@echo "Installing what the tests need …"
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@
