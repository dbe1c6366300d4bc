SHELL := bash
.SHELLFLAGS := -euo pipefail -c
UV := .venv/bin/uv
MEMBERS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
export UV_NO_SYNC := 1

.venv/.ready: requirements.lock pyproject.toml $(MEMBERS)
	@echo "==> Python packages: installing the hash-checked lock into .venv (about 10 s, more when nothing is cached)"
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install -q --disable-pip-version-check --require-hashes --no-deps -r <(sed -n '/^uv==/,/^ *# via/p' requirements.lock)
	$(UV) pip sync --require-hashes requirements.lock
	$(UV) pip install -q --offline --no-deps $(addprefix -e ./,$(dir $(MEMBERS)))
	$(UV) pip check -q
	touch $@

.PHONY: install
install: .venv/.ready

.PHONY: lock
lock: # after changing a dependency; add UPGRADE="--upgrade" or UPGRADE="--upgrade-package NAME"
	$(UV) pip compile -q pyproject.toml --group dev $(UPGRADE) -o requirements.lock
