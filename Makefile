# The logic is in scripts/, one idea each; this file names what can be asked for.
# IMAGES=upstream makes the lab pull Supabase's own images instead of building from images/.
IMAGES ?= built
export IMAGES

.DEFAULT_GOAL := help
.PHONY: help demo demo-down lab lab-down test lint unit sanity integration molecule e2e newcomer dr alerts load bench \
	evidence scan build publish deploy doctor tools

help: ## this list
	@printf 'usage: make TARGET\n\n'
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nOne linter: scripts/lint ansible-lint    One test: scripts/pytest tests/e2e -k rollback\n'

##@ See it
demo: doctor tools ## a whole Supabase platform in a lab on this machine
	@scripts/with-docker scripts/demo

demo-down: ## take all of it away, images too
	@scripts/with-docker scripts/demo-down --images

lab: doctor tools ## only the lab: two bare servers, a registry with all images, a client
	@scripts/with-docker scripts/lab

lab-down: ## take the lab away, keep its images
	@scripts/with-docker scripts/demo-down

##@ Test it
test: ## everything CI runs, what fails fast first
	@scripts/step "Lint" $(MAKE) --no-print-directory lint
	@scripts/step "Unit tests" $(MAKE) --no-print-directory unit
	@scripts/step "Lab" $(MAKE) --no-print-directory lab
	@scripts/step "Integration tests" $(MAKE) --no-print-directory integration
	@# None needs what another one makes; the output of each comes in one piece.
	@scripts/step "ansible-test and Molecule" $(MAKE) --no-print-directory --jobs 3 --output-sync=target sanity molecule
	@scripts/step "End-to-end tests" $(MAKE) --no-print-directory e2e

lint: tools ## ansible-lint, yamllint, ruff, mypy, shellcheck, workflows, changelog, documentation, secrets, Galaxy's importer
	@scripts/lint

unit: tools ## plain Python, no server
	@scripts/pytest tests/unit -n auto --dist loadfile

sanity: tools ## ansible-test sanity and units
	@scripts/ansible-test sanity
	@scripts/ansible-test units

integration: tools ## modules against PostgreSQL 17 and 15
	@scripts/with-docker scripts/pytest tests/integration -n auto --dist loadfile --durations 25 --durations-min 20

molecule: molecule-hardening molecule-default ## on fresh servers, check, converge, idempotence, verify: role hardening, and the whole site

molecule-%: lab
	@scripts/with-docker scripts/molecule $*

e2e: tools ## what the platform promises, against the lab (after make demo or make molecule; THOROUGH=1: hours)
	@scripts/with-docker scripts/pytest tests/e2e --durations 40 --durations-min 10

newcomer: tools ## the README's commands as they are typed, in a clean checkout; takes this machine's lab and its images away
	@scripts/with-docker scripts/pytest tests/newcomer --capture=no

dr alerts: export THOROUGH = 1
dr: tools ## restores and faults: many seconds of the window, over the live database, a lost host, both (after make demo)
	@scripts/with-docker scripts/pytest tests/e2e/test_7_backups.py tests/e2e/test_7_faults.py tests/e2e/test_7_offsite.py --capture=no

alerts: tools ## alerts: every cause that the lab can have, until it is heard of and over (after make demo)
	@scripts/with-docker scripts/pytest tests/e2e/test_8_monitoring.py -k "causes or dies" --capture=no

load: tools ## k6 through the edge: API, database, websockets (INVENTORY, the lab without; SIZE=full is what is promised)
	@scripts/load "$(or $(INVENTORY),inventories/lab)" "$(or $(SIZE),small)"

bench: tools ## the measurements, each beside its peer (after make demo)
	@scripts/with-docker scripts/bench

evidence: tools ## docs/EVIDENCE.md: all of the measurements above (some hours)
	@scripts/with-docker .venv/bin/python scripts/evidence.py

scan: tools ## published holes: packages, code, application images (after make build), and secrets
	@scripts/scan

##@ Deliver it
build: tools ## into dist/: the collection as Galaxy takes it, and an image of each example application
	@scripts/with-docker scripts/build

publish: tools ## the same, and push the images to REGISTRY
	@scripts/with-docker scripts/build --push

deploy: tools ## converge INVENTORY and verify it; what fails is taken back
	@scripts/deploy "$(INVENTORY)"

##@ Parts
doctor: ## what this machine lacks for the lab, and the remedy
	@command -v python3 >/dev/null || scripts/packages python3
	@python3 scripts/doctor.py

tools: ## packages and the virtual environment that every target needs
	@scripts/tools
