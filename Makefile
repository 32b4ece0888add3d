# `make run` and `make test` need CPython 3.11 to 3.14 with pip, and nothing else; all is put into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# A compute guest of one second or two, for `make run`.
GUEST ?= collatz

.PHONY: run test test-real test-debian test-long soak lint clean

# The main job: a riscv64 program, then one that computes, under each engine and what else is there to compare with.
run: $(INSTALLED)
	$(BIN)/dragoman run guests/riscv64/hello
	$(BIN)/dragoman perf $(GUEST)

# Each part in a process of its own: engines and images want the same addresses below 2 GiB. 5: no test selected there.
# A test that hangs ends the run, with what its threads were doing.
HANGS := -o faulthandler_timeout=900 -o faulthandler_exit_on_timeout=true
test: lint
	for part in tests/test_*.py $(wildcard tests/[a-z]*/); do $(BIN)/python -m pytest -q $(HANGS) $$part || [ $$? = 5 ] || exit 1; done

# Debian's programs alone.
test-real: $(INSTALLED)
	$(BIN)/python -m pytest -q tests/real

# Debian's compilers, tools, servers and language runtimes; their packages are fetched the first time. Most of the time goes to QEMU.
test-debian: $(INSTALLED)
	$(BIN)/python -m pytest -q -m debian tests/debian

test-long: $(INSTALLED)
	$(BIN)/python -m pytest -q -m long

# 10,000 rounds of programs that mix what races, on each engine.
soak: $(INSTALLED)
	$(BIN)/python -m pytest -q -s -m soak tests/soak

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/mypy

# --without-pip, then this Python's pip: a Debian without python3-venv can do that.
$(INSTALLED): pyproject.toml bin/dragoman
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install -q --disable-pip-version-check pip -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
