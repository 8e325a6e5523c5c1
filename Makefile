# import-image. On a bare Debian 13 machine `make run` and `make test` do everything:
# they install what is missing, and nothing when nothing is.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Debian's own Python: python3-gi, through which we reach libostree, exists for no other.
PYTHON := /usr/bin/python3
VENV   := .venv
BIN    := $(VENV)/bin
WORK   := .work

INSTALLED := $(VENV)/.installed-$(notdir $(realpath $(PYTHON)))

# What the program needs, and what the demonstration and the tests need besides. Each is named
# that apt would otherwise bring only as a recommendation: netavark and crun for `podman run`,
# catatonit for `podman run --init`.
PACKAGES      := ca-certificates gir1.2-ostree-1.0 ostree python3-gi python3-venv skopeo
TEST_PACKAGES := buildah busybox-static catatonit chromium crun docker-registry e2fsprogs fish gnupg \
                 jq man-db mandoc netavark podman systemd-container umoci zsh zstd

# Seconds that `make fuzz` spends on each property.
FUZZ_SECONDS ?= 60
# What `make bench` measures (tiny, small or large), and how often. Only large fills the tables of
# docs/performance.md; the others print theirs.
SIZE   ?= large
ROUNDS ?= 3
# More arguments for pytest, as in `make test ARGS="-k whiteout -x"`.
ARGS ?=

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
APT   = $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3

.PHONY: help
help: ## show these targets
	@sed -En 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

.PHONY: run
run: setup packages-test ## import a real image and start it from the result; IMAGE=… takes another
	@$(BIN)/python -m fixtures.demo $(if $(IMAGE),'$(IMAGE)')

.PHONY: test
test: setup packages-test ## run all tests, a file on each processor; ARGS=… goes to pytest
	$(BIN)/pytest -n auto --dist loadfile $(ARGS)

.PHONY: fuzz
fuzz: setup packages-test ## run the property tests for FUZZ_SECONDS=60 each
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest -m fuzz $(ARGS)

# As root: podman's storage, umoci and mounts take it.
.PHONY: bench
bench: setup packages-test ## measure imports beside other tools; ROUNDS=3; fills docs/performance.md
	$(SUDO) $(BIN)/python -m fixtures.bench.compare $(MEASURE)
	$(SUDO) $(BIN)/python -m fixtures.bench.floor $(MEASURE)
	$(SUDO) $(BIN)/python -m fixtures.bench.growth $(MEASURE)

MEASURE = --size=$(SIZE) --rounds=$(ROUNDS) $(if $(filter large,$(SIZE)),--document=docs/performance.md)

.PHONY: check
check: setup ## lint, formatting, types, and the rules between the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_architecture.py

.PHONY: setup
setup: $(INSTALLED) ## build .venv with the commands in .venv/bin

# pip runs again when the project's requirements changed, or the machine's Python, whose version
# is therefore in the stamp's name. The recipe asks for it anew: a bare machine has none before.
$(INSTALLED): pyproject.toml | packages
	@$(BIN)/python -m pip --version >/dev/null 2>&1 \
	  || $(PYTHON) -m venv --clear --system-site-packages $(VENV) >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' >&2
	@touch "$(VENV)/.installed-$$(basename "$$(realpath $(PYTHON))")"

# These look at dpkg's database each time, in milliseconds; apt-get runs if a package is missing.
.PHONY: packages packages-test
packages:
	@$(call install,$(PACKAGES))

packages-test: packages
	@$(call keep_registry_service_off)
	@$(call install,$(TEST_PACKAGES))

# --- what users install ---

# As everywhere: `make install PREFIX=/usr DESTDIR=/tmp/package`.
PREFIX  ?= /usr/local
DESTDIR ?=
BUILD   := build
LIBRARY  = $(DESTDIR)$(PREFIX)/lib/import-image
SHARE    = $(DESTDIR)$(PREFIX)/share
# Everybody may read what is installed, however secretive root is.
FOR_ALL := umask 022;
COMMANDS := import-image import-release import-storage image-store

.PHONY: man
man: setup ## write the man pages to build/man
	@rm -rf $(BUILD)/man
	$(BIN)/python -m fixtures.packaging.manual $(BUILD)/man

