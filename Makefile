# `make` alone lists the targets. Every target works from a clean clone on Debian 12 or later with Swift 6.3.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
DESTDIR ?=
DATA ?= ./data
SEEDS ?= 100
FIRST_SEED ?= 1
ROUNDS ?= 20
SECONDS_PER_FUZZER ?= 60

RELEASE := .build/release/suanpan

.PHONY: help demo test run build release dependencies hand-dependencies test-dependencies bench sim fuzz docs format \
	lint install crash histories perf clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: hand-dependencies release ## 40 seconds: a sale's peak at an engine on a throw-away directory, a kill, the books
	@Scripts/demo

test: test-dependencies ## Build and run every test that CI runs
	@Scripts/test

run: hand-dependencies release ## Serve on ./data (DATA=directory)
	$(RELEASE) serve --data $(DATA)

bench: dependencies ## Run the micro-benchmarks
	@Scripts/bench

sim: dependencies ## Simulate SEEDS seeds, beginning with FIRST_SEED
	@Scripts/sim $(SEEDS) $(FIRST_SEED)

fuzz: dependencies ## Fuzz decoders and recovery, SECONDS_PER_FUZZER each
	@Scripts/fuzz $(SECONDS_PER_FUZZER)

docs: dependencies ## Check the documentation's links, and build the library's reference
	@Scripts/docs

format: ## Lay out the sources by swift format
	swift format --in-place --parallel --recursive Package.swift Sources Tests

lint: ## Check layout, house rules, dead declarations and what documents name
	@Scripts/lint

crash: test-dependencies release ## Kill the server ROUNDS times under load and look for every acknowledged transfer
	@Scripts/crash $(ROUNDS)

histories: test-dependencies release ## Kill the server ROUNDS times under random histories of all operations and explain every answer
	@Scripts/histories $(ROUNDS)

perf: test-dependencies release ## Measure against Redis and the stated targets on this machine
	@Perf/all

install: release ## Install the binary, sample configuration and systemd unit under PREFIX (/usr/local)
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" Scripts/install

clean: ## Remove what was built
	rm -rf .build

dependencies:
	@Scripts/install-dependencies build

hand-dependencies:
	@Scripts/install-dependencies build hand

test-dependencies:
	@Scripts/install-dependencies build test

build: dependencies
	swift build

release: dependencies
	@Scripts/release
