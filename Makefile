# Two commands matter: `make demo` and `make test`. Each makes its own virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lab lint clean

# The stamp names the interpreter and what was asked for: a changed pyproject.toml installs again.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14) and "glance-swarm needs Python 3.10 to 3.13 (libtorrent has wheels for no other): make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

# One generated image and, with IMAGE=path, that file too, to five agents on this machine.
demo: $(VENV)/installed
	$(BIN)/swarm demo $(if $(IMAGE),--image '$(IMAGE)') $(DEMO_OPTIONS)

test: $(VENV)/installed-dev
	$(BIN)/pytest $(PYTEST_OPTIONS)

# Needs root, as it makes network namespaces; what else can be measured: benchmarks/README.md.
lab: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks run flash-crowd $(LAB_OPTIONS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
