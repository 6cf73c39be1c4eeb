# Each verb is one line that also works without make. `make` alone lists them.
# Every verb sets up what is missing first; PYTHON chooses the interpreter (3.11 or newer).

PYTHON ?= python3
PY := .venv/bin/python
SETUP = @$(PYTHON) tools/bootstrap.py

# Dozens of processes start in a run: where the environment forbids compiled modules, each would compile all of ours anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-noise dev up down logs test test-unit test-integration test-e2e test-long test-specs \
  test-vcsim invariants bench fmt check contracts k8s-check migrate migration lock images clean sample-invoice

help: ## this list
	@awk '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { split($$0, part, ":.*## "); printf "  %-17s %s\n", part[1], part[2] }' Makefile

##@ Run
demo: ## the main job, once: buy, provision, back up three times, restore, compare
	$(SETUP) && $(PY) -m devstack demo

demo-noise: ## the demo while a guest writes and host and providers fail (SEEDS=20; ARGS="--seed 7": that one)
	$(SETUP) && $(PY) -m devstack demo-noise $(ARGS)

dev: ## all parts in one process, until Ctrl-C
	$(SETUP) && $(PY) -m devstack dev

up: ## one process per part, PostgreSQL and RabbitMQ found or started; returns when all are ready
	$(SETUP) && $(PY) -m devstack up

down: ## end what `make up` started
	$(SETUP) && $(PY) -m devstack down

logs: ## follow the logs of what `make up` started
	$(SETUP) && $(PY) -m devstack logs

##@ Test
test: ## all tests but the long ones (s=billing: of one member; ARGS="-k name -x": for pytest)
	$(SETUP) && $(PY) tools/test.py $(if $(s),--service $(s)) $(ARGS)

test-unit: ## tests without I/O
	$(SETUP) && $(PY) tools/test.py --kind unit $(if $(s),--service $(s)) $(ARGS)

test-integration: ## tests on real PostgreSQL, RabbitMQ and simulators
	$(SETUP) && $(PY) tools/test.py --kind integration $(if $(s),--service $(s)) $(ARGS)

test-e2e: ## the guide's client through the gateway
	$(SETUP) && $(PY) tools/test.py --kind e2e $(ARGS)

test-long: ## tests that take minutes
	$(SETUP) && $(PY) tools/test.py --kind long $(if $(s),--service $(s)) $(ARGS)

test-specs: ## simulators and our requests against the providers' own specifications in SPECS_DIR
	$(SETUP) && $(PY) tools/test_specs.py $(ARGS)

test-vcsim: ## the vSphere adapter against govmomi's simulator from Debian (ARGS=--install: apt may fetch what is missing)
	$(SETUP) && $(PY) tools/test_vcsim.py $(ARGS)

invariants: ## which sentences of docs/invariants.md have a test that passed, and fails without its mechanism (ARGS="--only S1": of one)
	$(SETUP) && $(PY) tools/invariants.py --require tools/invariants-required.txt $(ARGS)

bench: ## measure against peers and limits, into bench/latest.json (s=data-plane, billing, gateway or tenancy; ARGS="--quick --get-peers", --help)
	$(SETUP) && $(PY) -m devstack.bench $(if $(s),--group $(s)) $(ARGS)

##@ Write
fmt: ## format and sort
	$(SETUP) && $(PY) -m ruff format . && $(PY) -m ruff check --fix-only .

check: ## format, lint, types, boundaries, contracts, manifests
	$(SETUP) && $(PY) tools/check.py

contracts: ## write each service's contracts/ from its code
	$(SETUP) && $(PY) tools/services.py contracts && $(PY) -m devstack.access

k8s-check: ## render and validate deploy/k8s and docker-compose.yml
	$(SETUP) && $(PY) tools/check.py manifests

sample-invoice: ## draw docs/invoice.pdf and docs/invoice.png as billing draws invoices now
	$(SETUP) && $(PY) tools/sample_invoice.py

migrate: ## bring the databases that the environment names to this code's schema (s=billing: one)
	$(SETUP) && $(PY) tools/services.py migrate $(s)

migration: ## start a migration: s=billing m="add a column"
	$(SETUP) && $(PY) tools/migration.py "$(s)" "$(m)"

##@ Make
setup: ## what is needed to run, test and write: .venv from requirements.lock
	$(SETUP)

lock: ## choose dependency versions again (ARGS=--upgrade: the newest)
	@$(PYTHON) tools/lock.py $(ARGS)

images: ## one image per service, by docker
	@$(PYTHON) tools/images.py $(s)

clean: ## end what runs and remove all that git does not hold
	@$(PYTHON) tools/clean.py
