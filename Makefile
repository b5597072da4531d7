# Two commands: `make demo` and `make test`. Each sets up .venv on a bare machine with Python 3.11 first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-all lint types engine bench docs gallery clean

demo: $(STAMP)
	$(BIN)/biosim run local-vs-global --force

# two workers, one thread each
test: $(STAMP)
	$(MAKE) --no-print-directory -j 2 lint types engine
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

# the slow tests need a few packages more; a second type checker reads the code as editors do
test-all: $(STAMP)-all
	$(MAKE) --no-print-directory -j 2 lint types engine
	$(BIN)/pyright
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# types are checked on one core meanwhile
engine: $(STAMP)
	$(BIN)/biosim doctor --compile

bench: $(STAMP)
	$(BIN)/python benchmarks/rate_step.py

# every page, its references and links; a warning is an error. Read build/docs/index.html
docs: $(STAMP)-docs
	$(BIN)/sphinx-build -W --keep-going -q docs build/docs

# runs the scenarios whose figure in docs/gallery is out of date (all of them: some twenty minutes of one core)
gallery: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python docs/gallery.py

# torch first and pinned: a looser requirement would fetch several GB of CUDA libraries
$(STAMP): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (2 GB on disk; one to five minutes, silent until it is done)"
	command -v $(PYTHON) >/dev/null 2>&1 && $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $(STAMP)

$(STAMP)-all: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,dask,slurm,docs,connectome]" pyright
	touch $@

$(STAMP)-docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build/docs docs/generated .mypy_cache .ruff_cache .pytest_cache
