# The one command runner, for a person and for CI.  `make .venv` makes the environment.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Exists once everything in requirements.lock is installed; a changed lock makes it out of date.
STAMP := .venv/installed

# One thread a process: thread counts change results, and the tests already run one process a core.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export NUMBA_NUM_THREADS := 1
# Where it is set every process that tests start would rewrite the assertions of some 300 modules anew.
unexport PYTHONDONTWRITEBYTECODE
# Keeps pyright from looking for a newer version of itself.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: .venv test lint format harvest nightly report tables bench wheel-check clean
.DEFAULT_GOAL := test

.venv: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -r requirements.lock
	$(BIN)/python -m pip install --no-build-isolation --no-deps -e .
	touch $@

test: $(STAMP)
	$(BIN)/pytest -n auto --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

harvest: $(STAMP)
	$(BIN)/marginalia harvest --out reports

# Minutes in which rounds are started; the last one is finished.
MINUTES ?= 30
nightly: $(STAMP)
	$(BIN)/marginalia nightly --minutes $(MINUTES)

report: $(STAMP)
	$(BIN)/marginalia report --out site

tables: $(STAMP)
	$(BIN)/marginalia tables --run

bench: $(STAMP)
	$(BIN)/python -m benchmarks.run

# In new environments under the temporary folder; at first it fetches some hundred megabytes.
wheel-check:
	PYTHON=$(PYTHON) .ci/wheel

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .hypothesis site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
