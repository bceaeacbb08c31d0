# Stepaway. `make help` lists what can be asked for; everything runs from a clean checkout.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

VERSION := $(or $(patsubst v%,%,$(shell git -c safe.directory='*' describe --tags --match 'v*' 2>/dev/null)),0.1.0-dev)
# The version is given by hand, so that a build does not depend on who owns the checkout.
LDFLAGS := -s -w -X main.version=$(VERSION)
GOBUILD := go build -trimpath -buildvcs=false
BIN     ?= bin
WINBIN  ?= bin/windows
DIST    ?= dist
STATIC  := agent courier collector

.PHONY: build windows deb msi deps lint test test-machine run bench bench-store bench-fleet torture shots clean help

build: ## the four programs for this system, in bin/
	@mkdir -p $(BIN)
	@for p in $(STATIC); do echo "build $(BIN)/stepaway-$$p"; CGO_ENABLED=0 $(GOBUILD) -ldflags "$(LDFLAGS)" -o $(BIN)/stepaway-$$p ./cmd/$$p; done
	@echo "build $(BIN)/stepaway-tray"; CGO_ENABLED=1 CGO_CFLAGS="-O2 -D_FORTIFY_SOURCE=2" $(GOBUILD) -buildmode=pie \
		-ldflags "$(LDFLAGS) -bindnow" -o $(BIN)/stepaway-tray ./cmd/tray

windows: ## the programs for Windows, in bin/windows/
	@mkdir -p $(WINBIN)
	@for p in $(STATIC) tray; do echo "build $(WINBIN)/stepaway-$$p.exe"; \
		case $$p in tray) gui="-H windowsgui" ;; *) gui= ;; esac; \
		GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GOBUILD) -ldflags "$(LDFLAGS) $$gui" -o $(WINBIN)/stepaway-$$p.exe ./cmd/$$p; done

# SOURCE_DATE_EPOCH, by default the time of the last commit, is all that the packages know of time. STEPAWAY_SIGNING_KEY
# names the OpenSSH key that signs the check sums.
deb: build ## the Debian packages, what is in them, and their check sums, in dist/
	@go run ./packaging/release -bin $(BIN) -out $(DIST) -version $(VERSION) \
		-epoch $${SOURCE_DATE_EPOCH:-$$(git -c safe.directory='*' log -1 --format=%ct)}

# STEPAWAY_CODE_CERT and STEPAWAY_CODE_KEY name the PEM files of a code signing certificate; STEPAWAY_CODE_TIMESTAMP the URL
# of a time stamp authority. Without them nothing is signed.
msi: windows ## the package for Windows, in dist/
	@go run ./packaging/msi -bin $(WINBIN) -out $(DIST) -version $(VERSION) \
		-epoch $${SOURCE_DATE_EPOCH:-$$(git -c safe.directory='*' log -1 --format=%ct)}

deps: ## installs the Debian packages that building and testing need, where missing
	@test/deps.sh build demo test bench

lint: ## gofmt, vet and staticcheck for Linux and Windows, and no path or host of one machine in any file
	@test/lint.sh

test: ## deps, build, lint and every test (STEPAWAY_SKIP_VM=1: without the machine in QEMU); ends with a summary
	@test/all.sh

test-machine: ## every step of a shift on a whole machine: Debian with XFCE in QEMU; pictures in out/machine/
	@test/deps.sh build machine
	@go test -tags machine -count=1 -parallel 3 -timeout 40m -v ./test/vm | grep --line-buffered -v '^ *=== '

run: ## the demonstration: warning, Continue, lock, record at the collector, within 90 seconds
	@test/deps.sh build demo
	@$(MAKE) --no-print-directory build
	@go run ./test/demo

bench: ## Stepaway beside xautolock, xss-lock and swayidle; about ten minutes (BENCH_MINUTES=1)
	@test/deps.sh build demo bench
	@$(MAKE) --no-print-directory build
	@go run ./test/bench

bench-store: ## the collector with SQLite, with PostgreSQL and with no store, in one run, as ratios
	@test/deps.sh build test
	@go run ./test/bench -only store -others

bench-fleet: ## 2,000 workstations against real collectors on both stores; about five minutes (FLEET=20000)
	@test/deps.sh build test
	@go build -buildvcs=false -o bin/fleet ./test/fleet
	@bin/fleet

torture: ## 10,000 kills, 1,600 power cuts, 5,000 damaged files, a million events, 50 killed collectors; about half an hour
	@test/deps.sh build test
	@go test -count=1 -timeout 3h -v -p 1 ./spool ./test/torture -torture \
		-run 'Killed|Power|Damaged|Every|Crash|Million|Flood|Disk|Restored|AuditVerify' | grep -v '^=== '
	@go test -count=1 -timeout 60m -v ./test/store -kills 50

shots: ## makes the README's pictures anew, in docs/img/
	@test/deps.sh build demo
	@$(MAKE) --no-print-directory build
	@go run ./test/demo -virtual -pictures docs/img

clean: ## removes bin/, dist/ and out/
	rm -rf bin dist out

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 21
