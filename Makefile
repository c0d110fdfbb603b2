# The entry points. `make help` lists them.

PREFIX  ?= /usr/local
CARGO   ?= cargo

# The oldest Rust that Corten promises to build with.
OLDEST   = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

.PHONY: help build quick install uninstall run check lint fmt test docker podman containerd cri engines vm vm-all systemd bench ci deny advisories oldest aarch64 setup tools clean

help: ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

build: ## Build the release: three static, stripped files
	@scripts/build release
	@scripts/build release shim
	@scripts/build release compose

quick: ## Build what the suites test: the release without its slow last tenth
	@scripts/build quick

install: ## Build the release and put it into $(PREFIX)/bin, man pages and completions into $(PREFIX)/share
	install -D -m 0755 "$$(scripts/build release)" $(DESTDIR)$(PREFIX)/bin/corten
	install -D -m 0755 "$$(scripts/build release shim)" $(DESTDIR)$(PREFIX)/bin/containerd-shim-corten-v2
	install -D -m 0755 "$$(scripts/build release compose)" $(DESTDIR)$(PREFIX)/bin/corten-compose
	ln -sf corten-compose $(DESTDIR)$(PREFIX)/bin/cortenctl
	umask 022 && $(CARGO) run -q -p corten --example manual -- $(DESTDIR)$(PREFIX)/share
	umask 022 && $(CARGO) run -q -p corten-compose --features manual -- manual $(DESTDIR)$(PREFIX)/share

uninstall: ## Take it out again
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,corten containerd-shim-corten-v2 corten-compose cortenctl)
	share=$(DESTDIR)$(PREFIX)/share; for name in corten corten-compose cortenctl; do \
	  rm -f $$share/man/man1/$$name.1 $$share/man/man1/$$name-*.1 $$share/bash-completion/completions/$$name.bash \
	    $$share/zsh/site-functions/_$$name $$share/fish/vendor_completions.d/$$name.fish; \
	done

run: ## Set up what is needed and run a container with Corten alone
	scripts/run-example

check: lint ## Format, lints, links of the docs, pure tests, the shape of the source: before each commit
	$(CARGO) test -q -p corten-shim -p corten-compose --bins
	$(CARGO) test -q -p corten -p regex --lib --test plans --test architecture --test tidy --test exec_cpu_affinity

lint: fmt ## Format, lints, links of the docs
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -q -p corten --no-deps --document-private-items

fmt: ## Check the format
	$(CARGO) fmt --all --check

test: setup ## Set up what is needed and pass every test, real containers and a real Docker engine included
	scripts/test

docker: ## Only the tests with a real Docker engine
	CORTEN_BIN="$$(scripts/build quick)" $(CARGO) test -p spec-tests --test docker

podman: ## Only the tests with real podman and buildah
	CORTEN_BIN="$$(scripts/build quick)" $(CARGO) test -p spec-tests --test podman

containerd: ## Only the tests of the shim with a real containerd
	CORTEN_BIN="$$(scripts/build quick)" CORTEN_SHIM="$$(scripts/build quick shim)" $(CARGO) test -p spec-tests --test containerd

cri: ## Only the tests of the shim with pods, through containerd's CRI
	CORTEN_BIN="$$(scripts/build quick)" CORTEN_SHIM="$$(scripts/build quick shim)" $(CARGO) test -p spec-tests --test cri

engines: ## The tests with containerd, pods, Docker and compose, on the engines of newer Debians: 1.7 and 2.1, 26.1 and 28.5
	scripts/engines

vm: ## Only the tests on a machine of cgroup v2 alone, with every controller
	CORTEN_BIN="$$(scripts/build quick)" $(CARGO) test -p spec-tests --test vm

vm-all: ## On the same machine: the suites with each cgroup driver, and Debian's engines; takes an hour or two
	scripts/vm-all

systemd: ## Only the tests of cgroups that systemd makes, on machines with systemd at native speed
	for machine in v2 hybrid; do \
	  CORTEN_BIN="$$(scripts/build quick)" $(CARGO) test -p spec-tests --test systemd --config \
	    "target.\"cfg(unix)\".runner = [\"$(CURDIR)/scripts/systemd\", \"$$machine\"]" || exit; \
	done

bench: ## Compare with crun, runc and youki, the shim with containerd's, compose with Docker's; writes target/bench*.json
	CORTEN_BIN="$$(scripts/build release)" $(CARGO) run --release -p spec-tests --bin bench -- \
		--peers "$$(scripts/bench-peers)"
	CORTEN_BIN="$$(scripts/build release)" CORTEN_SHIM="$$(scripts/build release shim)" \
	$(CARGO) run --release -p spec-tests --bin bench -- --shims --json target/bench-shims.json
	@export CORTEN_BIN="$$(scripts/build release)" CORTEN_SHIM="$$(scripts/build release shim)" \
		CORTEN_COMPOSE_BIN="$$(scripts/build release compose)"; \
	$(CARGO) run --release -p spec-tests --bin bench \
		--config 'target."cfg(unix)".runner = ["$(CURDIR)/scripts/engine", "sid"]' -- \
		--compose --json target/bench-compose.json; code=$$?; \
	[ $$code -ne 69 ] || { code=0; echo "bench: compose isn't measured: no Docker of Debian sid (see above)"; }; \
	[ $$code -eq 0 ] || exit $$code
	@export CORTEN_BIN="$$(scripts/build release)" CORTEN_CGROUP_MANAGER=systemd; \
	$(CARGO) run --release -p spec-tests --bin bench \
		--config 'target."cfg(unix)".runner = ["$(CURDIR)/scripts/systemd", "v2"]' -- \
		--only run --only lifecycle --only exec --json target/bench-systemd.json; code=$$?; \
	[ $$code -ne 69 ] || { code=0; echo "bench: --systemd-cgroup isn't measured: no machine with systemd (see above)"; }; \
	exit $$code

ci: setup tools lint deny oldest aarch64 test ## Everything that CI runs: what is needed, every check, every test

deny: ## Check licences, origin and versions of the dependencies
	$(CARGO) deny check licenses bans sources

advisories: ## Look the dependencies up among the known vulnerabilities (fetches RustSec's database from GitHub)
	$(CARGO) deny check advisories

oldest: ## Check the runtime with the oldest Rust that it promises to build with
	$(CARGO) +$(OLDEST) check -p corten -p corten-shim -p corten-compose --locked

aarch64: ## Check the runtime and its tests for aarch64
	$(CARGO) clippy -p corten -p corten-shim -p corten-compose --all-targets --target aarch64-unknown-linux-musl -- -D warnings

setup: ## Install what the suites need (Debian packages, as root)
	scripts/install-test-packages

tools: ## Install what the checks need (parts of the Rust toolchain, cargo-deny)
	scripts/install-check-tools

clean: ## Remove what was built
	$(CARGO) clean
