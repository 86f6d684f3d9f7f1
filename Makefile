# Everything happens in .venv; `make` alone lists the verbs. Needs Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TYPES := build/types/facenas
EMPTY := build/package
# A test process a core, as far as memory allows: each loads PyTorch and the runtimes. Who is done early takes over from the rest.
PROCESSES := -n logical --maxprocesses 4 --dist worksteal
SOURCES := facenas exporters latency_tables benchmarks docs/make_site.py examples tests

.PHONY: help install demo test test-all lint type-check format bench docs package test-package clean

help:
	@echo "make install | demo | test | test-all | lint | type-check | format | bench | docs | package | test-package | clean"

install: $(INSTALLED)

# torch first and alone: the constraint takes a CPU build where there is one, before anything can pull another torch.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)" --constraint constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $(INSTALLED)

# A machine that stays too busy to measure on (exit code 2) has a demo, too, by the table of another one.
demo: install
	$(BIN)/facenas run --latency 5ms --device cpu --out runs/demo || \
		{ [ $$? -eq 2 ] && $(BIN)/facenas run --latency 5ms --device cpu --no-calibrate --out runs/demo; }

test: install
	$(BIN)/python -m pytest $(PROCESSES)

test-all: install
	$(BIN)/python -m pytest $(PROCESSES) -m "slow or not slow"

lint: install
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

# mypy does not know pyproject's package-dir, so it sees the package as it is installed: one tree of links. Test files of
# two folders may have one name, so they are named by their folders.
type-check: install
	rm -rf $(TYPES) && mkdir -p $(TYPES)
	ln -s $(CURDIR)/facenas/* $(CURDIR)/exporters $(CURDIR)/latency_tables $(TYPES)/
	cd build/types && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p facenas
	cd build/types && MYPYPATH=$(CURDIR)/benchmarks:$(CURDIR)/docs:$(CURDIR)/tests $(CURDIR)/$(BIN)/mypy \
		--config-file $(CURDIR)/pyproject.toml --explicit-package-bases $(CURDIR)/benchmarks $(CURDIR)/docs $(CURDIR)/tests

format: install
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: install
	$(BIN)/facenas bench
	$(BIN)/python benchmarks/latency_prediction.py --device cpu

# The site, in build/site; a link or an anchor that leads nowhere is an error.
docs: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python docs/make_site.py
	$(BIN)/zensical build --strict

# An sdist of the checkout, and a wheel of that sdist: what the sdist lacks, the wheel lacks too.
package: install
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# The wheel in an environment of its own. The tests see no source, only docs, examples and tables: those that look at it are left out.
test-package: package
	rm -rf $(EMPTY) && mkdir -p $(EMPTY)
	$(PYTHON) -m venv $(EMPTY)/.venv
	$(EMPTY)/.venv/bin/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)" --constraint constraints.txt
	$(EMPTY)/.venv/bin/python -m pip install --quiet --constraint constraints.txt "$$(echo dist/*.whl)[int8,train]" \
		pytest pytest-timeout hypothesis
	cp -r tests docs examples latency_tables README.md pyproject.toml $(EMPTY)
	cd $(EMPTY) && .venv/bin/python -m pytest --ignore tests/test_docs.py --ignore tests/test_site.py --ignore tests/test_layers.py \
		--ignore tests/test_shape.py --ignore tests/test_robustness.py --ignore tests/runtimes/test_new_runtime.py \
		--ignore tests/bench --ignore tests/benchmarks

clean:
	rm -rf $(VENV) build dist runs .mypy_cache .ruff_cache .pytest_cache *.egg-info
