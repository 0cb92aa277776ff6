# Two commands do everything: `make demo` and `make test`. Both set up their environment, .venv, first.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Tests start some hundred processes that import torch. What Python compiles is kept, whatever the machine says: else each
# of them compiles all of it anew, which takes twice as long as the rest of its import.
export PYTHONDONTWRITEBYTECODE =

.PHONY: setup demo test long site lint types fuzz bench peers same studies constraints gpu clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[detection,onnx,optuna,ray,nni,dev]'
	touch $@

demo: setup
	$(BIN)/nas run studies/digits.yaml

test: lint types
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# The tests that `make test` leaves out, since CI has a quarter of an hour.
long: site
	OMP_NUM_THREADS=1 $(BIN)/pytest -m long

# The site, into site/: links, anchors and pages are checked.
site: setup
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m mkdocs build --strict

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

# make fuzz SECONDS=1800 SEED=0: every command on made inputs; what breaks its rules is kept in runs/fuzz.
SECONDS ?= 600
SEED ?= 0
fuzz: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m fuzz --seconds $(SECONDS) --seed $(SEED)

bench: setup
	$(BIN)/python -m benchmarks

# make peers: our search beside other packages and simpler ways, about twenty minutes of processor time; it goes on where
# it was stopped. Torch-Pruning and whittle go into an environment of their own, runs/peers/environment.
peers: setup
	$(BIN)/python -m benchmarks.peers

# make gpu: what only a GPU can show, in at most eight minutes; without a GPU, the same on tiny models, to try it. A
# Python that has torch, timm and what else nas wants will do (PYTHON=python3), where there is no .venv: optuna, ray and
# nni are not asked for. Before, there: pip install --no-deps --no-build-isolation --editable .
gpu:
	$(if $(wildcard $(STAMP)),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu

# make same OLD=COMMIT [NEW=COMMIT]: whether both find the same; without NEW, the files as they are.
same: setup
	$(BIN)/python -m benchmarks.same_results $(OLD) $(NEW)

# The papers' studies, shrunken to seconds, and ours at full length.
studies: setup
	NAS_PAPERS=all OMP_NUM_THREADS=1 $(BIN)/pytest tests/studies/test_paper_studies.py
	$(BIN)/python -m benchmarks.studies

# Run it in an environment in which everything works; it freezes names and versions, nothing else.
constraints:
	$(BIN)/pip freeze --exclude-editable --exclude nas | grep -E '^[A-Za-z0-9._-]+==' > constraints.txt

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
