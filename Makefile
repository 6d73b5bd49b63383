# Everything a newcomer or CI runs. `make serve` and `make test` install what they need into .venv.
PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
MODELS ?= models
# Seconds between looks for new versions.
POLL_S ?= 2
# Processes that share the tests out by file: as many as there are cores, four at most. 0: this one runs them all.
JOBS ?= auto
# More for pytest, such as PYTEST="--durations=20".
PYTEST ?=

BIN := $(VENV)/bin
# --no-compile: byte-compiling while installing takes several times as long as the rest of it.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

TEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
QUICK := $(BIN)/python -m pytest -m "not slow" $(PYTEST)
# Tests start processes by the hundred, each of which would compile anew what it imports.
test quick coverage: export PYTHONDONTWRITEBYTECODE :=

.PHONY: help serve test quick coverage check dead format lock clean

help:
	@echo "make serve   install what serving needs and serve $(MODELS)/ on http://$(HOST):$(PORT)"
	@echo "make test    install everything and run every test"
	@echo "make quick   run the tests that are not marked slow: a minute on two cores"
	@echo "make coverage  run those again and say how much of the code they ran"
	@echo "make check   lint, format check and types, as CI runs them"
	@echo "make dead    code that nothing uses, and references that lead nowhere"
	@echo "make lock    resolve anew what the images are built from: deploy/locks"
	@echo "make format  format the code and mend what the linter can"
	@echo "make clean   remove $(VENV) and the caches"

serve: $(VENV)/.serving
	@exec $(BIN)/baton serve --models $(MODELS) --host $(HOST) --port $(PORT) --poll-s $(POLL_S)

test: $(VENV)/.dev
	$(TEST) $(PYTEST)

# Two halves at once, since only one of them needs PyTorch, which takes ten seconds to import.
quick: $(VENV)/.dev
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	$(QUICK) tests --ignore=tests/inference --ignore=tests/serving -o cache_dir=.pytest_cache/training >"$$log" 2>&1 & \
	other=$$!; first=0; second=0; \
	$(QUICK) tests/inference tests/serving || first=$$?; \
	wait $$other || second=$$?; cat "$$log"; exit $$((first | second))

coverage: $(VENV)/.dev
	$(TEST) -m "not slow" --cov $(PYTEST)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

dead: $(VENV)/.dev
	$(BIN)/python -m scripts.dead_code

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.dev
	$(PIP) 'uv>=0.8'
	$(BIN)/python -m scripts.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info build

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is $$($(PYTHON) --version), expected Python 3.11 or newer; try: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.serving: $(VENV)/.python pyproject.toml
	$(PIP) -e '.[serving]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.serving
