# `make` prints the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python
ATTACKS := tests/unit/auth/test_keys.py tests/integration/test_jwk_sets.py tests/integration/test_forged_tokens.py \
	tests/integration/test_rate_limits.py tests/attacks
WORDED := customer_service bench tests docs deploy examples README.md CONTRIBUTING.md CHANGELOG.md
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# uv takes a tenth of pip's time, but does not read its settings, such as a private index: then pip installs.
install = $(BIN)/uv pip install --quiet --python $(BIN)/python $(1) || $(PIP) install $(1)

.PHONY: help
help: ## Print the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/runtime ## Serve the documented example on port 3001, from memory
	@exec $(BIN)/customer-service demo

.PHONY: test
test: $(VENV)/dev ## Run every test, on mongomock and on a real mongod
	$(RUN) -m pytest -m "not timed" --numprocesses 3 --dist loadfile --no-loadscope-reorder
	$(RUN) -m pytest -m timed --numprocesses 2 --dist loadfile --no-loadscope-reorder $$(grep -rl mark.timed tests | sort)

.PHONY: coverage
coverage: RUN := $(BIN)/coverage run
coverage: erase test ## Run every test, and fail if a part of the code was not run; it takes twice as long
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.PHONY: erase
erase: $(VENV)/dev
	$(BIN)/coverage erase

.PHONY: test-oldest
test-oldest: $(VENV)/dev ## Run the tests without the end-to-end ones on the oldest driver and server that setup.cfg allows
	$(BIN)/uv venv --quiet --clear .venv-oldest
	$(BIN)/uv pip install --quiet --python .venv-oldest/bin/python --require-hashes -r requirements-dev.txt
	$(BIN)/uv pip install --quiet --python .venv-oldest/bin/python pymongo==4.15.0 gunicorn==27.0.0 gevent==25.9.1
	.venv-oldest/bin/python -m pytest -q -p customer_service.pytest_plugin -m "not timed" tests/unit tests/integration

.PHONY: fuzz
fuzz: $(VENV)/dev ## Send 10,000 requests that are generated from the OpenAPI document
	CI=true FUZZ_EXAMPLES=800 $(BIN)/pytest -q -s tests/e2e/test_schemathesis.py

.PHONY: attack
attack: $(VENV)/dev ## Run the attacks and write the results into docs/reliability.md
	CI=true ATTACK_CUSTOMERS=1000 $(BIN)/pytest -q -p tests.attacks.report -o python_files="test_*.py response_times.py" $(ATTACKS)

.PHONY: packaging
packaging: $(VENV)/dev ## Install the wheel with each extra into an empty virtual environment
	$(BIN)/pytest -q tests/packaging

CLIENTS := build/clients
export DOCUMENT := $(CURDIR)/$(CLIENTS)/openapi.json
NODE_TOOLS := cd tests/clients && CLIENTS=$(CURDIR)/$(CLIENTS) REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true

.PHONY: clients
clients: $(VENV)/dev .venv-clients/installed tests/clients/node_modules ## Lint the OpenAPI document, and try four generators of clients on it
	@rm -rf $(CLIENTS)
	@$(BIN)/python -m tests.tools.openapi_document $(DOCUMENT)
	@$(NODE_TOOLS) npm run --silent lint
	@$(NODE_TOOLS) npm run --silent generate
	@PATH=$(CURDIR)/.venv-clients/bin:$$PATH openapi-python-client generate --path $(DOCUMENT) --output-path $(CLIENTS)/python --fail-on-warning
	@.venv-clients/bin/python tests/clients/import_client.py $(DOCUMENT) $(CLIENTS)/python

.venv-clients/installed: requirements-clients.txt
	@$(PYTHON) -m venv .venv-clients
	@.venv-clients/bin/pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

tests/clients/node_modules: tests/clients/package-lock.json
	@cd tests/clients && npm ci --no-audit --no-fund --loglevel=error && touch node_modules

.PHONY: bulk
bulk: $(VENV)/dev ## Measure an import beside the driver alone: ROWS=1000000 PARTS=1
	@$(BIN)/python -m tests.tools.measure_import $(or $(ROWS),1000000) $(or $(PARTS),1)

.PHONY: searching
searching: $(VENV)/dev ## Measure lists and searches: CUSTOMERS=100000
	@$(BIN)/python -m tests.tools.measure_search $(or $(CUSTOMERS),100000) 20

.PHONY: catching-up
catching-up: $(VENV)/dev ## Measure a consumer of the change feed: CHANGES=100000
	@$(BIN)/python -m tests.tools.measure_feed $(or $(CHANGES),100000)

.PHONY: sbom
sbom: $(VENV)/dev ## List the packages of the runtime in CycloneDX, and audit them
	@$(BIN)/cyclonedx-py requirements --output-reproducible --spec-version 1.6 -o sbom.json requirements.txt
	@echo "sbom.json lists every package of requirements.txt, with its hashes."
	@$(BIN)/python -m tests.tools.audit

