# spool: what a newcomer and a maintainer run. `make help` lists it.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.ready
# Tests wait more than they compute.
JOBS   ?= 3
MINUTES ?= 3
OWN     = $(HOME)/.local/share/spool

.PHONY: help install setup demo check test soak bench sshd clean
.DEFAULT_GOAL := help

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## spool for you: an environment below ~/.local/share/spool, and ~/.local/bin/spool
	@$(PYTHON) -c 'import sys; sys.exit("spool needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(OWN)/venv || { echo "make: python3-venv is missing: apt-get install python3-venv"; exit 1; }
	@$(OWN)/venv/bin/python -m pip install --quiet --disable-pip-version-check '.[mcp]'
	@mkdir -p $(HOME)/.local/bin && ln -sf $(OWN)/venv/bin/spool $(HOME)/.local/bin/spool
	@$(HOME)/.local/bin/spool --version
	@case ":$$PATH:" in *":$(HOME)/.local/bin:"*) ;; *) echo 'not on your PATH yet: export PATH="$$HOME/.local/bin:$$PATH"' ;; esac

setup: $(STAMP) ## a virtual environment with spool and what its tests need

$(STAMP): pyproject.toml spool/version.py
	@$(PYTHON) -c 'import sys; sys.exit("spool needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV) || { echo "make: python3-venv is missing: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@# Without compiled files every start of the command line is several times slower.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q $(VENV)/lib spool workers
	@touch $@

demo: $(STAMP) ## two hosts on this machine, mail both ways, states and times
	$(BIN)/spool demo

sshd: ## OpenSSH's server, which the tests log in to, and jq, which the scripts in use call
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin"; wanted=""; \
	command -v sshd >/dev/null && command -v ssh >/dev/null || wanted="openssh-server openssh-client"; \
	command -v jq >/dev/null || wanted="$${wanted:+$$wanted }jq"; \
	if [ -z "$$wanted" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$wanted >/dev/null; \
	else \
	  echo "make test: missing: $$wanted. Install it (Debian, as root: apt-get install $$wanted)"; exit 1; \
	fi

test: $(STAMP) sshd ## all tests, over a real sshd on loopback
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

check: $(STAMP) ## ruff, mypy strict, the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/unit/test_layers.py

soak: $(STAMP) sshd ## mail and faults for MINUTES=30, then a checker of the history; more options as SOAK="--seed 1"
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(SOAK)
	@# The same promises in one program, in many more worlds: for a fifth of the time.
	$(BIN)/python -m tests.machine --minutes $$(awk 'BEGIN { print $(MINUTES) / 5 }')

bench: $(STAMP) sshd ## speed, each figure beside its yardstick: ROW=send,cli QUICK=1 WRITE=1, see docs/performance.md
	$(BIN)/python -m bench.run --row '$(ROW)' $(if $(QUICK),--quick) $(if $(WRITE),--write) $(if $(BEFORE),--before '$(BEFORE)')

clean: ## remove the virtual environment
	rm -rf $(VENV)
