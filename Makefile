# ringwall: build, run and test. `make run` and `make test` need Go; what else the tests need, `make test` says or installs.

GO       ?= go
FUZZTIME ?= 60s
BENCH    ?= compare $(if $(filter 0,$(shell id -u)),-wire both) -out bench/REPORT.md

# Debian packages that the tests use: a C compiler for the race detector, real phones and a real platform for the stories.
PACKAGES := gcc libc6-dev openssl sip-tester sipvicious baresip-core linphone-cli kamailio rtpengine-daemon iproute2 fail2ban nftables nmap sipsak systemd

# All packages but the stories, which run the whole binary. Found when a recipe asks for it.
UNITS = $$($(GO) list ./... | grep -v '/e2e')

.PHONY: build install run test packages lint unit alloc race fuzz e2e e2e-slow bench parts pgo
.DEFAULT_GOAL := build

build: ## one static binary, ./ringwall
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o ringwall ./cmd/ringwall

# Like every packager's: DESTDIR=/tmp/root make install. It starts nothing and touches no configuration.
install: ## as root, after make build: binary, systemd unit and user, manual, examples. README, "As a service"
	@test -x ringwall || { echo "there is no ./ringwall: run make build first, as yourself" >&2; exit 1; }
	install -D -m 755 ringwall $(DESTDIR)/usr/bin/ringwall
	install -D -m 644 packaging/systemd/ringwall.service $(DESTDIR)/usr/lib/systemd/system/ringwall.service
	install -D -m 644 packaging/systemd/sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/ringwall.conf
	install -D -m 644 packaging/systemd/sysctl.conf $(DESTDIR)/usr/lib/sysctl.d/50-ringwall.conf
	install -d -m 755 $(DESTDIR)/etc/ringwall $(DESTDIR)/usr/share/ringwall/examples $(DESTDIR)/usr/share/bash-completion/completions
	cp -r packaging/fail2ban $(DESTDIR)/usr/share/ringwall/examples/
	install -m 644 packaging/ringwall.yaml $(DESTDIR)/usr/share/ringwall/examples/ringwall.yaml
	./ringwall man --dir $(DESTDIR)/usr/share/man
	./ringwall completion bash > $(DESTDIR)/usr/share/bash-completion/completions/ringwall

run: build ## the demonstration platform: prints what to type into a softphone
	./ringwall run --state .demo

test: packages lint unit alloc e2e ## everything a change must pass
	@echo "make test: everything passed"

packages: ## install what the tests need (as root on Debian), or say what is missing
	@.ci/packages $(PACKAGES)

lint: ## vet, staticcheck, gofmt
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not gofmt-ed:"; echo "$$bad"; exit 1; fi

unit race: ## every room, with the race detector
	$(GO) test -race -timeout 10m $(UNITS)

alloc: ## what must not allocate: measured without the race detector, which allocates itself
	$(GO) test -count=1 -run Alloc $(UNITS)

e2e: ## stories about the whole binary; a missing tool fails here instead of skipping
	RINGWALL_REQUIRE=1 $(GO) test -count=1 -timeout 15m -parallel 4 -p 1 ./e2e/...

e2e-slow: packages ## stories that take minutes: 10,000 calls, restart under load, RFC timers; once more under the race detector
	RINGWALL_REQUIRE=1 RINGWALL_SLOW=1 $(GO) test -count=1 -timeout 60m -p 1 -run TestSlow -v ./e2e/...
	RINGWALL_REQUIRE=1 RINGWALL_SLOW=1 RINGWALL_RACE=1 $(GO) test -count=1 -timeout 60m -p 1 -run TestSlow -v ./e2e/...

# What a socket of a test does looks new to the fuzzer each time: without a bound it spends FUZZTIME on making a few inputs smaller.
fuzz: ## each fuzz target for FUZZTIME
	@set -e; for file in $$(git ls-files '*_test.go'); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "== $$target in $$(dirname "$$file")"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "./$$(dirname "$$file")"; \
		done; \
	done

bench: ## side by side with Kamailio, rtpengine and a bare forwarder, into bench/REPORT.md; BENCH='compare -short' is for a look, '-h' tells the rest
	@.ci/packages kamailio rtpengine-daemon
	$(GO) build -o build/bench ./bench/cmd/bench
	build/bench $(BENCH)

pgo: ## cmd/ringwall/default.pgo, the profile by which go build inlines: calls and registrations through the lane
	mkdir -p build
	$(GO) test -run '^$$' -bench 'BenchmarkDryCall$$' -benchtime 9000x -count 6 -cpuprofile build/call.prof -o build/proxy.test ./proxy
	$(GO) test -run '^$$' -bench 'BenchmarkRefresh$$' -benchtime 1000000x -cpuprofile build/refresh.prof -o build/proxy.test ./proxy
	$(GO) tool pprof -proto -focus 'lane..Receive' build/call.prof build/refresh.prof > cmd/ringwall/default.pgo

parts: ## what the parts of a message's way cost
	$(GO) test -run '^$$' -bench . -benchmem ./sip ./sdp ./seal ./transaction ./proxy
