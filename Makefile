# import-image. On a bare Debian 13 machine `make run` and `make test` do everything:
# they install what is missing, and nothing when nothing is. fixtures/packaging/system.mk has the
# system packages, for dnf too; install.mk beside it makes what users install.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The system's own Python: PyGObject, through which we reach libostree, is packaged for no other.
PYTHON := /usr/bin/python3
VENV   := .venv
BIN    := $(VENV)/bin
WORK   := .work

# What pip has installed; the name has the machine's Python, after whose upgrade pip runs again.
STAMP = $(VENV)/.installed-$(1)-$(notdir $(realpath $(PYTHON)))

# Seconds that `make fuzz` spends on each property.
FUZZ_SECONDS ?= 60
# What `make bench` measures (tiny, small or large), and how often. Only large fills the tables of
# docs/performance.md; the others print theirs.
SIZE   ?= large
ROUNDS ?= 3
# More arguments for pytest, as in `make test ARGS="-k whiteout -x"`.
ARGS ?=

include fixtures/packaging/system.mk
include fixtures/packaging/install.mk

.PHONY: help
help: ## show these targets
	@sed -En 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

.PHONY: run
run: setup packages-demo ## import a real image and start it from the result; IMAGE=… takes another
	@$(BIN)/python -m fixtures.demo $(if $(IMAGE),'$(IMAGE)')

.PHONY: test
test: setup-dev packages-test ## run all tests, a file on each processor; ARGS=… goes to pytest
	$(BIN)/pytest -n auto --dist loadfile $(ARGS)

.PHONY: lab
lab: setup-dev packages-test ## run the table of docs/how-to/cri-o.md; CRIO=path and CRICTL=path name the programs
	$(SUDO) env $(if $(CRIO),CRIO='$(CRIO)') $(if $(CRICTL),CRICTL='$(CRICTL)') \
	  $(BIN)/pytest tests/device/test_crio.py $(ARGS)

.PHONY: test-packaging
test-packaging: setup-dev packages-test packages-image packages-rpm ## build image and RPM, and run what is in them
	$(BIN)/pytest -m packaging $(ARGS)

# What a new release of podman, skopeo or Python breaks shows here before users meet it. The chroot
# stays for the next call; `rm -r .work/next` has it made anew.
NEXT ?= sid
NEXT_ROOT = $(WORK)/next/$(NEXT)

.PHONY: test-next
test-next: packages-next ## run all tests of the last commit in a chroot of another Debian: NEXT=sid, ARGS=…
	@test -d $(NEXT_ROOT) || $(SUDO) fixtures/packaging/next build $(NEXT_ROOT) $(NEXT) \
	  $(RUN_apt) $(DEMO_apt) $(TEST_apt) $(NEXT_apt)
	@git bundle create --quiet $(WORK)/next/HEAD.bundle HEAD
	@$(SUDO) rm -rf $(NEXT_ROOT)/srv/import-image
	@$(SUDO) git clone --quiet $(WORK)/next/HEAD.bundle $(NEXT_ROOT)/srv/import-image
	@$(SUDO) fixtures/packaging/next run $(NEXT_ROOT) make test ARGS='$(ARGS)'

.PHONY: fuzz
fuzz: setup-dev packages-test ## run the property tests for FUZZ_SECONDS=60 each
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest -m fuzz $(ARGS)

.PHONY: fuzz-parsers
fuzz-parsers: setup-dev ## fuzz each parser of foreign bytes for FUZZ_SECONDS=60, guided by coverage
	$(BIN)/python -m fixtures.fuzz.cost
	$(BIN)/python -m fixtures.fuzz $(FUZZ_SECONDS)

