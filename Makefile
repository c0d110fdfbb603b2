# The entry points. `make help` lists them.

TARGET  := $(shell rustc -vV | sed -n 's/^host: //p')
RELEASE := target/$(TARGET)/release/corten
QUICK   := target/$(TARGET)/quick/corten
FAULTS  := target/faults/$(TARGET)/quick/corten
PREFIX  ?= /usr/local
CARGO   ?= cargo

# One file that runs everywhere: libc is linked in. `--target` keeps the flag away from build scripts and macros.
STATIC  := RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
# Several suites at once would measure each other; within one, tests run side by side.
SUITES  := cgroup_real conformance crash errors escapes seccomp_oracle

.PHONY: help build quick install uninstall run check fmt test pure suites docker bench setup deny clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

build: $(RELEASE) ## Build the release: one static, stripped file

$(RELEASE): FORCE
	$(STATIC) $(CARGO) build --release -p corten --bin corten --target $(TARGET)

quick: FORCE ## Build what the suites test: the release without its slow last tenth
	$(STATIC) $(CARGO) build --profile quick -p corten --bin corten --target $(TARGET)

install: build ## Put corten into $(PREFIX)/bin
	install -D -m 0755 $(RELEASE) $(DESTDIR)$(PREFIX)/bin/corten

uninstall: ## Take it out again
	rm -f $(DESTDIR)$(PREFIX)/bin/corten

run: ## Set up what is needed and run a container with Corten alone
	scripts/run-example

setup: ## Install what the suites need (Debian packages, as root)
	scripts/install-test-packages

check: fmt ## Format, lints, pure tests, import directions: before each commit
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) test -q -p corten --lib --test architecture

fmt: ## Check the format
	$(CARGO) fmt --all --check

test: setup ## Set up what is needed and pass every test, real containers and a real Docker engine included
	scripts/test

docker: quick ## Only the tests with a real Docker engine
	CORTEN_BIN=$(abspath $(QUICK)) $(CARGO) test -p spec-tests --test docker

bench: build ## Compare with crun, runc and youki in one run; prints ratios, writes target/bench.json
	CORTEN_BIN=$(abspath $(RELEASE)) $(CARGO) run --release -p spec-tests --bin bench

deny: ## Check licences and advisories of the dependencies
	$(CARGO) deny check

clean: ## Remove what was built
	$(CARGO) clean

FORCE:
