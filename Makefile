# Everything runs in .venv, which `make install` makes. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format bench docs notebook clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv and install the package with its development tools

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): a few GB with PyTorch, some minutes"
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(INSTALLED) ## train on real images, certify them with five defenders, show the table and make a page of it
	$(BIN)/python train.py paths.output_dir=outputs/demo
	@rm -rf outputs/demo/mutants # of the model of an earlier demo
	$(BIN)/python eval.py defender=undefended paths.output_dir=outputs/demo
	$(BIN)/python eval.py -m defender=patchcure,mrcert,mrcert_sharp,mrcert_cascade store=outputs/demo/mutants examples=4 paths.output_dir=outputs/demo
	@echo; $(BIN)/mrcert report outputs/demo --html outputs/demo/report.html

test: $(INSTALLED) ## run the tests, one process per core
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile

lint: $(INSTALLED) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED) ## put the code in its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED) ## time the methods to label all mutants against each other
	$(BIN)/python -m benchmarks.labelling -m patch=16,32 model.split=6 'model.backbone_args={embed_dim: 192, depth: 12, num_heads: 3}' images=1 train_batch=8

docs: $(INSTALLED) ## build the documentation site in site/; every warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

notebook: $(INSTALLED) ## run the quick start from its first cell to its last; `make docs` then shows its outputs
	@mkdir -p build
	$(BIN)/jupyter execute docs/quickstart.ipynb --output=../build/quickstart

clean: ## remove the environment and caches; outputs and checkpoints stay
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache
