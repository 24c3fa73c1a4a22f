# `make` alone says what there is. Every target brings in what it needs first, and what is there already costs nothing.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory
# What Python and pytest have compiled once is not compiled again by every process of every run, whatever the caller's shell prefers.
unexport PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
# Checked by the linters and the type checker: whichever of these folders there are.
SOURCES = $(wildcard nfsw tests tools)
# For the real NFS mount, in a kernel that runs as a process (x86-64 alone has that), and for a file system that hangs. A compiler
# only where the CPU has AMX: tests/support/uml_xstate.c says why.
TEST_PACKAGES = chromium fonts-dejavu-core rsync fuse3 iproute2 kmod nfs-common nfs-kernel-server $(if $(filter x86_64,$(shell uname -m)),user-mode-linux) \
	$(shell grep -qsw amx_tile /proc/cpuinfo && echo gcc libc6-dev)
# Four files of tests at a time, on two processors already: most of them wait for something most of the time. tests/conftest.py
# says which files come first.
AT_ONCE = --numprocesses 4 --dist loadfile --no-loadscope-reorder
# More for pytest, as in `make unit ARGS="-k claim -x"`; for the other targets it goes to the program they run.
ARGS =

.PHONY: help setup setup-dev setup-node setup-debian lock test lint format types imports unit integration acceptance nfs ground nfs-soak nfs-figures demo simulate soak bench image-test cluster-test clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## .venv with the locked dependencies; then .venv/bin/nfsw works
	@scripts/setup runtime

test: setup-dev setup-node setup-debian lint types imports ## all that is checked of the service, after installing what the tests need
	$(PYTHON) -m pytest $(AT_ONCE) -m "not ground" $(ARGS)

lint: setup-dev ## ruff: rules and form
	.venv/bin/ruff check $(SOURCES)
	.venv/bin/ruff format --check $(SOURCES)

format: setup-dev ## ruff mends what it can
	.venv/bin/ruff check --fix --exit-zero --quiet $(SOURCES)
	.venv/bin/ruff format $(SOURCES)

types: setup-dev ## mypy, strict
	.venv/bin/mypy $(SOURCES)

imports: setup-dev ## which module may import which
	.venv/bin/lint-imports --no-logo

unit: setup-dev ## tests of one part each
	$(PYTHON) -m pytest tests/unit $(ARGS)

integration: setup-dev setup-node ## tests with real processes
	$(PYTHON) -m pytest tests/integration $(ARGS)

acceptance: setup-dev setup-node ## tests of the whole service from outside
	$(PYTHON) -m pytest tests/acceptance $(ARGS)

nfs: setup-dev setup-node setup-debian ## tests on a real NFS mount
	$(PYTHON) -m pytest -m nfs $(ARGS)

ground: setup-dev setup-node setup-debian ## tests of what kernel, NFS and the tests' own instruments do: when one of these has changed
	$(PYTHON) -m pytest $(AT_ONCE) -m ground $(ARGS)

demo: setup setup-node ## the service at work, from a local folder to Azurite
	@scripts/demo $(ARGS)

simulate: setup-dev ## seeds of the simulation, 2,000 or as many as you like; the first that fails is made shorter
	@$(PYTHON) -m tests.simulation $(ARGS)

soak: setup-dev setup-node ## random kills for as long as you like, with a checker beside them
	@$(PYTHON) -m tools.soak $(ARGS)

nfs-soak: setup-dev setup-node setup-debian ## twenty outages of a real NFS server, 5 to 90 s each; SEED= repeats one
	NFSW_NFS_SOAK=$(or $(SEED),$(shell date +%s)) $(PYTHON) -m pytest -s tests/nfs/test_service_soak.py $(ARGS)

nfs-figures: setup-dev setup-node setup-debian ## what writers on another NFS client can lose, and how long they wait for us
	NFSW_NFS_FIGURES=1 $(PYTHON) -m pytest tests/nfs/test_second_client_figures.py $(ARGS)

bench: setup-node ## measured beside rclone and plain upload_blob
	@scripts/setup bench
	@scripts/setup-debian rclone
	@$(PYTHON) -m tools.bench $(ARGS)

image-test: setup-dev setup-node ## the container image, built and used
	@scripts/image-test $(ARGS)

cluster-test: setup-dev ## the manual's installation on the cluster of KUBECONFIG; IMAGE=, AZURITE_IMAGE=, LOAD=, NFS= as the manual says
	@$(PYTHON) -m tools.cluster $(if $(IMAGE),--image '$(IMAGE)') $(if $(AZURITE_IMAGE),--azurite-image '$(AZURITE_IMAGE)') \
		$(if $(LOAD),--load '$(LOAD)') $(if $(NFS),--nfs '$(NFS)') $(ARGS)

lock: ## requirements/*.txt from pyproject.toml; ARGS=--upgrade: the newest of all
	@scripts/lock $(ARGS)

clean: ## removes all that the other targets made, the tools too
	rm -rf .venv .tools node_modules build dist .demo .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .schemathesis

setup-dev:
	@scripts/setup dev

setup-node:
	@scripts/setup-node

setup-debian:
	@scripts/setup-debian $(TEST_PACKAGES)
