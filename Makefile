# Everything one can do with this project; `make` alone prints the list.
# All paths are relative, so that the project may live in a folder with blanks.

PYTHON ?= python3
UV ?= uv
ARGS ?=
ONCE ?=
RESET ?=
REPEAT ?= 1
SEED ?=

BOOTSTRAP = "$(PYTHON)" deploy/bootstrap.py
BIN = .venv/bin
# Tools as modules: their commands in .venv/bin name a path that another user may not have.
RUN = $(BIN)/python -m
DEMO_FLAGS = $(if $(filter-out 0,$(ONCE)),--once) $(if $(filter-out 0,$(RESET)),--reset)

.DEFAULT_GOAL := help
.PHONY: help demo dev test check bench exam exam-mutants browser clean lock audit wheel environment dev-environment

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo "  PYTHON=python3.12 chooses the Python, ARGS=... goes on to pytest, bench and exam"

environment:
	@$(BOOTSTRAP)

dev-environment:
	@$(BOOTSTRAP) --dev

demo: environment ## Run the product with a simulated provider (ONCE=1: end by itself, RESET=1: start empty)
	@$(BIN)/patchbay demo $(DEMO_FLAGS) $(ARGS)

dev: dev-environment ## Run web and worker, restarted whenever the code changes
	@$(RUN) watchfiles --filter python "$(BIN)/patchbay all $(ARGS)" core plugins admin tasks

# Much of a journey is waiting, so there are more workers than cores; the exam has one of them for
# itself and its one town. What measures a time runs alone, afterwards.
test: dev-environment ## Run all tests (ARGS="-k words" runs some)
ifeq ($(strip $(ARGS)),)
	@$(RUN) pytest -q -n 3 -m "not alone"
	@$(RUN) pytest -q -m alone
else
	@$(RUN) pytest $(ARGS)
endif

check: dev-environment ## Look at style, types, layers, house rules and the lock
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) basedpyright
	@$(BIN)/lint-imports
	@$(BOOTSTRAP) --dev --verify
	@$(RUN) pip check
	@$(RUN) pytest -q tests/house

bench: dev-environment ## Measure on this machine
	@$(RUN) bench $(ARGS)

exam: dev-environment ## Sit the exam at its written sizes (REPEAT=50, SEED=..., ARGS="-k a04")
	@EXAM_SIZE=full EXAM_REPEAT="$(REPEAT)" EXAM_SEED="$(SEED)" $(RUN) pytest -q tests/exam $(ARGS)

exam-mutants: dev-environment ## Take one safeguard away at a time; each must be noticed
	@$(BIN)/python tests/support/exam_mutants.py $(ARGS)

browser: dev-environment ## Run the browser tests; fails where there is no Chromium
	@PATCHBAY_REQUIRE_BROWSER=1 $(RUN) pytest tests/browser $(ARGS)

audit: dev-environment ## Ask the advisory database about the locked packages (needs the network)
	@$(RUN) pip_audit --disable-pip --require-hashes -r requirements.lock

wheel: dev-environment ## Build the wheel into dist/
	@$(RUN) hatchling build -t wheel

lock: ## Resolve the requirements anew (needs uv and the network)
	"$(UV)" pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 -q -o requirements.lock
	"$(UV)" pip compile pyproject.toml --group dev -c requirements.lock --universal --generate-hashes --no-header \
		--no-annotate --python-version 3.11 -q -o requirements-dev.lock

clean: ## Delete the environment, caches and builds (not the demo's data: make demo RESET=1)
	@rm -rf .venv .patchbay dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
