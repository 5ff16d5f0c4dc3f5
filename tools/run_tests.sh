#!/usr/bin/env bash
# Checks style and types and runs every test, in .venv. Arguments go to pytest.
set -euo pipefail
source "$(dirname "$0")/_env.sh"
make_env dev
ruff check .
ruff format --check .
mypy
python -m pytest -n "${TEST_PROCESSES:-2}" --dist worksteal "$@"
