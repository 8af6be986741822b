# make help lists what can be made. Everything needs Go; test, demo, bench and
# ci install what else they need from Debian's packages, as root.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.version=$(VERSION)
PLATFORMS := linux/amd64 linux/arm64 linux/arm darwin/amd64 darwin/arm64
FUZZTIME ?= 30s
FUZZREST ?= $(FUZZTIME)
SOAK     ?= 10m30s
SEEDS    ?= 5000
GO       ?= go

# Packages whose tests stand on labs, the longest first: they wait more than
# they work, and would wait longer beside those that work.
LABS   := internal/e2e internal/e2e/fault xmppc2s internal/e2e/ends
# Packages with simulations and models of what one goroutine does. The race
# detector, under which they take ten times as long, has little to find there:
# it sees them small (-short), and they run in full size without it.
MODELS := bridge/rooms bridge/store clique/rmulticast linklocal/mdns
UNITS   = $(filter-out $(LABS:%=meshgate/%) $(MODELS:%=meshgate/%),$(shell $(GO) list ./...))

# The version comes from VERSION; a checkout that belongs to another user would
# make Go's own look at git fail.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

.PHONY: help build test lint demo bench soak fault fuzz sim ci deps clean

help:
	@echo 'make build   static programs for all platforms, in dist/'
	@echo 'make test    all tests, also those on a LAN of network namespaces (root)'
	@echo 'make lint    gofmt, vet, staticcheck, import rules, go.mod'
	@echo 'make demo    a LAN, two servers and a gateway between them, to play with (root)'
	@echo 'make bench   what a message costs and how fast it is (root)'
	@echo 'make soak    whether everybody still sees everybody after $(SOAK) (root)'
	@echo 'make fault   whether anything is lost or doubled by cuts, kills and restarts;'
	@echo '             FAULT="-run cuts -server ejabberd -messages 1000 -cuts 20 -seed 7" is less, FAULT=-h says what there is (root)'
	@echo 'make fuzz    every fuzz target for FUZZREST ($(FUZZREST)), those of DSPS for FUZZTIME ($(FUZZTIME))'
	@echo 'make sim     $(SEEDS) (SEEDS) simulated Clique rooms on networks that lose, double and cut'
	@echo 'make ci      what has to pass before a change lands (root)'
	@echo 'make deps    install the Debian packages that the tests need (root)'
	@echo 'make clean   remove what was built'

build: $(PLATFORMS:%=dist/%)

# dist/linux/arm stands for the file dist/meshgate-linux-arm.
.PHONY: $(PLATFORMS:%=dist/%)
$(PLATFORMS:%=dist/%): dist/%:
	CGO_ENABLED=0 GOOS=$(*D) GOARCH=$(*F) $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o dist/meshgate-$(*D)-$(*F) ./cmd/meshgate

deps:
	@echo 'make: installing what the tests need from Debian packages (internal/e2e/deps.sh --list says what and why)'
	sh internal/e2e/deps.sh

# MESHGATE_E2E=require: a test that lacks something fails instead of skipping.
# make lint vets.
test: export MESHGATE_E2E = require
test: deps
	$(GO) test -vet=off -race -timeout 10m $(UNITS)
	$(GO) test -vet=off -race -short -timeout 10m $(MODELS:%=./%)
	$(GO) test -vet=off -timeout 10m $(MODELS:%=./%)
	$(GO) test -vet=off -race -timeout 15m $(LABS:%=./%)

lint:
	@out=$$(gofmt -l .) && test -z "$$out" || { echo "gofmt: run gofmt -w on: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./internal/archtest
	$(GO) mod tidy -diff

# DEMO=once runs it through by itself and ends.
demo: deps
	$(GO) run ./internal/e2e/demo

bench: deps
	$(GO) test -run '^$$' -bench . -benchtime 200ms $$($(GO) list ./... | grep -v /internal/e2e)
	$(GO) run ./internal/e2e/bench

# Longer than the records of a mirror live, several times over.
soak: deps
	$(GO) run ./internal/e2e/soak -for $(SOAK)

# In full size, which takes an hour; the tests have a small one.
fault: deps
	$(GO) run ./internal/e2e/fault $(FAULT)

fuzz:
	FUZZTIME=$(FUZZTIME) FUZZREST=$(FUZZREST) GO='$(GO)' .ci/fuzz

# In virtual time, and on all cores.
sim:
	@log=$$(mktemp) && { $(GO) test ./clique/rmulticast -v -count 1 -run 'TestSim$$' -timeout 20m -args -seeds $(SEEDS) >$$log 2>&1; status=$$?; } ; \
	grep -v '^=== \|^ *--- PASS' $$log; rm -f $$log; exit $$status

ci:
	.ci/run

clean:
	rm -rf dist
