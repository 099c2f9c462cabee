# Everything a newcomer or CI types. It needs Python 3.11 or newer, make and git; everything else goes into .venv.
#
#   make demo     the chat template, running        PORT=9000 for another port
#   make check    every check there is              PYTEST_FLAGS="-k chat" for a part of the tests
#   make format   formats the code and applies the linter's safe corrections
#   make docs     writes the documents that are made from code
#   make bench    measures beside bare aiohttp      BENCH_FLAGS="--peers" for workerd as well
#   make autobahn the WebSocket conformance suite, fetched from PyPI into .autobahn
#
# PYTHON=/path/to/python3.12 chooses the interpreter of a new .venv.

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-input
DEMO := .demo
PORT ?= 8787
PYTEST_FLAGS ?=
BENCH_FLAGS ?=

# pyright's wrapper would otherwise announce newer versions of itself.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# The tests start some hundred processes; without bytecode each would compile all that it imports.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo check format docs bench autobahn clean

demo: $(VENV)/.stamp-run
	@test -f $(DEMO)/durable.toml || $(BIN)/durable init $(DEMO) --template chat 2>$(VENV)/init.log || { cat $(VENV)/init.log; exit 1; }
	@echo "the chat's code is in $(DEMO)/: edit it while it runs"
	@cd $(DEMO) && exec ../$(BIN)/durable dev --port $(PORT)

check: $(VENV)/.stamp-dev
	@$(BIN)/ruff format --check --quiet . || { echo "some files are not formatted: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(PYTEST_FLAGS)

format: $(VENV)/.stamp-dev
	@$(BIN)/ruff check --quiet --fix --exit-zero .
	@$(BIN)/ruff format .

docs: $(VENV)/.stamp-run
	@$(BIN)/python -m docs.limits_document

bench: $(VENV)/.stamp-run
	@$(BIN)/python -m benchmarks $(BENCH_FLAGS)

autobahn: $(VENV)/.stamp-dev .autobahn/site
	@$(BIN)/python -m pytest -m conformance tests/conformance/test_autobahn.py $(PYTEST_FLAGS)

# Neither is a dependency of ours: the suite's cases are for Python 2, its library is on the other end of the wire.
.autobahn/site:
	@echo "fetching the Autobahn testsuite into .autobahn ..."
	@mkdir -p .autobahn
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: -d .autobahn autobahntestsuite
	@tar -xzf .autobahn/autobahntestsuite-*.tar.gz -C .autobahn
	@$(PIP_INSTALL) --target .autobahn/site.part autobahn
	@mv .autobahn/site.part .autobahn/site

clean:
	rm -rf $(VENV) $(DEMO) .autobahn .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist

# A stamp is older than pyproject.toml when the dependencies may have changed; new source files need no new install.
$(VENV)/.stamp-run: pyproject.toml | $(BIN)/python
	@echo "installing durable into $(VENV) ..."
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml | $(BIN)/python
	@echo "installing durable and its tools into $(VENV) ..."
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.stamp-run

$(BIN)/python:
	@set -e; found=; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3 python3.14 python); do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$candidate"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "durable needs Python 3.11 or newer; $(if $(PYTHON),$(PYTHON) is not one,none was found). Try: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$found" --version) ..."; \
	if ! "$$found" -m venv $(VENV) >$(VENV).log 2>&1; then \
		cat $(VENV).log >&2; rm -rf $(VENV) $(VENV).log; \
		echo "$$found cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	fi; \
	rm -f $(VENV).log
