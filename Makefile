# Everything below makes the environment first, from hash-locked requirements, with Python 3.11, 3.12 or 3.13.

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The first of these that there is and that will do; `make PYTHON=/path/to/python3.12` names another.
PYTHON    ?= $(firstword $(foreach it,python3.11 python3.12 python3.13 python3,$(shell $(it) -c '$(SUPPORTED)' 2>/dev/null && echo $(it))))
PORT      ?= 3000
CANDIDATE ?= flights:latest
RELEASE   ?= latest
DASHBOARD_PORT  ?= 8000
DRIFT_WORKSPACE ?= var/evidently

PY  := .venv/bin/python
CLI := .venv/bin/tabular-bento
DEV := .venv/.locked

SHIP_DIR  ?= var/ship
DAYS      ?= 7

export PORT SHIP_DIR CANDIDATE
export TABULAR_BENTO_GRPC_PORT ?= 3001
export BENTOML_DO_NOT_TRACK ?= True

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format train release rollback serve dashboard drift proto docs rules
.PHONY: bench bench-protocols bench-drift bench-shadow runners lock clean container-test wheel
.PHONY: ship gate build containerize smoke scan sbom login push sign verify attach in-service

help:  ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(DEV): requirements/dev.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUPPORTED)' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(DEV)  ## Train, serve, replay real flights, post their labels, report drift, comparison and skew
	@$(PY) demo.py $(ARGS)

test: $(DEV)  ## Run the tests, but the slow ones
	@$(PY) -m pytest -m "not slow" -n 2 --dist loadfile $(ARGS)

test-all: $(DEV)  ## Run the slow tests: fuzzing, faults, containers, browsers, six months of flights, the examples
	@$(PY) -m pytest -m slow -n 2 --dist loadfile $(ARGS)

lint: $(DEV)  ## ruff, mypy --strict and the import rules
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@PYTHONPATH=. .venv/bin/lint-imports

format: $(DEV)  ## Put the code into shape
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

train: $(DEV)  ## Train a model and save it into the BentoML store
	@$(CLI) train $(ARGS)

release: $(DEV)  ## Make the latest model the champion, if it is not worse than the one in service
	@$(CLI) release $(RELEASE) --out $(SHIP_DIR)/compare $(ARGS)

rollback: $(DEV)  ## Make the champion before this one the champion again
	@$(CLI) rollback $(ARGS)

serve: $(DEV)  ## Serve in the foreground; trains and releases first if there is no model
	@$(PY) -m tabular_bento.serving.ports $(PORT) $(TABULAR_BENTO_GRPC_PORT)
	@.venv/bin/bentoml models get flights:latest >/dev/null 2>&1 || { $(CLI) train && $(CLI) release latest; }
	@.venv/bin/bentoml serve service:Service --port $(PORT) --timeout-graceful-shutdown 60

dashboard: $(DEV)  ## Open Evidently's UI on the trends of the drift job
	@test -d $(DRIFT_WORKSPACE) || \
		{ echo "$(DRIFT_WORKSPACE) is not there yet: run the drift job with --workspace $(DRIFT_WORKSPACE)" >&2; exit 1; }
	@DO_NOT_TRACK=1 .venv/bin/evidently ui --workspace $(DRIFT_WORKSPACE) --port $(DASHBOARD_PORT)

SHIP_STEPS = train gate build containerize smoke $(if $(filter no,$(SCAN)),,scan) release

ship: $(DEV)  ## From data to a tested image and a released model: train, gate, build, containerize, smoke, scan, release
	@for step in $(SHIP_STEPS); do echo "== $$step"; \
		[ $$step != release ] || RELEASE=$$($(PY) -m deploy model) || exit 1; export RELEASE; \
		TABULAR_BENTO_MODEL=$(CANDIDATE) $(MAKE) --no-print-directory $$step || exit 1; done
	@$(PY) -m deploy show

gate: $(DEV)  ## Verify the latest model as a server does, and check its metrics against the gate
	@$(PY) -m deploy gate

build: $(DEV)  ## Build the bento of the model in TABULAR_BENTO_MODEL, by default the champion
	@$(PY) -m deploy build

containerize: $(DEV)  ## Build the image of that bento with podman, labelled
	@$(PY) -m deploy containerize

smoke: $(DEV)  ## Run the image hardened; each protocol must return the parity vectors
	@$(PY) -m deploy smoke

scan: .venv-scan/.locked $(DEV)  ## Look the locked packages up among the known vulnerabilities
	@$(PY) -m deploy scan

sbom: .venv-scan/.locked $(DEV)  ## Write the bill of materials, CycloneDX
	@$(PY) -m deploy sbom

login:  ## Log into REGISTRY as REGISTRY_USER with REGISTRY_PASSWORD
	@printenv REGISTRY_PASSWORD | podman login --username "$$REGISTRY_USER" --password-stdin "$${REGISTRY%%/*}"

in-service: $(DEV)  ## Take the model out of the image IN_SERVICE, and make it the champion that a new model is compared with
	@tag=$$($(PY) -m deploy in-service) && $(CLI) release "$$tag" --force "in service as $$IN_SERVICE"

push: $(DEV)  ## Push the image to REGISTRY
	@$(PY) -m deploy push

