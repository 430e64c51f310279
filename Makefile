# make          builds bin/onebeat
# make demo     shows it at work with a real Celery worker
# make test     lint and every test, among real servers and workers
# make check    lint and the tests that need no servers: under a minute
# make bench    onebeat beside celery beat, django-celery-beat and RedBeat: about six minutes; BENCH="-entries 1000 -lines postgres+redis,beat" for some
# make microbench   agenda, Next, template, journal, beside what was kept, or OLD=revision; KEEP=1 keeps
# make failover KILLS=100   nodes are lost: how late slots are then, on each database
# make differential, make simulate, make model   more of what the tests compare, try and prove
# make chaos    three nodes among servers, links and clocks that fail, and each slot checked: MINUTES=60 SEED=7 ON=PostgreSQL.and.Redis
# make starts   first starts of three nodes, one after another, with faults from their first moment on: ROUNDS=100 SEED=7 ON=SQLite
# make crash    every failpoint in every way, with every database, broker and misfire policy: about 25 minutes
# make stack    private servers for tests: alone until Ctrl-C, or around CMD="go test ./internal/store/..."

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

# What one step compiles the next has: all are built alike, and for tests as the image is, but for the race detector.
export GOFLAGS := $(filter-out -trimpath,$(shell go env GOFLAGS)) -trimpath
test ready check: export CGO_ENABLED = 0

# SERVED are the packages whose tests need servers or workers: those that say so.
SERVED = $(shell grep -rlE 'ONEBEAT_TEST_|/storetest"|/brokertest"|onebeat/test/' --include='*_test.go' bench cmd internal test 2>/dev/null | xargs -r -n1 dirname | sort -u)

.PHONY: build
build:
	go build -trimpath -o bin/onebeat ./cmd/onebeat

.PHONY: deps
deps:
	@scripts/deps

.PHONY: lint
lint:
	@scripts/lint

.PHONY: fmt
fmt:
	go build -modfile=tools.mod -o .cache/bin/gofumpt mvdan.cc/gofumpt
	.cache/bin/gofumpt -w $$(go list -f '{{.Dir}}' ./...)

.PHONY: stack
stack: deps .cache/bin/stack
	@.cache/bin/stack $(STACKFLAGS) -- $(CMD)

.PHONY: test
test:
	@$(MAKE) --no-print-directory -j3 ready
	@.cache/bin/stack $(STACKFLAGS) -- .cache/bin/tally scripts/everytest $(TESTFLAGS)

# What the tests need is installed, which waits for the network, and compiled at the same time.
.PHONY: ready compiled
ready: deps lint build compiled .cache/bin/stack .cache/bin/tally
compiled:
	@! command -v gcc >/dev/null || scripts/everytest --compile

# A million slots beside the installed Celery's, as many field texts, and the other dialects and kinds beside what knows them.
.PHONY: differential
differential: deps .cache/bin/stack
	@.cache/bin/stack -services "" -- env ONEBEAT_DIFFERENTIAL=1000000 go test -timeout 120m -v ./test/differential

# Several nodes through faults and crashes, by more seeds than the tests take.
.PHONY: simulate
simulate: SEEDS ?= 20000
simulate:
	@ONEBEAT_SEEDS=$(SEEDS) go test -timeout 60m -run EachSlotOnce ./test/simulate

# Real nodes among real servers that fail, for MINUTES in each of four settings, two at a time, or in those that ON
# matches. FORMER is a commit that the nodes' old version is built from; a report of each is left in .cache/chaos.
.PHONY: chaos
chaos: MINUTES ?= 3
chaos: deps .cache/bin/stack
	@.cache/bin/stack -services "" -- env ONEBEAT_CHAOS=$(MINUTES)m ONEBEAT_SEED=$(SEED) ONEBEAT_CHAOS_FORMER=$(FORMER) \
		ONEBEAT_CHAOS_REPORT=$(CURDIR)/.cache/chaos go test -count 1 -timeout 0 -v -run 'Whatever$(if $(ON),/$(ON))' ./test/chaos

# The catalog is read for the first time of all, ROUNDS times in each of four settings or in those that ON matches. The
# rounds have the seeds from SEED on. The logs of nodes in rounds that fail are left in .cache/chaos.
.PHONY: starts
starts: ROUNDS ?= 20
starts: deps .cache/bin/stack
	@.cache/bin/stack -services "" -- env ONEBEAT_CHAOS_ROUNDS=$(ROUNDS) ONEBEAT_SEED=$(SEED) ONEBEAT_CHAOS_REPORT=$(CURDIR)/.cache/chaos \
		go test -count 1 -timeout 0 -v -run 'FirstStarts$(if $(ON),/$(ON))' ./test/chaos

# Nodes are lost beside 100,000 entries, each way so often on each database: how late slots are
# then. WAYS=kill for one way of five, ON=PostgreSQL,_Redis for one setting of four.
.PHONY: failover
failover: KILLS ?= 100
failover: WAYS ?= .
failover: ON ?= .
failover: deps .cache/bin/stack
	@.cache/bin/stack -services postgres,mariadb,redis,rabbitmq -- env ONEBEAT_KILLS=$(KILLS) go test -timeout 240m -v -run '^TestFailover$$/$(ON)/$(WAYS)' ./test/e2e

# The tests take a part of this that has each point in each way, and each pair of the others.
.PHONY: crash
crash: deps .cache/bin/stack
	@.cache/bin/stack $(STACKFLAGS) -- env ONEBEAT_LONG=1 go test -count 1 -timeout 4h -v -run 'AnyCrash|FailpointIsHit' ./test/e2e

# The model in docs/design, exhaustively: about twenty minutes. The tests check less of it.
.PHONY: model
model: deps
	@ONEBEAT_MODEL=whole go test -timeout 90m -v ./test/model

.PHONY: check
check: lint build .cache/bin/tally
	@.cache/bin/tally go test -json -short -timeout 2m $$(go list ./... | grep -vxE '$(subst $(empty) ,|,$(SERVED:%=github.com/onebeat/onebeat/%))')

.PHONY: bench
bench: deps build
	@scripts/bench $(BENCH)

.PHONY: microbench
microbench:
	@scripts/microbench $(OLD)

.PHONY: demo
demo: build
	@scripts/demo

.PHONY: clean
clean:
	rm -rf bin .cache

# go build knows by itself what has changed.
.PHONY: .cache/bin/stack .cache/bin/tally
.cache/bin/stack:
	@go build -o $@ ./test/stack
.cache/bin/tally:
	@go build -o $@ ./test/tally
