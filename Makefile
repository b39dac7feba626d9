# `make help` lists the targets. PREFIX, LIBDIR and DESTDIR mean what they mean everywhere; give PREFIX and
# LIBDIR to `make` and to `make install` alike, because rctx-run remembers where the library will be.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BINDIR = $(PREFIX)/bin
INCLUDEDIR = $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
# gdb looks here for what belongs to an object file, if it was installed with the same PREFIX.
GDBDIR ?= $(PREFIX)/share/gdb/auto-load
DESTDIR ?=

# Read by rctx-run's build, and by nothing when it runs.
export RCTX_INSTALL_LIBDIR = $(LIBDIR)

CARGO ?= cargo
INSTALL ?= install
OUT = $(or $(CARGO_TARGET_DIR),target)
RELEASE = $(OUT)/release
SECONDS ?= 60

GDB_SCRIPT = $(GDBDIR)$(LIBDIR)/librctx.so.$(VERSION)-gdb.py
MANUAL = $(wildcard man/*.[137])
# A page has the name of one of its functions; the others lead to it. Those of POSIX belong to the system's manual.
MANUAL_LINKS := $(shell scripts/manual-names man/*.3 | awk '$$2 !~ /^(get|set|make|swap)context$$/ && \
	$$1 != "man/" $$2 ".3" { sub("man/", "", $$1); print $$2 ".3=" $$1 }')

# The one version is Cargo.toml's. Read without cargo, which root may not have at `sudo make install`.
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
MAJOR = $(firstword $(subst ., ,$(VERSION)))
SONAME = librctx.so.$(MAJOR)
TRACK_SONAME = librctx-track.so.$(MAJOR)
BUILT = $(RELEASE)/librctx.so $(RELEASE)/$(SONAME) $(RELEASE)/librctx.a $(RELEASE)/rctx-run \
	$(RELEASE)/librctx_track.so $(RELEASE)/$(TRACK_SONAME)

CBINDGEN_VERSION = 0.29.4
CBINDGEN_ROOT = $(OUT)/tools/cbindgen-$(CBINDGEN_VERSION)
CBINDGEN = $(CBINDGEN_ROOT)/bin/cbindgen
CARGO_DENY_VERSION = 0.20.2
CARGO_DENY_ROOT = $(OUT)/tools/cargo-deny-$(CARGO_DENY_VERSION)
CARGO_DENY = $(CARGO_DENY_ROOT)/bin/cargo-deny
# Rust's links and headings in the comments become plain words.
GENERATE_HEADER = $(CBINDGEN) --quiet --config cbindgen.toml . | sed -z \
	-e 's/\[`\([^`]*\)`\]/`\1`/g' -e 's/\# Safety\n \* /Safety: /g' -e 's/ \*\n \*\// *\//g' -e 's/\n\n\n*/\n\n/g'

CHECKS = header-check abi-check manual-check examples-check crate-check installcheck lint instructions-check \
	cpython-check

.DEFAULT_GOAL := all
.NOTPARALLEL:
.DELETE_ON_ERROR:
SHELL = /bin/bash
.SHELLFLAGS = -eu -o pipefail -c

.PHONY: all
all: ## build librctx.so, librctx.a, librctx-track.so and rctx-run in target/release (the default)
	$(CARGO) build --release --locked -p rctx -p rctx-run
	$(CARGO) build --release --locked -p rctx-track
	ln -sf librctx.so $(RELEASE)/$(SONAME)
	ln -sf librctx_track.so $(RELEASE)/$(TRACK_SONAME)

.PHONY: demo
demo: deps all ## watch real programs run on our contexts
	scripts/demo

.PHONY: check
check: deps all $(CHECKS) ## everything that is tested
	$(CARGO) test --release --locked -p rctx-run
	$(CARGO) test --release --locked -p rctx-tests
	scripts/fuzz runs 2000

.PHONY: fuzz
fuzz: deps ## sequences of arbitrary calls for SECONDS (60), from a new seed each time
	scripts/fuzz seconds $(SECONDS)

.PHONY: bench
bench: deps all ## the comparison with glibc, Boost and others
	$(CARGO) run --release --locked -p rctx-benches

.PHONY: instructions
instructions: deps all ## count the instructions of the hot paths anew, into benches/instructions
	$(CARGO) run --release --locked -p rctx-benches -- --update-instructions

.PHONY: audit
audit: $(CARGO_DENY) ## licences, sources and known weaknesses of every dependency; builds cargo-deny, asks github.com
	$(CARGO_DENY) --locked check bans licenses sources
	@$(CARGO_DENY) --locked check advisories || { echo 'audit: known weaknesses were NOT ruled out: there are' \
		'some, or the database at github.com/RustSec/advisory-db was not to be had.' >&2; exit 1; }

.PHONY: header
header: $(CBINDGEN) ## write include/rctx.h
	$(GENERATE_HEADER) > $(OUT)/rctx.h
	cp $(OUT)/rctx.h include/rctx.h

.PHONY: install
install: $(BUILT) ## into PREFIX (/usr/local) and LIBDIR (PREFIX/lib), below DESTDIR
	$(INSTALL) -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(INCLUDEDIR)' '$(DESTDIR)$(BINDIR)'
	$(INSTALL) -m 755 $(RELEASE)/librctx.so '$(DESTDIR)$(LIBDIR)/librctx.so.$(VERSION)'
	ln -sf librctx.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/$(SONAME)'
	ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/librctx.so'
	$(INSTALL) -m 755 $(RELEASE)/librctx_track.so '$(DESTDIR)$(LIBDIR)/librctx-track.so.$(VERSION)'
	ln -sf librctx-track.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/$(TRACK_SONAME)'
	ln -sf $(TRACK_SONAME) '$(DESTDIR)$(LIBDIR)/librctx-track.so'
	$(INSTALL) -m 644 $(RELEASE)/librctx.a '$(DESTDIR)$(LIBDIR)/librctx.a'
	$(INSTALL) -m 644 include/rctx.h '$(DESTDIR)$(INCLUDEDIR)/rctx.h'
	for name in rctx rctx-track; do \
		sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
			pkgconfig/$$name.pc.in > '$(DESTDIR)$(LIBDIR)/pkgconfig/'$$name.pc; \
		chmod 644 '$(DESTDIR)$(LIBDIR)/pkgconfig/'$$name.pc; \
	done
	$(INSTALL) -m 755 $(RELEASE)/rctx-run '$(DESTDIR)$(BINDIR)/rctx-run'
	$(INSTALL) -d '$(DESTDIR)$(dir $(GDB_SCRIPT))'
	$(INSTALL) -m 644 gdb/rctx.py '$(DESTDIR)$(GDB_SCRIPT)'
	for section in 1 3 7; do \
		$(INSTALL) -d '$(DESTDIR)$(MANDIR)'/man$$section; \
		$(INSTALL) -m 644 man/*.$$section '$(DESTDIR)$(MANDIR)'/man$$section; \
	done
	for link in $(MANUAL_LINKS); do ln -sf $${link#*=} '$(DESTDIR)$(MANDIR)/man3/'$${link%=*}; done

# Only when something is missing, so that `sudo make install` builds nothing as root.
$(BUILT):
	$(MAKE) all

.PHONY: uninstall
uninstall: ## remove what install put there
	rm -f '$(DESTDIR)$(LIBDIR)/librctx.so.$(VERSION)' '$(DESTDIR)$(LIBDIR)/$(SONAME)' \
		'$(DESTDIR)$(LIBDIR)/librctx.so' '$(DESTDIR)$(LIBDIR)/librctx.a' \
		'$(DESTDIR)$(LIBDIR)/librctx-track.so.$(VERSION)' '$(DESTDIR)$(LIBDIR)/$(TRACK_SONAME)' \
		'$(DESTDIR)$(LIBDIR)/librctx-track.so' '$(DESTDIR)$(LIBDIR)/pkgconfig/rctx-track.pc' \
		'$(DESTDIR)$(INCLUDEDIR)/rctx.h' '$(DESTDIR)$(LIBDIR)/pkgconfig/rctx.pc' \
		'$(DESTDIR)$(BINDIR)/rctx-run' '$(DESTDIR)$(GDB_SCRIPT)'
	for page in $(notdir $(MANUAL)) $(MANUAL_LINKS); do \
		page=$${page%=*}; rm -f '$(DESTDIR)$(MANDIR)/man'$${page##*.}/$$page; \
	done

.PHONY: installcheck
installcheck: all ## install into a temporary place, use it from there, uninstall
	scripts/installcheck

.PHONY: cpython-check
cpython-check: all ## test examples/cpython on every python3 that is installed
	scripts/check-cpython

.PHONY: cpython-bench
cpython-bench: cpython-check ## the comparison with greenlet
	scripts/check-cpython --bench

.PHONY: cross
cross: ## build target/<triple>/release/librctx.so and .a: make cross TARGET=<triple>
	@cross/build $(TARGET)

.PHONY: cross-check
cross-check: ## test every target of cross/targets.tsv, or TARGET=<triple>, under qemu-user
	@cross/check $(TARGET)

.PHONY: dist
dist: ## the source tarball of the last commit, and one of its crates, in target/dist
	@mkdir -p $(OUT)/dist
	scripts/dist $(OUT)/dist

.PHONY: debian-check
debian-check: ## build the Debian packages, for lintian to look at
	scripts/check-debian

.PHONY: clean
clean: ## remove everything that was built
	$(CARGO) clean

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# The parts of check.

.PHONY: deps
deps:
	@scripts/install-packages

.PHONY: header-check
header-check: $(CBINDGEN)
	$(GENERATE_HEADER) > $(OUT)/rctx.h
	@diff -u include/rctx.h $(OUT)/rctx.h || \
		{ echo 'include/rctx.h has drifted from src/: run `make header` and commit the result.' >&2; exit 1; }

.PHONY: abi-check
abi-check:
	scripts/check-abi

.PHONY: manual-check
manual-check:
	scripts/check-manual

.PHONY: examples-check
examples-check: all
	scripts/run-examples README.md docs/*.md $(MANUAL)

.PHONY: instructions-check
instructions-check: all
	$(CARGO) run --release --locked -p rctx-benches -- --check-instructions

.PHONY: crate-check
crate-check:
	scripts/check-crate

.PHONY: lint
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked -p rctx -p rctx-track -- -D warnings
	$(CARGO) clippy --locked --workspace --exclude rctx --exclude rctx-track --all-targets -- -D warnings
	scripts/check-template

$(CBINDGEN):
	$(CARGO) install cbindgen --version $(CBINDGEN_VERSION) --locked --root $(CBINDGEN_ROOT)

$(CARGO_DENY):
	$(CARGO) install cargo-deny --version $(CARGO_DENY_VERSION) --locked --no-default-features --root $(CARGO_DENY_ROOT)
