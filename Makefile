# Connect Care. `make demo` and `make test` set everything up by themselves: they need Python 3.11 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8000
STAMP  := $(VENV)/.installed
KERNEL := $(VENV)/.kernel

# Many tests start the gateway as a process: without compiled files each start takes seconds longer.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup kernel demo test test-slow test-clients test-real test-fuzz fuzz mutation soak test-all check controls sbom bench shots openapi elements evidence \
	vendor lock clean

setup: $(STAMP) $(KERNEL)

$(STAMP): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Connect Care needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

# The hot path in Rust, where there is a cargo: without it the gateway does the same in Python.
kernel: $(KERNEL)

$(KERNEL): $(STAMP) kernel/build.py kernel/Cargo.toml kernel/crates.lock kernel/pyproject.toml $(wildcard kernel/src/*.rs)
	$(BIN)/python kernel/build.py
	touch $@

demo: setup
	$(BIN)/connectcare demo --port $(PORT)

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" --cov --cov-report=term:skip-covered --cov-fail-under=90

test-slow: setup
	$(BIN)/python -m pytest -x -n 2 --dist loadfile -m slow --ignore=tests/clients

# Other people's FHIR clients, from npm and PyPI, against a gateway that really runs.
test-clients: setup
	$(BIN)/python -m pytest tests/clients

# A real Keycloak and a real HAPI FHIR server, from Maven Central: they need Java and mvn, and are no part of CI.
test-real: setup
	$(BIN)/python -m pytest -m real tests/real

# Both contracts with ten thousand cases each that nobody saw before: for the night, since what it finds is no one change's doing.
test-fuzz: setup
	$(BIN)/python -m pytest -x -m slow tests/contract/test_schemathesis.py --hypothesis-seed=$$(date +%s)

# Five readers of what others write, under coverage guidance, ten minutes each: for the night too.
SECONDS_EACH ?= 600
fuzz: setup
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS_EACH)

# How many small wrong changes of the policy's code the tests notice: an hour or two.
mutation: setup
	$(BIN)/python -m tests.mutation

# An hour at half of what the machine carries, with sources that fall ill at random; five minutes of each illness before.
soak: setup
	$(BIN)/python -m tests.hostile.one_bad_source
	$(BIN)/python -m tests.soak

test-all: test test-clients test-slow

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.contract.drift
	$(BIN)/python -m tests.documents

# Controls of docs/assurance are taken out of a copy, one by one: their tests must fail. Part of the slow suites too.
controls: setup
	$(BIN)/python -m tests.removal

# All that a gateway consists of, with licences, as CycloneDX: build/sbom/connect-care.cdx.json.
sbom: setup
	$(BIN)/python -m deploy.sbom

bench: setup
	$(BIN)/python -m tests.bench

# Pictures of the pages' main states, to be looked at. They need a chromium.
shots: setup
	$(BIN)/python -m tests.screens.shots

openapi: setup
	$(BIN)/connectcare openapi openapi

# What FHIR R4 and STU3 say of each element: after `fhir.resources` has changed.
elements: setup
	$(BIN)/python -m tests.elements

# A changed connector has to pass the kit again: its grade rests on the evidence that this writes.
evidence: setup
	for name in fhir_r4 gp_connect pds social_care; do $(BIN)/connectcare connector check $$name --record || exit 1; done

# The NHS frontend's files, as the pages serve them: needs npm, and is run when its version changes.
vendor: setup
	mkdir -p build
	npm pack --silent --pack-destination build nhsuk-frontend@$$($(BIN)/python -c 'from tests.vendored import VERSION; print(VERSION)')
	$(BIN)/python -m tests.vendored build/nhsuk-frontend-*.tgz

# Locks carry hashes and name no package host.
lock:
	uv pip compile pyproject.toml --extra build --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements.lock
	uv pip compile tests/clients/python.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o tests/clients/python.lock
	uv pip compile tests/bench/peers/requirements.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o tests/bench/peers/requirements.lock
	uv pip compile tests/fuzz/requirements.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o tests/fuzz/requirements.lock
	uv pip compile tests/clients/node.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o tests/clients/node.lock
	uv pip compile deploy/gateway/kernel.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o deploy/gateway/kernel.lock
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements-dev.lock
	$(PYTHON) kernel/build.py --lock

clean:
	rm -rf $(VENV) build kernel/target kernel/Cargo.lock .mypy_cache .ruff_cache .pytest_cache .coverage*
