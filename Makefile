# The commands of the README. Each does all of its own set-up; all of them can be run again at any time.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EXTRAS ?=
comma  := ,
INSTALL := edged[$(subst $(eval ) ,$(comma),daemon build $(EXTRAS))]

.PHONY: setup run test test-system lint bench proto clean

setup: $(VENV)/.installed-$(or $(subst $(comma),-,$(EXTRAS)),default)
	@$(BIN)/python -m engines build smollm2-135m

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml | $(VENV)/bin/python
	@echo "Installing edged into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".$(patsubst edged%,%,$(INSTALL))"
	@touch $@

run: setup
	@$(BIN)/edged chat

test: EXTRAS := dev
test:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m pytest -q

test-system:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m pytest -q -m system

lint:
	@$(MAKE) --no-print-directory $(VENV)/.installed-dev EXTRAS=dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@npx --yes @bufbuild/buf@1.75.0 lint protos

bench:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m tests.bench $(if $(PEER),--peer $(PEER))

proto: $(VENV)/.installed-dev
	@$(BIN)/python -m grpc_tools.protoc -I protos --python_out=. --pyi_out=. --grpc_python_out=. protos/edged/v1/*.proto

clean:
	@rm -rf $(VENV) build
