# The commands of this project; `make help` lists them. What they install goes into target/, and
# nowhere else.

CARGO ?= cargo
PYTHON ?= python3
export CARGO CC PYTHON

TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
export CARGO_TARGET_DIR := $(TARGET)
VENV := $(TARGET)/venv

CFLAGS ?= -O2 -g
C_WARNINGS := -std=c11 -Wall -Wextra -Wpedantic -Werror
C_EXAMPLES := $(patsubst examples/%.c,$(TARGET)/c/%,$(wildcard examples/*.c))
LIBRARY := $(TARGET)/release/libtalkws.$(if $(filter Darwin,$(shell uname -s)),dylib,so)

# What the Python package is made of: the core, and the binding.
PYTHON_SOURCES := $(wildcard Cargo.toml Cargo.lock README.md pyproject.toml) \
    $(shell find src bindings/python -type f \
        \( -name '*.rs' -o -name '*.toml' -o -name '*.py' -o -name '*.pyi' -o -name 'py.typed' \))

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Rust, C and Python clients talk to Rust, C and Python servers
	@$(PYTHON) tests/run/demo.py

# Builds part by part and goes on where a part fails, so that one summary tells all.
.PHONY: test
test: tools venv ## Run every test; the last line counts them
	@$(PYTHON) tests/run/all.py

.PHONY: lint
lint: tools build-python ## Formatting, lints and types, of Rust, C and Python
	@$(PYTHON) tests/run/lint.py

# Their peers are written for Linux.
BENCH_PEERS := $(if $(filter Linux,$(shell uname -s)),bench-python bench-deflate bench-events)

.PHONY: bench
bench: tools bench-c $(BENCH_PEERS) ## Measure speed
	$(CARGO) bench

.PHONY: bench-c
bench-c: tools ## Measure what the C layer costs
	$(CARGO) build --release -p talkws-c --features testing --target-dir $(TARGET)/testing
	@mkdir -p $(TARGET)/c
	$(CC) $(C_WARNINGS) $(CFLAGS) -Iinclude -Itests/c -o $(TARGET)/c/c_layer \
	    benches/c_layer.c $(TARGET)/testing/release/libtalkws.a $(STATIC_LIBS) -lm
	$(TARGET)/c/c_layer

# Beside other libraries for Python; BENCH_ARGS="--quick" for a look, "--write-docs" for the README.
.PHONY: bench-python
bench-python: tools venv $(TARGET)/c/bench_echo $(TARGET)/c/bench_load ## Measure the Python package
	@rm -rf $(TARGET)/bench-wheel
	PATH="$(VENV)/bin:$$PATH" $(VENV)/bin/python -m pip wheel --quiet --no-build-isolation --no-deps \
	    --wheel-dir $(TARGET)/bench-wheel .
	$(PYTHON) benches/python/environment.py $(TARGET)/bench-wheel/*.whl
	$(PYTHON) benches/python/run.py $(BENCH_ARGS)

# Its peers are those of tests/interop, and read the processor time of Linux.
.PHONY: bench-deflate
bench-deflate: build ## Measure servers that compress, beside other libraries
	$(PYTHON) benches/deflate/run.py $(filter --quick,$(BENCH_ARGS))

# As above, and with many connections.
.PHONY: bench-events
bench-events: build $(TARGET)/c/events_load $(TARGET)/c/events_raw_echo ## Measure servers with many connections
	$(PYTHON) benches/events/run.py $(filter --quick,$(BENCH_ARGS))

$(TARGET)/c/events_%: benches/events/%.c benches/python/peers/peer.h
	@mkdir -p $(@D)
	$(CC) $(C_WARNINGS) $(CFLAGS) -o $@ $<

$(TARGET)/c/bench_%: benches/python/peers/%.c $(wildcard benches/python/peers/*.h)
	@mkdir -p $(@D)
	$(CC) $(C_WARNINGS) $(CFLAGS) -o $@ $< -pthread

.PHONY: fuzz
fuzz: tools ## Fuzz each target for a minute
	fuzz/run

.PHONY: build
build: build-rust build-c build-python ## Build libraries and examples, and install the Python package into target/venv

.PHONY: build-rust
build-rust: tools ## Build the Rust library and examples
	$(CARGO) build --release --examples

.PHONY: build-c
build-c: $(C_EXAMPLES) package ## Build the C library, its man pages and examples

.PHONY: build-python
build-python: $(VENV)/.package-installed ## Build the Python package and install it into target/venv

.PHONY: clean
clean: ## Remove everything that was built or installed
	rm -rf $(TARGET)

# Cargo knows best whether the library is fresh, so it is always asked. Programs look for the
# library under its SONAME.
.PHONY: c-library
c-library: tools
	$(CARGO) build --release -p talkws-c
	@ln -sf $(notdir $(LIBRARY)) $(TARGET)/release/$(SONAME)

# With faults on demand, for tests/c.
.PHONY: faulty-c-library
faulty-c-library: tools
	$(CARGO) build -p talkws-c --features testing --target-dir $(TARGET)/testing

$(LIBRARY): c-library
	@test -e $@

$(TARGET)/c/%: examples/%.c include/talkws.h $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(C_WARNINGS) $(CFLAGS) -Iinclude -o $@ $< \
	    -L$(TARGET)/release -ltalkws -Wl,-rpath,$(TARGET)/release -pthread

# An environment of our own: the user's Python is never touched.
.PHONY: venv
venv: $(VENV)/.requirements-installed

$(VENV)/.requirements-installed: tests/requirements.txt tests/python/requirements.txt \
    tests/requirements-peers.txt | tools
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --requirement $<
	@grep -v '^#' tests/requirements-peers.txt | while read -r peer; do \
	    $(VENV)/bin/python -m pip install --quiet "$$peer" || \
	    echo "cannot install $$peer: what needs it is skipped"; done
	@touch $@

# Without build isolation, because the environment has the build tool (maturin) already.
$(VENV)/.package-installed: $(PYTHON_SOURCES) $(VENV)/.requirements-installed
	PATH="$(VENV)/bin:$$PATH" $(VENV)/bin/python -m pip install --quiet \
	    --no-build-isolation --no-deps --force-reinstall .
	@touch $@

.PHONY: tools
tools:
	@tests/run/check-tools "$(CARGO)" "$(CC)" "$(PYTHON)"

include bindings/c/install.mk
