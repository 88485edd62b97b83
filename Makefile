# make serve         the service, with the models in model_store/
# make format        formats, and fixes what the linter can
# make check         formatting, lint (also of the page's JavaScript), types, the direction of the imports
# make dev           the environment .venv-dev, for training and tests
# make test          the tests, two at a time; those of the page in a browser where there is a Chromium. REQUIRE_ALL=1 skips none
# make coverage      the same, and which branches of service/ no test takes (half as long again)
# make page-test     those of the page alone, which need Chromium
# make screenshot    docs/page.png, the picture of the page
# make bench         this service and a plain FastAPI app, on the same models (5 minutes)
# make bench-peers   this service and mosec, LitServe, BentoML, Ray Serve and spaCy (25 minutes)
# make bench-runtimes  the tagger's step in TensorFlow, ONNX Runtime, OpenVINO and PyTorch
# make figures       its starts, latencies under several loads, padding, memory, each beside its bound (15 minutes)
# make calls         the Python calls that a request causes in the service (2 minutes)
# make loadtest      half a minute of Locust with limits; HOST=http://... for a service that runs, USERS=64, SECONDS=300
# make ramp          a load that rises through saturation, with a report (7 minutes)
# make soak          MINUTES=30 of the same load, with a report: memory, file descriptors and threads stay
# make chaos         kills, stops, attacks and abuses the real service, and accounts for every request (14 minutes)
# make fuzz          10 000 mutated requests to every endpoint, and bytes that are no HTTP; CASES=500, SEED=2 (5 minutes)
# make containers-lint  Dockerfile, compose file and Prometheus' rules, with what runs them (needs Docker)
# make containers-test  builds the images, brings each way to run up, breaks it, takes it down (needs Docker; 10 minutes)
# make swaps         what rollouts of new model versions cost: latency meanwhile, time, memory (20 minutes)
# make ray-test      the service on a cluster of Ray's, a node of which is killed (2 minutes)
# make dist          wheels and source distributions of the service and of the client, in dist/
# make typescript-types  the types of the client for TypeScript, from the OpenAPI document
# make manifests     docker/kubernetes/, which is output of the Helm chart docker/chart
# make audit         known flaws in the dependencies
# make sbom          the dependencies, in CycloneDX's form
# make lock          newer dependencies

# The first Python that TensorFlow has packages for.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)
SERVE := .venv
DEV := .venv-dev
PEERS := .venv-peers
RUNTIMES := .venv-runtimes
RAY := .venv-ray
# The lock file without its hashes: pip refuses to install a project as editable together with hashes. The image has them verified.
CONSTRAINTS := sed -e '/^ *--hash/d' -e 's/ *\\$$//' requirements.lock
# $(call INSTALL,environment,what): uv takes a quarter of pip's time, but does not read pip's settings (a mirror, a certificate): where uv
# fails, pip installs.
PIP = $(1)/bin/python -m pip install -qq --disable-pip-version-check --constraint $(1)/constraints.txt
INSTALL = $(CONSTRAINTS) > $(1)/constraints.txt && $(PIP) uv && { $(1)/bin/uv pip install --quiet --compile-bytecode \
	--python $(1)/bin/python --constraint $(1)/constraints.txt $(2) || $(PIP) $(2); }
EXECUTABLES = $${TAGWERK_XLA_CACHE-.cache/xla}

.PHONY: help serve dev format check test coverage page-test screenshot bench bench-peers bench-runtimes figures calls swaps loadtest ramp soak chaos fuzz ray-test dist typescript-types manifests audit sbom peers containers-lint \
	containers-test lock clean

help:
	@sed -n 's/^# make /make /p' Makefile

serve: $(SERVE)/installed
	TAGWERK_XLA_CACHE=$(EXECUTABLES) exec $(SERVE)/bin/tagwerk serve

dev: $(DEV)/installed

format: $(DEV)/installed
	$(DEV)/bin/ruff format .
	$(DEV)/bin/ruff check --fix .

check: $(DEV)/installed
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/ruff check .
	$(DEV)/bin/oxlint --deny-warnings service/api/page/static
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports --no-logo --cache-dir .cache/import-linter

test: $(DEV)/installed
	$(DEV)/bin/pytest --numprocesses 2

coverage: $(DEV)/installed
	$(DEV)/bin/pytest --numprocesses 2 --cov --cov-report=term

page-test: $(DEV)/installed chromium
	$(DEV)/bin/pytest tests/page tests/http/test_page.py

screenshot: $(DEV)/installed chromium
	$(DEV)/bin/python -m tests.page.screenshot docs/page.png

.PHONY: chromium
chromium: $(DEV)/installed
	@$(DEV)/bin/python -m tests.page.chromium

bench: $(DEV)/installed
	TAGWERK_XLA_CACHE=$(EXECUTABLES) $(DEV)/bin/python -m loadtests.bench

bench-peers: $(DEV)/installed peers spacy
	TAGWERK_XLA_CACHE=$(EXECUTABLES) $(DEV)/bin/python -m loadtests.bench --peers mosec litserve bentoml ray spacy --endpoints tag classify

bench-runtimes: $(RUNTIMES)/installed
	$(RUNTIMES)/bin/python -m loadtests.runtimes

figures: $(DEV)/installed spacy
	TAGWERK_XLA_CACHE=$(EXECUTABLES) $(DEV)/bin/python -m loadtests.figures

