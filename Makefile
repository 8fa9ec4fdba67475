# Everything a contributor repeats. `make setup` once, `make check` before each push.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup check lint types imports docs site test format demo clean

setup:  ## an environment with all extras, in .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[test]'

check: lint types imports docs test  ## everything CI checks

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy genomix_cli

imports:
	$(BIN)/lint-imports

docs:  ## the pages on formats and commands as the code has them
	$(BIN)/python -m genomix_cli.formats.docs docs/shard_format.md docs/cohort_format.md
	$(BIN)/python -m genomix_cli.cli.docs docs/commands.md docs/run_format.md
	git diff --exit-code docs/shard_format.md docs/cohort_format.md docs/commands.md docs/run_format.md

site:  ## the documentation site, in site/; needs the extra docs
	$(BIN)/mkdocs build --strict -q

test:
	$(BIN)/pytest -q -n auto --deselect tests/test_quality.py

format:
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo:  ## make test_data/ anew; its bytes must not change
	rm -r test_data
	$(BIN)/genomix simulate genome test_data --size tiny --placement sites --seed 1
	git checkout -q test_data/README.md
	git diff --exit-code test_data

clean:
	rm -rf .venv .*_cache build dist scored.vcf