.PHONY: faults
faults: $(VENV)/dev ## Kill, stop, overload and soak the service, and write the results into docs/reliability.md
	CI=true FAULT_FIGURES=1 $(BIN)/pytest -q tests/faults tests/e2e/test_failover.py tests/e2e/test_database_errors.py tests/e2e/test_hostile_clients.py; held=$$?; \
	$(BIN)/python -m tests.faults.measurements; exit $$held

BENCH_PEERS := bench/.venv-eve bench/.venv-fastapi bench/.venv-granian
ROUNDS ?= 5
SECONDS ?= 5
COMMIT ?= HEAD

.PHONY: bench
bench: bench-installed ## Time the read of a customer beside its peers: ROUNDS=5 SECONDS=5
	$(BIN)/python -m bench --rounds $(ROUNDS) --seconds $(SECONDS)

.PHONY: bench-against
bench-against: $(VENV)/dev wrk ## Time the reads beside those of another COMMIT, HEAD, in interleaved rounds
	$(BIN)/python -m bench against $(COMMIT) --rounds $(ROUNDS) --seconds $(SECONDS)

.PHONY: bench-growth
bench-growth: bench-installed ## Show how cost grows with customers and connections
	$(BIN)/python -m bench growth

.PHONY: bench-installed
bench-installed: $(VENV)/dev $(BENCH_PEERS:=/installed) bench/peers/fastify/node_modules wrk

.PHONY: wrk
wrk:
	@command -v wrk >/dev/null || { [ $$(id -u) = 0 ] && command -v apt-get >/dev/null && apt-get install -y -qq wrk; } \
		|| echo "wrk is missing (apt-get install wrk): our own load generator takes its place"

bench/.venv-granian/installed: WITH := -r requirements.txt
bench/.venv-%/installed: bench/peers/%/requirements.txt requirements.txt
	@echo "Installing bench/peers/$* …"
	@$(PYTHON) -m venv bench/.venv-$*
	@bench/.venv-$*/bin/pip --disable-pip-version-check --quiet install --require-hashes -r $< $(WITH)
	@touch $@

bench/peers/fastify/node_modules: bench/peers/fastify/package-lock.json
	@if command -v npm >/dev/null; then cd bench/peers/fastify && npm ci --no-audit --no-fund --loglevel=error && touch node_modules; \
		else echo "npm is missing: Fastify is left out"; fi

.PHONY: lint
lint: $(VENV)/dev words ## Check style, types, the direction of imports, and the words
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: words
words: ## Find the words of .ci/words-to-avoid.txt
	@test -s .ci/words-to-avoid.txt
	@! grep -rnwIiE -f .ci/words-to-avoid.txt --exclude="*.json" --exclude-dir={".venv-*",node_modules,__pycache__} $(WORDED)

.PHONY: format
format: $(VENV)/dev ## Format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: lock
lock: $(VENV)/dev ## Write the locks with hashes from setup.cfg
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header setup.cfg --extra server -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header setup.cfg --extra server --extra otel -c requirements.txt -o requirements-otel.txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header setup.cfg --extra server --extra dev --extra otel \
		-c requirements-otel.txt -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header requirements-build.in -o requirements-build.txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-deps requirements-catalogues.in -o requirements-catalogues.txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header requirements-clients.in -o requirements-clients.txt
	for peer in eve fastapi granian; do cd $(CURDIR)/bench/peers/$$peer && $(CURDIR)/$(BIN)/uv pip compile --quiet --upgrade \
		--generate-hashes --no-header requirements.in -c ../../../requirements.txt -o requirements.txt || exit 1; done
	cd tests/clients && npm update --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund
	cd bench/peers/fastify && npm update --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund

.PHONY: catalogues
catalogues: $(VENV)/dev ## Write the SAT's catalogues into the package, from a wheel of satcfdi
	@rm -rf build/catalogues
	@$(PIP) download --require-hashes --no-deps --only-binary :all: --dest build/catalogues -r requirements-catalogues.txt
	@$(BIN)/python -m tests.tools.catalogue_maker build/catalogues/satcfdi-*.whl

.PHONY: clean
clean: ## Remove the virtual environment and every cache
	rm -rf $(VENV) bench/.venv-* bench/peers/fastify/node_modules *.egg-info .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/pip:
	@echo "Making a virtual environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3 with its venv module is needed: apt-get install python3-venv"; exit 1; }

$(VENV)/runtime: requirements.txt requirements-build.txt setup.cfg | $(VENV)/bin/pip
	@echo "Installing what the service needs …"
	@$(PIP) install --require-hashes -r requirements-build.txt
	@$(call install,--require-hashes -r requirements.txt)  # the extra `server`
	@$(call install,--no-deps --no-build-isolation --editable .)
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/runtime
	@echo "Installing what the tests need …"
	@$(call install,--require-hashes -r requirements-dev.txt)
	@touch $@
