# One line per target. Needs only make and a Python >= 3.11 (PYTHON=python3.12 to choose another).
PYTHON ?= python3
BIN := .venv/bin

demo: .venv/.run        ; $(BIN)/nexus-engine demo
test: .venv/.test       ; $(BIN)/python -m pytest -n 2
lint: .venv/.test       ; $(BIN)/ruff check . && $(BIN)/mypy
docs: .venv/.run        ; $(BIN)/nexus-engine schema && $(BIN)/nexus-engine ddl && $(BIN)/python docs/generate.py
bench: .venv/.bench     ; $(BIN)/python bench/run.py
kill: .venv/.test       ; NEXUS_KILLS=200 NEXUS_KILL_VISITS=all $(BIN)/python -m pytest -n 2 tests/delivery tests/archive -k kill
fuzz: .venv/.test       ; NEXUS_FUZZ_SPECS=100000 $(BIN)/python -m pytest tests/spec/test_fuzz_specs.py
ci:                     ; .ci/run
clean:                  ; rm -rf .venv build dist data bench/out

# The environment, in three sizes: to run, to test, to measure.
PIP := -m pip install -q --disable-pip-version-check
NEW := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; choose one with: make PYTHON=python3.12 ...")
.venv/.python:                                  ; @$(PYTHON) -c '$(NEW)' && $(PYTHON) -m venv .venv && touch $@
.venv/.run: setup.py .venv/.python              ; @echo "installing into .venv ..." && $(BIN)/python $(PIP) -e . && touch $@
.venv/.test: .venv/.run                         ; @echo "installing what tests need ..." && $(BIN)/python $(PIP) -e '.[test,lint]' && touch $@
.venv/.bench: .venv/.run bench/requirements.txt ; @$(PYTHON) -m venv .venv/bench && .venv/bench/bin/python $(PIP) -r bench/requirements.txt && touch $@

.PHONY: demo test lint docs bench kill fuzz ci clean