sign: $(DEV)  ## Sign the image's digest with SIGN_KEY
	@$(PY) -m deploy sign

verify: $(DEV)  ## Check that signature with VERIFY_KEY
	@$(PY) -m deploy verify

attach:  ## Put that signature beside the pushed image, with cosign
	@pushed=$$($(PY) -m deploy pushed) && cosign attach signature "$$pushed" \
		--payload $(SHIP_DIR)/payload.json --signature $(SHIP_DIR)/payload.sig

drift: $(DEV)  ## Report the drift of the last DAYS days of the traffic log into var/drift; drift is an error
	@$(CLI) drift --from "$$(date -u -d '$(DAYS) days ago' +%Y-%m-%dT%H:%M:%S)" \
		--to "$$(date -u +%Y-%m-%dT%H:%M:%S)" --out var/drift

container-test: $(DEV)  ## Build the image on a stand-in base and test the container; needs podman and mmdebstrap
	@CI=true $(PY) -m pytest -m container $(ARGS)

proto: $(DEV)  ## Compile the .proto of the Open Inference Protocol
	@$(PY) -m grpc_tools.protoc -I. --pyi_out=. --descriptor_set_out=tabular_bento/protocol/open_inference.binpb \
		tabular_bento/protocol/open_inference.proto

docs: $(DEV)  ## Write the tables of docs/operate.md and docs/train.md again, from the code
	@$(PY) -W ignore -m tests.flights.test_operate
	@$(PY) -W ignore -m tests.flights.test_training_page

rules:  ## Wrap the alert rules for Kubernetes
	@{ cat deploy/observability/prometheus-rule.head.yaml; \
		grep -v '^#' deploy/observability/rules.yaml | sed 's/^\(.\)/  \1/'; } > deploy/observability/prometheus-rule.yaml

bench: $(DEV) .venv-bench/.locked  ## Compare with the usual FastAPI-pandas-Pipeline service, and with an earlier commit
	@$(PY) -m benchmarks classic $(ARGS)
	@$(PY) -m benchmarks revision $(ARGS)

bench-protocols: $(DEV)  ## Compare the protocols of one server
	@$(PY) -m benchmarks protocols $(ARGS)

bench-drift: $(DEV)  ## Time and memory of the drift job up to ten million rows, beside Evidently's preset
	@$(PY) -m benchmarks drift --check 5 $(ARGS)

runners: $(DEV)  ## Train every runner on two projects and write docs/runners.md
	@$(PY) -m benchmarks runners --out docs/runners.md $(ARGS)

bench-shadow: $(DEV)  ## What a shadow costs the requests, however it misbehaves
	@$(PY) -m benchmarks shadow $(ARGS)

.venv-bench/.locked .venv-scan/.locked: .venv-%/.locked: requirements/%.txt $(DEV)
	@$(PY) -m tests.environments $*

COMPILE = $(PY) -m uv pip compile --generate-hashes --universal --python-version 3.11 --fork-strategy fewest \
	--no-emit-index-url --quiet $(ARGS)
IMAGE   = tabular_bento/serving/locks

lock: $(DEV)  ## Lock what pyproject.toml asks for, with hashes; ARGS=--upgrade takes the newest versions
	$(COMPILE) pyproject.toml --extra training --extra monitoring --extra dask --extra sql --extra s3 --extra keras \
		--extra lightgbm --extra tune --extra test --group flights --group penguins -o requirements/dev.txt
	for kind in xgboost lightgbm; do \
		$(COMPILE) pyproject.toml --extra serving --extra $$kind --constraint requirements/dev.txt --no-emit-package scipy \
			-o $(IMAGE)/$$kind.txt || exit 1; done
	for kind in sklearn pipeline; do \
		$(COMPILE) pyproject.toml --extra serving --extra $$kind --constraint requirements/dev.txt -o $(IMAGE)/$$kind.txt || exit 1; done
	$(COMPILE) pyproject.toml --extra serving --constraint requirements/dev.txt -o $(IMAGE)/numpy.txt
	$(COMPILE) --group image --constraint requirements/dev.txt -o $(IMAGE)/installer.txt
	$(COMPILE) pyproject.toml --extra monitoring --group flights --constraint requirements/dev.txt -o requirements/jobs.txt
	$(COMPILE) pyproject.toml --extra training --extra monitoring --extra sql --extra s3 --extra tune --group project \
		--constraint requirements/dev.txt -o tabular_bento/template/requirements.txt
	$(COMPILE) pyproject.toml --extra gs --constraint requirements/dev.txt -o tabular_bento/template/gs.txt
	$(COMPILE) --group bench --constraint requirements/dev.txt -o requirements/bench.txt
	$(COMPILE) --group scan -o requirements/scan.txt
	$(COMPILE) --group workflows -o requirements/workflows.txt
	$(COMPILE) --group deploy -o requirements/deploy.txt
	$(COMPILE) --group kserve --no-deps -o requirements/kserve.txt
	$(COMPILE) --group triton -o requirements/triton.txt
	$(COMPILE) --group seaweedfs -o requirements/seaweedfs.txt

wheel: $(DEV)  ## Build the library's wheel into dist/
	@$(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

clean:  ## Remove what the commands above left in this folder
	rm -rf .venv .venv-* .cache var .pytest_cache .mypy_cache .ruff_cache .hypothesis
