# Everything a developer does here. `make setup` stands below the rest: it is quick when nothing is missing.
# Cache (guest image, Prometheus): VIRTWIRE_CACHE, or virtwire in XDG_CACHE_HOME, or ~/.cache/virtwire.

PYTHON ?= python3
ARGS ?=
GUEST ?= alpha

export PYTHON
BIN := .venv/bin
LAB := $(BIN)/python -m tests.lab

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv:
	@packaging/install-apt-packages
	@packaging/make-venv

.PHONY: setup
setup: venv ## install what is missing: Debian packages, .venv, guest image, Prometheus
	@$(LAB) image

.PHONY: lint
lint: venv ## ruff, format check, mypy, import contracts, Python 3.9 for the guest's side
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin --target=3.9- --violations --no-tips --eval-annotations --quiet protocol guestagent tests/hostile tests/support/hostile_bytes.py

.PHONY: test
test: setup guestagent.pyz ## every test, the lab's included (minutes)
	@$(LAB) image bullseye trixie
	$(BIN)/pytest $(ARGS)

.PHONY: test-unit
test-unit: venv ## the tests that need no lab (seconds)
	$(BIN)/pytest -m "not lab" $(ARGS)

.PHONY: bench
bench: setup guestagent.pyz ## measure every figure beside its peer and print one table (15 minutes; ARGS="--json FILE FIGURE …")
	@$(BIN)/python -m bench $(ARGS)

.PHONY: demo
demo: setup guestagent.pyz ## two real guests, hostd, and a table of what it says (ARGS=--once)
	@$(LAB) demo $(ARGS)

# Not a file for make: the builder itself knows, by content, whether there is anything to do.
.PHONY: guestagent.pyz
guestagent.pyz: venv ## the guest agent as one file that needs nothing but Python
	@$(BIN)/python packaging/build_pyz.py

.PHONY: docs
docs: venv ## write docs/metrics.md and docs/wire.md anew from the tables
	@PYTHONPATH=. $(BIN)/python packaging/write_metrics_page.py
	@PYTHONPATH=. $(BIN)/python packaging/write_wire_page.py

# With coverage where atheris is: .venv/bin/pip install --group fuzz
.PHONY: fuzz
fuzz: venv ## search for bytes that break the wire's contract (ARGS="--seconds 60")
	@$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: lab-up
lab-up: setup guestagent.pyz ## start a private libvirt with two guests and leave it running
	@$(LAB) up $(ARGS)

.PHONY: lab-shell
lab-shell: venv ## run lines of shell in a guest of that lab (GUEST=alpha)
	@$(LAB) shell $(GUEST)

.PHONY: lab-down
lab-down: venv ## end that lab
	@$(LAB) down

.PHONY: lock
lock: ## write packaging/requirements.lock anew, with the newest versions that fit
	packaging/lock

.PHONY: clean
clean: ## remove what was made here (the cache stays)
	rm -rf .venv build dist guestagent.pyz *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
