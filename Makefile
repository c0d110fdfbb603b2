# The entry points. `make help` lists them.

PREFIX  ?= /usr/local
CARGO   ?= cargo


.PHONY: help build quick install uninstall run check fmt test docker vm bench setup deny clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

build: ## Build the release: one static, stripped file
	@scripts/build release

quick: ## Build what the suites test: the release without its slow last tenth
	@scripts/build quick

install: ## Build the release and put it into $(PREFIX)/bin, man pages and completions into $(PREFIX)/share
	install -D -m 0755 "$$(scripts/build release)" $(DESTDIR)$(PREFIX)/bin/corten
	umask 022 && $(CARGO) run -q -p corten --example manual -- $(DESTDIR)$(PREFIX)/share

uninstall: ## Take it out again
	rm -f $(DESTDIR)$(PREFIX)/bin/corten $(addprefix $(DESTDIR)$(PREFIX)/share/,man/man1/corten.1 man/man1/corten-*.1 \
	  bash-completion/completions/corten.bash zsh/site-functions/_corten fish/vendor_completions.d/corten.fish)

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

docker: ## Only the tests with a real Docker engine
	CORTEN_BIN="$$(scripts/build quick)" $(CARGO) test -p spec-tests --test docker

vm: ## Only the tests on a machine of cgroup v2 alone, with every controller
	CORTEN_BIN="$$(scripts/build quick)" $(CARGO) test -p spec-tests --test vm

bench: ## Compare with crun, runc and youki in one run; prints ratios, writes target/bench.json
	CORTEN_BIN="$$(scripts/build release)" $(CARGO) run --release -p spec-tests --bin bench

deny: ## Check licences and advisories of the dependencies
	$(CARGO) deny check

clean: ## Remove what was built
	$(CARGO) clean