# As root: podman's storage, umoci and mounts take it.
.PHONY: bench
bench: setup-dev packages-test ## measure imports beside other tools; ROUNDS=3; fills docs/performance.md; OSTREE_EXT=command adds ostree-ext
	$(SUDO) $(BIN)/python -m fixtures.bench.compare $(MEASURE)
	$(SUDO) $(BIN)/python -m fixtures.bench.floor $(MEASURE)
	$(SUDO) $(BIN)/python -m fixtures.bench.growth $(MEASURE)
	$(SUDO) $(BIN)/python -m fixtures.bench.jobs $(MEASURE)
	$(SUDO) $(BIN)/python -m fixtures.bench.network $(MEASURE)
	$(BIN)/python -m fixtures.bench.simulation $(if $(findstring --document,$(MEASURE)),--document docs/performance.md)
	$(SUDO) $(BIN)/python -m fixtures.bench.trees $(MEASURE)
	$(SUDO) $(BIN)/python -m fixtures.bench.cluster $(MEASURE)
	$(BIN)/python -m fixtures.bench.cluster_simulation $(if $(findstring --document,$(MEASURE)),--document docs/performance.md)
	$(SUDO) $(BIN)/python -m fixtures.bench.bootc $(if $(filter large,$(SIZE)),docs/how-to/bootc.md)
	$(if $(OSTREE_EXT),$(SUDO) env OSTREE_EXT='$(OSTREE_EXT)' $(BIN)/python -m fixtures.bench.against $(BESIDE))

.PHONY: bench-against
bench-against: setup-dev packages-test ## measure imports beside those of COMMIT=…, in turn; ROUNDS=3
	$(SUDO) env COMMIT='$(COMMIT)' $(BIN)/python -m fixtures.bench.against $(BESIDE)

BESIDE  = --size=$(SIZE) --rounds=$(ROUNDS)
MEASURE = $(BESIDE) $(if $(filter large,$(SIZE)),--document=docs/performance.md)

.PHONY: check
check: setup-dev ## lint, formatting, types, and the rules between the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_architecture.py

# The browser shows it from the disk; only the search box wants a server, such as
# `.venv/bin/python -m http.server -d build/docs`.
.PHONY: docs
docs: $(call STAMP,docs) ## build the site of docs/ in build/docs, and check its links
	$(BIN)/python -m fixtures.packaging.reference docs/reference
	$(BIN)/python -m fixtures.site.pictures docs/images
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --clean
	$(BIN)/python -m fixtures.site.links build/docs

.PHONY: setup
setup: $(call STAMP,setup) ## build .venv with the commands in .venv/bin
	$(if $(filter setup,$(MAKECMDGOALS)),@echo 'make: the commands are in $(BIN); put them on PATH by'; \
	  echo '  export PATH="$(CURDIR)/$(BIN):$$PATH"')

.PHONY: setup-dev
setup-dev: $(call STAMP,dev) ## the same with all that tests and development need

.PHONY: setup-build
setup-build: $(firstword $(wildcard $(call STAMP,dev)) $(call STAMP,build)) # dev has all of build

# $(call libraries,NAME,WHAT,EXTRA): pip installs the project with the extra of pyproject.toml. A bare
# machine has a Python only now, whose name the stamp therefore asks for anew.
define libraries
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || { \
  echo "make: $$($(PYTHON) --version) is too old, Python 3.12 is needed;" \
    'docs/install.md tells of the container image' >&2; exit 1; }
@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo 'make: making $(VENV)' >&2; \
  $(FOR_ALL) $(PYTHON) -m venv --clear --system-site-packages $(VENV) >&2; }
@echo 'make: installing $(2) into $(VENV)' >&2
@$(FOR_ALL) $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.$(3)' >&2
@touch "$(VENV)/.installed-$(1)-$$(basename "$$(realpath $(PYTHON))")"
endef

$(call STAMP,setup): pyproject.toml | packages
	$(call libraries,setup,the commands and their Python libraries,)

$(call STAMP,dev): pyproject.toml | packages
	$(call libraries,dev,the commands and the tools for tests and development,[dev])

$(call STAMP,build): pyproject.toml | packages
	$(call libraries,build,the commands and the tools that build packages,[build])

$(call STAMP,docs): pyproject.toml | packages
	$(call libraries,docs,the tools that build the site,[dev$(comma)docs])
comma := ,

.PHONY: clean
# Containers may have left mounts, and a checkout by root left files that belong to root.
clean: ## remove everything that make built, .work/ included
	@findmnt -rno TARGET | grep -F '$(CURDIR)/$(WORK)/' | sort -r | xargs -r $(SUDO) umount || true
	@rm -rf $(WORK) 2>/dev/null || $(SUDO) rm -rf $(WORK)
	rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
