# The verbs of this project. Continuous integration calls the same ones (.ci/run).
#
# Needs cargo and Python 3.11 or later; everything else is installed below this folder: virtual environments in .venv and
# .venv-3.14t, tools in .tools. The system's Python is never written to.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
PYTEST ?=
LANES ?=
VERDICTS ?=
SIMULATE ?=
OVERHEAD ?=
BENCH ?=
BENCH_MINUTES ?= 28
BENCH_WEB_MINUTES ?= 7.7
BENCH_RESULTS ?= build/benchmark
NEXTEST_VERSION := 0.9.143
OHA_VERSION := 1.16.0

VENV := .venv
FREE_THREADED_VENV := .venv-3.14t
DOCS_VENV := .venv-docs
VENV_PYTHON := $(CURDIR)/$(VENV)/bin/python
REQUIREMENTS := requirements/build.txt requirements/test.txt requirements/analysis.txt requirements/lint.txt
FREE_THREADED_REQUIREMENTS := requirements/test.txt requirements/analysis.txt

# Clients that have calls which can be awaited, and the official one in threads: behind the web services of make bench-web.
WEB_CLIENTS := ours aerospike aerospike-native aerospike-py

# Type-checked to the letter.
TYPED := python/aerospike_py analysis/aerospike_py_analysis scripts $(if $(wildcard benchmark/*.py),benchmark)

# A frozen Cargo.lock in continuous integration, one that follows the manifests elsewhere.
LOCKED := $(if $(CI),--locked)

# Clippy and the Rust tests look at the same Python, so that they share what they compile.
export PYO3_PYTHON := $(VENV_PYTHON)

##@ Every day

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z][a-z-]*:.*## / { printf "  %-26s %s\n", "make " $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Run the feature-fetch workload on three embedded nodes and show where the time goes
	$(VENV_PYTHON) benchmark/demo.py --output demo-output

.PHONY: test
test: test-rust test-python test-free-threaded ## Run all tests: Rust, Python with the GIL, Python without it

.PHONY: lint
lint: lint-rust lint-python lint-project ## Check formats, lints, types, stubs, layers, the patched runtime, texts and the site

.PHONY: fmt
fmt: $(VENV)/.ready ## Format Rust and Python
	cargo fmt --all
	cargo fmt --manifest-path benchmark/rust-core/Cargo.toml
	$(VENV_PYTHON) -m ruff format .
	$(VENV_PYTHON) -m ruff check --fix .

.PHONY: build
build: $(VENV)/.ready ## Build the extension and make it importable from .venv
	@scripts/build-extension $(VENV)

.PHONY: clean
clean: ## Remove everything that was built or installed, but no measurements
	cargo clean
	rm -rf $(VENV) $(FREE_THREADED_VENV) $(DOCS_VENV) .tools .python build dist demo-output
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f python/aerospike_py/*.so

##@ Checks and tests, one at a time

.PHONY: lint-rust
lint-rust: $(VENV)/.ready ## Check the format and the lints of Rust
	cargo fmt --all --check
	cargo fmt --manifest-path benchmark/rust-core/Cargo.toml --check
	cargo clippy --workspace --all-targets $(LOCKED) -- -D warnings

.PHONY: lint-python
lint-python: build ## Check the format, the lints and the types of Python, and the extension's stub
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m mypy $(TYPED)
	$(VENV_PYTHON) -m mypy.stubtest --mypy-config-file pyproject.toml aerospike_py._aerospike

.PHONY: lint-project
lint-project: $(VENV)/.ready docs ## Check layers, the patched runtime, texts and the site
	$(VENV_PYTHON) scripts/check_layers.py
	$(VENV_PYTHON) scripts/check_patch.py
	$(VENV_PYTHON) scripts/check_text.py
	$(VENV_PYTHON) scripts/write_performance_docs.py --check

.PHONY: test-rust
test-rust: $(VENV)/.ready ## Run the Rust tests
	@scripts/test-rust $(VENV) $(NEXTEST_VERSION) $(LOCKED)

.PHONY: test-python
test-python: build peers ## Run the Python tests on .venv (PYTEST="-k name" selects)
	$(VENV_PYTHON) -m pytest $(PYTEST)

.PHONY: test-free-threaded
test-free-threaded: peers ## Run the Python tests without the GIL, if there is such an interpreter
	@scripts/free-threaded $(FREE_THREADED_VENV) "$(FREE_THREADED_REQUIREMENTS)" $(PYTEST)

.PHONY: verdicts
verdicts: build ## Play planted scenarios with the GIL and without it, and check the verdicts (VERDICTS="--only 'slow node'")
	@scripts/free-threaded $(FREE_THREADED_VENV) "$(FREE_THREADED_REQUIREMENTS)" --version
	PYTHONPATH=analysis $(VENV_PYTHON) -m scenarios --python $(VENV_PYTHON) \
	    $$(test -x $(FREE_THREADED_VENV)/bin/python && echo --python $(FREE_THREADED_VENV)/bin/python) $(VERDICTS)

.PHONY: simulate-check
simulate-check: build ## Predict what changes do, make them on the embedded server, print the errors (SIMULATE="--rounds 5")
	PYTHONPATH=analysis $(VENV_PYTHON) -m scenarios.simulate_check $(SIMULATE)

.PHONY: soak
soak: build ## Run the long tests that make test leaves out
	$(VENV_PYTHON) -m pytest -m soak $(PYTEST)
	@scripts/free-threaded $(FREE_THREADED_VENV) "$(FREE_THREADED_REQUIREMENTS)" -m soak $(PYTEST)

.PHONY: docs
docs: $(DOCS_VENV)/.ready ## Build the site into build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet
	$(DOCS_VENV)/bin/python scripts/check_site.py build/site

##@ Measurements and wheels

.PHONY: bench
bench: build lanes ## Measure environment A and the core of the matrix, half an hour (BENCH="--suite conversion" and the like)
	$(VENV_PYTHON) -m benchmark run --minutes $(BENCH_MINUTES) --json $(BENCH_RESULTS)/results.json.gz $(BENCH)

.PHONY: bench-web
bench-web: build web ## Measure environments B and C, the clients behind a web service, eight minutes (BENCH="--suite web-b")
	$(VENV_PYTHON) -m benchmark run $(if $(filter --suite --cell,$(BENCH)),,--suite web) --rounds 4 \
	    --minutes $(BENCH_WEB_MINUTES) --json $(BENCH_RESULTS)/web.json.gz $(BENCH)

.PHONY: bench-report
bench-report: build ## Make Markdown and HTML of what make bench and make bench-web have measured
	$(VENV_PYTHON) -m benchmark report $(wildcard $(BENCH_RESULTS)/results.json.gz $(BENCH_RESULTS)/web.json.gz) \
	    --markdown $(BENCH_RESULTS)/report.md --html $(BENCH_RESULTS)/report.html

.PHONY: bench-matrix
bench-matrix: build lanes ## Measure the whole matrix of keys and values; takes hours
	$(VENV_PYTHON) -m benchmark run --suite matrix --json $(BENCH_RESULTS)/matrix.json.gz $(BENCH)

.PHONY: bench-self-check
bench-self-check: build ## Measure the harness: what it costs, and whether it finds a planted slowdown and only that
	@scripts/build-as-released $(VENV) build/ours
	$(VENV_PYTHON) -m benchmark self-check $(BENCH)

.PHONY: bench-overhead
bench-overhead: build ## Measure what recording costs, from off to everything on (OVERHEAD="--instructions" counts instructions)
	@scripts/build-as-released $(VENV) build/ours
	@scripts/free-threaded $(FREE_THREADED_VENV) "$(FREE_THREADED_REQUIREMENTS)" --version
	@if [ -x $(FREE_THREADED_VENV)/bin/python ]; then scripts/build-as-released $(FREE_THREADED_VENV) build/ours; fi
	$(VENV_PYTHON) -m benchmark.overhead --also $(FREE_THREADED_VENV)/bin/python $(OVERHEAD)

.PHONY: bench-async-pool
bench-async-pool: build ## Measure several event loops against one, with the GIL and without it
	@scripts/free-threaded $(FREE_THREADED_VENV) "$(FREE_THREADED_REQUIREMENTS)" --version
	$(VENV_PYTHON) benchmark/async_pool.py --also $(FREE_THREADED_VENV)/bin/python

.PHONY: bench-lanes
bench-lanes: build lanes ## Measure our client beside its peers, lane by lane (LANES="--list" says what there is)
	$(VENV_PYTHON) -m benchmark.lanes $(LANES)

.PHONY: flamegraphs-lanes
flamegraphs-lanes: build lanes ## Draw where our client's CPU time goes, a picture per workload (LANES="--workload NAME")
	$(VENV_PYTHON) -m benchmark.lanes.flame $(LANES)

# The environments and the program that make bench-lanes measures; a missing free-threaded interpreter costs only its rows.
.PHONY: lanes
lanes: build peers build/peers/uvloop/.ready
	@scripts/build-as-released $(VENV) build/ours
	cargo build --release --manifest-path benchmark/rust-core/Cargo.toml --target-dir build/rust-core --locked
	@scripts/free-threaded-lanes $(FREE_THREADED_VENV) "$(FREE_THREADED_REQUIREMENTS)" build/peers-3.14t

.PHONY: bench-analysis
bench-analysis: build ## Measure what explaining a recording of ten million operations takes, in time and memory
	$(VENV_PYTHON) benchmark/analysis_scale.py

# The same for make bench-web: every client beside what a web service needs, and the load generator.
.PHONY: web
web: build build/tools/.oha-$(OHA_VERSION) $(addsuffix /.ready,$(addprefix build/web/,$(WEB_CLIENTS)))
	@scripts/build-as-released $(VENV) build/ours
	@scripts/free-threaded-lanes $(FREE_THREADED_VENV) "$(FREE_THREADED_REQUIREMENTS)" build/web-3.14t \
	    web ours aerospike-native aerospike-py

build/tools/.oha-$(OHA_VERSION): scripts/install-oha
	scripts/install-oha $(OHA_VERSION) build/tools
	@touch $@

.PHONY: bench-conversion
bench-conversion: build ## Count the instructions of conversion between Python and Rust
	$(VENV_PYTHON) benchmark/conversion.py

.PHONY: peers
peers: $(addsuffix /.ready,$(addprefix build/peers/,aerospike aerospike-native aerospike-py aerospike-sdk)) ## Install other clients, each in an environment of its own

.PHONY: wheel
wheel: $(VENV)/.ready ## Build a stripped wheel into dist/ and check it in a fresh environment
	rm -rf dist
	$(VENV_PYTHON) -m maturin build --profile wheel --out dist --interpreter $(VENV_PYTHON) $(LOCKED)
	$(VENV_PYTHON) scripts/check_wheel.py dist/*.whl

##@ Upkeep

.PHONY: requirements
requirements: build/compile/.ready ## Compile requirements/*.in to hash-pinned *.txt (UPGRADE=1 for newer versions)
	scripts/compile-requirements build/compile/bin/uv $(if $(UPGRADE),--upgrade)

$(VENV)/.ready: $(REQUIREMENTS) scripts/make-venv
	scripts/make-venv "$(PYTHON)" $(VENV) $(REQUIREMENTS)
	@touch $@

$(DOCS_VENV)/.ready: requirements/docs.txt scripts/make-venv
	scripts/make-venv "$(PYTHON)" $(DOCS_VENV) $<
	@touch $@

build/compile/.ready: requirements/compile.txt scripts/make-venv
	scripts/make-venv "$(PYTHON)" build/compile $<
	@touch $@

build/web/%/.ready: requirements/web-%.txt scripts/make-venv
	@mkdir -p build/web
	scripts/make-venv "$(PYTHON)" build/web/$* $<
	@touch $@

build/peers/%/.ready: requirements/peer-%.txt scripts/make-venv
	@mkdir -p build/peers
	scripts/make-venv "$(PYTHON)" build/peers/$* $<
	@touch $@
