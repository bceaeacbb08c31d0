# Stepaway. `make help` lists what can be asked for; everything runs from a clean checkout.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

VERSION := $(or $(patsubst v%,%,$(shell git -c safe.directory='*' describe --tags --match 'v*' 2>/dev/null)),0.1.0-dev)
# The version is given by hand, so that a build does not depend on who owns the checkout.
GOBUILD := go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)"
STATIC  := agent courier collector

.PHONY: build windows deps lint test run bench shots clean help

build: ## the four programs for this system, in bin/
	@mkdir -p bin
	@for p in $(STATIC); do echo "build bin/stepaway-$$p"; CGO_ENABLED=0 $(GOBUILD) -o bin/stepaway-$$p ./cmd/$$p; done
	@echo "build bin/stepaway-tray"; CGO_ENABLED=1 $(GOBUILD) -o bin/stepaway-tray ./cmd/tray

windows: ## the programs for Windows, in bin/windows/
	@mkdir -p bin/windows
	@for p in $(STATIC) tray; do echo "build bin/windows/stepaway-$$p.exe"; \
		GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GOBUILD) -o bin/windows/stepaway-$$p.exe ./cmd/$$p; done

deps: ## installs the Debian packages that building and testing need, where missing
	@test/deps.sh build demo test bench

lint: ## gofmt, vet and staticcheck for Linux and Windows, and no path or host of one machine in any file
	@test/lint.sh

test: ## deps, build, lint and every test; ends with a summary
	@test/all.sh

run: ## the demonstration: warning, Continue, lock, record at the collector, within 90 seconds
	@test/deps.sh build demo
	@$(MAKE) --no-print-directory build
	@go run ./test/demo

bench: ## Stepaway beside xautolock, xss-lock and swayidle; about ten minutes (BENCH_MINUTES=1)
	@test/deps.sh build demo bench
	@$(MAKE) --no-print-directory build
	@go run ./test/bench

shots: ## makes the README's pictures anew, in docs/img/
	@test/deps.sh build demo
	@$(MAKE) --no-print-directory build
	@go run ./test/demo -virtual -pictures docs/img

clean: ## removes bin/, dist/ and out/
	rm -rf bin dist out

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16
