# `make` lists the targets. Each is one command; read it here.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# Every module of the workspace, the root first.
MODULES = $(shell go list -m -f '{{.Dir}}')

# The linter in PATH or, where there is none, the one that `make lint` builds.
LINTER_VERSION = v2.15.0
BUILT_LINTER = $(CURDIR)/bin/golangci-lint-$(LINTER_VERSION)/golangci-lint
LINTER = $(or $(shell command -v golangci-lint),$(BUILT_LINTER))

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: needs-postgres ## Run the whole system on this machine until Ctrl-C.
	@# go run answers 1 to Ctrl-C, however orderly its program stopped.
	@stopped=; trap 'stopped=yes' INT; go run ./cmd/shadowless up || [ "$$stopped" ]

.PHONY: demo
demo: needs-postgres ## Walk the golden journey (starts a system if none is running).
	go run ./cmd/shadowless demo

.PHONY: test
test: needs ## Get what the tests need and run them all, in every module, with the race detector.
	@failed=; for module in $(MODULES); do (cd "$$module" && go test -race -timeout 12m ./...) || failed=1; done; test -z "$$failed"

.PHONY: test-long
test-long: needs ## What takes longer than a commit should wait for.
	@failed=; for module in $(MODULES); do (cd "$$module" && go test -race -timeout 60m -tags long ./...) || failed=1; done; test -z "$$failed"

.PHONY: vet
vet: ## go vet and gofmt, in every module.
	@for module in $(MODULES); do (cd "$$module" && go vet ./...); done
	@unformatted=$$(gofmt -l cmd compare examples internal pkg services tests); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }

.PHONY: lint
lint: $(LINTER) ## golangci-lint, in every module; .golangci.yml gives a reason for each disabled linter.
	@failed=; for module in $(MODULES); do \
		echo "$$module"; (cd "$$module" && "$(LINTER)" run --config "$(CURDIR)/.golangci.yml" ./...) || failed=1; done; test -z "$$failed"

$(BUILT_LINTER):
	@echo "Building golangci-lint $(LINTER_VERSION) (once, some minutes) …"
	@GOBIN="$(@D)" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTER_VERSION)

.PHONY: generate
generate: ## Write the generated documentation.
	go run ./docs/gen/write

.PHONY: conformance
conformance: needs ## Hold token-exchange to its contract and write docs/conformance.md.
	go test ./tests/conformance -count 1 -run TestConformance -write

.PHONY: faults
faults: needs-postgres ## Kill, cut off and flood parts of the system and write docs/faults.md.
	go test ./tests/faults -count 1 -tags long -timeout 30m -run TestFaults -write

.PHONY: faq
faq: needs-postgres ## Answer the questions of docs/faq.md on a running system and write the page.
	go test ./tests/faq -count 1
	go run ./docs/gen/write

.PHONY: bench-exchange
bench-exchange: needs-postgres ## token-exchange beside its floors: requests per CPU-second, latency, memory.
	go run ./tests/bench-exchange $(BENCH_ARGS)

.PHONY: bench-identity
bench-identity: needs-postgres ## Identity events beside their floors: latency, revocation, erasure, reconciliation (about five minutes).
	go run ./tests/bench-identity $(BENCH_ARGS)

.PHONY: compare
compare: needs-postgres ## Shadow table or federated IDs: measure both, report in bin/compare (under 20 minutes; ARGS="--users 1000000 --runs 1" for a million).
	go run ./cmd/shadowless compare $(ARGS)

.PHONY: compare-quick
compare-quick: needs-postgres ## The same within two minutes, with rough numbers.
	go run ./cmd/shadowless compare --quick $(ARGS)

.PHONY: images
images: ## Build the container images as OCI archives in bin/images, without Docker.
	go run ./cmd/shadowless images --out bin/images

.PHONY: release-check
release-check: ## Whether every module can be released; TAG=pkg/authn/v0.1.0 asks about one.
	go run ./tests/release/check $(if $(TAG),-tag $(TAG))

.PHONY: tidy
tidy: ## Bring go.mod and go.sum of every module in order.
	@for module in $(MODULES); do (cd "$$module" && GOWORK=off go mod tidy); done
	go work sync

.PHONY: needs
needs: needs-postgres ## Install what the tests need beside Go, where it is missing (Debian).
	@scripts/need gcc gcc
	@scripts/need curl curl
	@scripts/need chromium chromium

.PHONY: needs-postgres
needs-postgres:
	@scripts/need '/usr/lib/postgresql/*/bin/initdb' postgresql

.PHONY: failures-authn
failures-authn: ## Put pkg/authn and its peers into the same trouble and print what becomes of them.
	@cd pkg/authn/bench && GOWORK=off go test -count=1 -v ./failures | grep -E '^(\||[A-Z][a-z]|FAIL|ok|panic)'

.PHONY: bench-authn
bench-authn: ## Measure pkg/authn beside its peers in turns and print one table of ratios (about two minutes).
	@cd pkg/authn/bench && GOWORK=off go run ./cmd/ratios $(BENCH_AUTHN_FLAGS)
