# What a change must pass, and how to get there.

export GOFLAGS ?=

.DEFAULT_GOAL := help

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install the servers and clients that tests use, where that is possible
	./scripts/install-test-deps

test: deps check ## install what tests need and run everything; nothing may be skipped that can be run
	./scripts/test

check: ## formatting, vet, staticcheck, known vulnerabilities, tidiness, other systems
	./scripts/check

bench: ## measure, beside nginx serving the same bytes, Verdaccio and the distribution registry
	./scripts/install-bench-deps
	./scripts/bench

.PHONY: help deps test check bench