calls: $(DEV)/installed
	TAGWERK_XLA_CACHE=$(EXECUTABLES) $(DEV)/bin/python -m loadtests.calls

loadtest: $(DEV)/installed
	$(DEV)/bin/python -m loadtests.load $(if $(HOST),--host $(HOST)) --users $(or $(USERS),16) --seconds $(or $(SECONDS),30)

ramp: $(DEV)/installed
	$(DEV)/bin/python -m loadtests.figures ramp

soak: $(DEV)/installed
	$(DEV)/bin/python -m loadtests.figures soak --minutes $(or $(MINUTES),30)

chaos: $(DEV)/installed
	TAGWERK_XLA_CACHE=$(EXECUTABLES) $(DEV)/bin/python -m loadtests.chaos

fuzz: $(DEV)/installed
	TAGWERK_XLA_CACHE=$(EXECUTABLES) $(DEV)/bin/python -m loadtests.fuzz --cases $(or $(CASES),10000) --seed $(or $(SEED),1)

swaps: $(DEV)/installed
	$(DEV)/bin/python -m loadtests.swaps

ray-test: $(RAY)/installed
	REQUIRE_ALL=1 $(RAY)/bin/pytest -n0 tests/ray

dist: $(DEV)/installed
	$(DEV)/bin/uv build --out-dir dist .
	$(DEV)/bin/uv build --out-dir dist ./tagwerk

typescript-types: $(DEV)/installed
	$(DEV)/bin/python -m tests.clients.typescript_types

manifests: $(DEV)/installed
	$(DEV)/bin/uv run --no-project docker/kubernetes/render.py

audit: $(DEV)/installed
	$(DEV)/bin/uv tool run --from 'pip-audit>=2.9,<3' pip-audit --requirement requirements.lock --no-deps --disable-pip

sbom: $(DEV)/installed
	$(DEV)/bin/uv tool run --from 'cyclonedx-bom>=7,<8' cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --output-file sbom.json

peers: $(PEERS)/installed

.PHONY: spacy
spacy: .cache/spacy-ewt/meta.json

IMAGE = $$(docker compose --file docker/docker-compose.yml config --images | grep prom/$(1):)
RUN = docker run --rm --network none --volume $(CURDIR)/docker/prometheus:/rules:ro --entrypoint
PROMTOOL = $(RUN) promtool $(call IMAGE,prometheus)
AMTOOL = $(RUN) amtool $(call IMAGE,alertmanager)

containers-lint: $(DEV)/installed
	$(DEV)/bin/hadolint docker/Dockerfile .devcontainer/Dockerfile
	for profile in single gpu replicas; do \
		docker compose --file docker/docker-compose.yml --profile $$profile --profile loadtest config --quiet || exit 1; done
	$(PROMTOOL) check config /rules/prometheus.yml
	$(PROMTOOL) test rules /rules/tests.yml
	$(AMTOOL) check-config /rules/alertmanager.yml

containers-test: $(DEV)/installed
	$(DEV)/bin/pytest -m containers tests/containers

lock: $(DEV)/installed
	$(DEV)/bin/uv pip compile pyproject.toml --universal --all-extras --upgrade --generate-hashes --no-annotate --no-header --no-emit-index-url --quiet --output-file requirements.lock

clean:
	rm -rf $(SERVE) $(DEV) $(PEERS) $(RUNTIMES) $(RAY)

# Each environment is made once, and again when the dependencies change.
$(SERVE)/installed: EXTRAS := cpu
$(DEV)/installed: EXTRAS := cpu,train,dev
$(RAY)/installed: EXTRAS := cpu,ray,dev
$(PEERS)/installed: loadtests/peers/requirements.txt | $(DEV)/installed
	@echo "Making the environment $(PEERS) (once; another TensorFlow, and Ray)"
	@$(PYTHON) -m venv --clear $(PEERS)
	@$(DEV)/bin/uv pip install --quiet --python $(PEERS)/bin/python --requirement loadtests/peers/requirements.txt
	@$(DEV)/bin/uv pip install --quiet --python $(PEERS)/bin/python --no-deps --editable .
	@touch $@
.cache/spacy-ewt/meta.json: | $(DEV)/installed
	@echo "Training spaCy's tagger and lemmatizer on EWT (once; five minutes)"
	$(DEV)/bin/python -m loadtests.peers.spacy_training
$(RUNTIMES)/installed: loadtests/runtimes/requirements.txt requirements.lock
	@echo "Making the environment $(RUNTIMES) (once; four runtimes)"
	@$(PYTHON) -m venv --clear $(RUNTIMES)
	@$(call INSTALL,$(RUNTIMES),--editable '.[cpu]')
	@$(RUNTIMES)/bin/uv pip install --quiet --python $(RUNTIMES)/bin/python --requirement loadtests/runtimes/requirements.txt
	@touch $@
%/installed: pyproject.toml setup.py tagwerk/pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "tagwerk needs Python 3.11, 3.12 or 3.13 (TensorFlow's), and finds none; name one: make PYTHON=/path/to/python"; exit 1; }
	@echo "Making the environment $* with $$($(PYTHON) --version) (once; TensorFlow is a large download)"
	@$(PYTHON) -m venv --clear $*
	@$(call INSTALL,$*,--editable ./tagwerk --editable '.[$(EXTRAS)]')
	@touch $@
