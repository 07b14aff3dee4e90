# SPDX-License-Identifier: Apache-2.0
#
# A thin front: Meson and ninja build, scripts/ do the rest. `make help` lists what there is.
PREFIX ?= /usr/local
DESTDIR ?=
MESON ?= meson
BUILD := build

.PHONY: all demo test test-all torture fuzz bench fmt fmt-check lint install clean help configure

all: configure ## build build/belfry (the default)
	@ninja -C $(BUILD) belfry

configure: scripts/install-deps
	@scripts/install-deps --check build
	@test -e $(BUILD)/build.ninja || $(MESON) setup $(BUILD)

demo: ## install, build and show: uploads, events, a kill, nothing lost (ONCE=1 ends instead of staying up)
	@scripts/install-deps demo
	@$(MAKE) --no-print-directory all
	@ONCE=$(ONCE) scripts/demo

test: ## everything that must pass before a change lands; one summary line (about 20 minutes on 2 cores)
	@scripts/install-deps test
	@scripts/test $(STAGES)

test-all: ## the same and what takes longer: half an hour of torture, fuzzing, sanitizers over all of integration
	@scripts/install-deps test
	@scripts/test --all $(STAGES)

torture: ## faults of every kind, for FOR minutes (30) from SEED; ROWS="name ..." some, MUTATE=all with safeguards left out
	@scripts/install-deps test
	@$(MAKE) --no-print-directory all
	@ninja -C $(BUILD) torture-native
	@scripts/torture $(if $(FOR),--for $(FOR)) $(if $(SEED),--seed $(SEED)) $(if $(ROWS),--rows $(ROWS)) \
	    $(if $(MUTATE),--mutate $(MUTATE)) $(TORTURE)

fuzz: ## search with every fuzz target, FOR minutes in all (10); one table of what each did
	@scripts/install-deps test
	@scripts/test build-fuzz
	@scripts/fuzz $(if $(FOR),--for $(FOR)) $(FUZZ)

bench: ## measure against MinIO, into docs/benchmarks.md (BENCH=--quick: shorter); TARGET=kafka or all: targets against real brokers
	@scripts/install-deps test
	@$(MAKE) --no-print-directory all
	@ninja -C $(BUILD) bench/belfry-load bench/belfry-sink
ifdef TARGET
	@scripts/install-brokers
	@scripts/install-test-tools
	@ninja -C $(BUILD) $(basename $(wildcard bench/bare_*.c))
	@bench/target $(filter-out all,$(TARGET)) $(BENCH)
else
	@bench/run $(BENCH)
endif

fmt: ## format all C sources
	@scripts/lint --fix-format

fmt-check: ## say which C sources are not formatted
	@scripts/lint --only format

lint: ## the rules of the house that a script can check
	@scripts/lint

install: all ## into DESTDIR/PREFIX (default /usr/local)
	@$(MESON) configure $(BUILD) -Dprefix=$(PREFIX)
	@ninja -C $(BUILD) belfry
	@DESTDIR=$(DESTDIR) $(MESON) install -C $(BUILD) --no-rebuild

clean: ## remove everything that was built here
	@rm -rf build build-*

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12