.PHONY: completion
completion: setup ## write the completion for bash, zsh and fish to build/completion
	@mkdir -p $(BUILD)/completion/{bash,zsh,fish}
	@for command in $(COMMANDS); do \
	  variable=_$$(tr a-z- A-Z_ <<< $$command)_COMPLETE; \
	  for shell in bash zsh fish; do \
	    case $$shell in bash) file=$$command;; zsh) file=_$$command;; fish) file=$$command.fish;; esac; \
	    env $$variable=$${shell}_source $(BIN)/$$command > $(BUILD)/completion/$$shell/$$file; \
	  done; \
	done

# The libraries go beside the program: not all are packaged, and pip must not touch Debian's own.
.PHONY: install
install: man completion ## install commands, man pages and completion; DESTDIR=, PREFIX=/usr/local
	@rm -rf '$(LIBRARY)'
	$(FOR_ALL) $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --upgrade \
	  --target '$(LIBRARY)' .
	@rm -rf '$(LIBRARY)/bin' $(BUILD)/lib $(BUILD)/bdist.*
	$(FOR_ALL) $(BIN)/python -m fixtures.packaging.launcher '$(DESTDIR)$(PREFIX)/bin'
	install -d '$(SHARE)'/{man/man1,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
	install -m 644 $(BUILD)/man/*.1 '$(SHARE)/man/man1'
	install -m 644 $(BUILD)/completion/bash/* '$(SHARE)/bash-completion/completions'
	install -m 644 $(BUILD)/completion/zsh/* '$(SHARE)/zsh/site-functions'
	install -m 644 $(BUILD)/completion/fish/* '$(SHARE)/fish/vendor_completions.d'

.PHONY: uninstall
uninstall: ## remove what `make install` installed
	rm -rf '$(LIBRARY)'
	rm -f $(foreach one,$(COMMANDS),'$(DESTDIR)$(PREFIX)/bin/$(one)' \
	  '$(SHARE)'/man/man1/$(one)*.1 '$(SHARE)/bash-completion/completions/$(one)' \
	  '$(SHARE)/zsh/site-functions/_$(one)' '$(SHARE)/fish/vendor_completions.d/$(one).fish')

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
ARCH    = $(shell dpkg --print-architecture)
DEB     = $(BUILD)/import-image_$(VERSION)_$(ARCH).deb
ROOT    = $(BUILD)/deb

.PHONY: deb
deb: ## build a Debian package in build/
	@rm -rf $(ROOT) $(DEB)
	@$(MAKE) --no-print-directory install DESTDIR='$(CURDIR)/$(ROOT)' PREFIX=/usr
	@gzip -9n $(ROOT)/usr/share/man/man1/*.1
	@$(FOR_ALL) mkdir -p $(ROOT)/DEBIAN $(ROOT)/usr/share/doc/import-image
	@$(FOR_ALL) $(BIN)/python -m fixtures.packaging.debian $(ROOT) $(VERSION) $(ARCH)
	dpkg-deb --root-owner-group --build $(ROOT) $(DEB)

.PHONY: clean
# Containers may have left mounts, and a checkout by root left files that belong to root.
clean: ## remove everything that make built, .work/ included
	@findmnt -rno TARGET | grep -F '$(CURDIR)/$(WORK)/' | sort -r | xargs -r $(SUDO) umount || true
	@rm -rf $(WORK) 2>/dev/null || $(SUDO) rm -rf $(WORK)
	rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# $(call missing,PACKAGES): shell code that sets $missing to those not installed.
define missing
installed=$$(dpkg-query -W -f '$${Package} $${db:Status-Status}\n' $(1) 2>/dev/null \
             | sed -n 's/ installed$$//p' || true); \
missing=$$(comm -23 <(printf '%s\n' $(1) | sort -u) <(sort -u <<< "$$installed") | xargs)
endef

define install
$(call missing,$(1)); \
if [[ -n $$missing ]]; then $(call need_root,$$missing); \
  echo "make: installing $$missing" >&2; \
  $(APT) update </dev/null >&2; \
  $(APT) install --no-install-recommends $$missing </dev/null >&2; \
fi
endef

define need_root
[[ -z '$(SUDO)' ]] || command -v sudo >/dev/null || { \
  echo "make: missing packages, and neither root nor sudo to install them: $(1)" >&2; exit 1; }
endef

# Debian's package would start a registry on port 5000 of every interface, at every boot. We want
# its program only, so the service is masked before the package comes; one that is there stays.
define keep_registry_service_off
$(call missing,docker-registry); \
if [[ -n $$missing && -d /run/systemd/system ]]; then $(call need_root,docker-registry); \
  $(SUDO) systemctl mask docker-registry.service >&2; \
fi
endef
