# `make demo` and `make test` do all set-up; they need Python 3.11 or newer (and Node for some tests).

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# Tests run in an order drawn from the commit: another one each time, and a red run can be repeated.
COMMIT := $(shell git rev-parse HEAD 2>/dev/null | cut -c1-7 | grep . || echo 0)

.PHONY: demo test check faults bench conformance install lock web docs clean

demo: install ## start a database, a gateway and a call centre's load, and say what to open
	$(RUN)/realtime-hub demo

test: $(VENV)/.dev ## run the tests, but for the slow ones
	$(RUN)/python -m pytest -n 2 --dist loadfile -m "not slow and not faults" \
		--randomly-seed=$$((0x$(COMMIT)))

check: $(VENV)/.dev ## what CI runs beside the tests
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(RUN)/codespell

faults: $(VENV)/.dev ## run the slow and the fault tests, for at most 45 minutes
	timeout 45m $(RUN)/python -m pytest -n 2 --dist loadfile -m "slow or faults"

bench: $(VENV)/.dev ## measure; figures are ratios, see bench/README.md (takes about fifteen minutes)
	$(RUN)/python -m bench.drain
	$(RUN)/python -m bench.fanout
	$(RUN)/python -m bench.broadcast
	$(RUN)/python -m bench.latency
	$(RUN)/python -m bench.authorization
	$(RUN)/python -m bench.dispatch
	$(RUN)/python -m bench.resume

conformance: $(VENV)/.dev ## compare with what Supabase's own functions answered; prints a table
	$(RUN)/python -m pytest tests/conformance

install: $(VENV)/.demo ## leave the executable at .venv/bin/realtime-hub

lock: $(VENV)/.dev ## pin all dependencies anew
	requirements/lock

web: ## build the pages that the wheel ships, from web/ and clients/js; needs Node, using them does not
	cd web && npm ci --ignore-scripts --no-audit --no-fund && npm run build

docs: $(VENV)/.dev ## build the documentation into .cache/site
	$(RUN)/python -m tests.docs.pages
	NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --quiet

clean: ## remove what was installed and made
	rm -rf $(VENV) .cache bench/out

$(VENV)/.demo: requirements/demo.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --require-hashes -r requirements/demo.txt
	$(RUN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.demo
	$(RUN)/pip install --quiet --require-hashes -r requirements/dev.txt
	touch $@
