# Sourced by quickstart.sh and run_tests.sh: makes .venv beside the code and installs into it.
# A stamp of the requirement files skips what is installed already.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
ROOT=$PWD

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: Python 3.10 to 3.14 is needed; set PYTHON to one" >&2
    return 1
}

run_pip() {
    if ! .venv/bin/python -m pip --disable-pip-version-check install -q "$@" \
        >.venv/install.log 2>&1; then
        tail -n 15 .venv/install.log >&2
        echo "error: pip install $* failed; the whole output is in .venv/install.log" >&2
        exit 1
    fi
}

# make_env [EXTRA], one of those of pyproject.toml
make_env() {
    local extra=${1:-} stamp want
    want=$(cat requirements/*.txt pyproject.toml setup.py | sha256sum | cut -c1-16)
    stamp=.venv/installed-${extra:-package}
    if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then
        echo "environment: .venv is up to date"
    else
        echo "environment: installing into .venv (a few minutes the first time)"
        local python
        python=$(find_python) || exit 1
        [ -x .venv/bin/python ] || "$python" -m venv .venv || exit 1
        run_pip -c requirements/constraints.txt -e ".${extra:+[$extra]}"
        # With MMagic's own tools, which some tests run.
        if [ "$extra" = dev ]; then run_pip --no-deps -r requirements/openmmlab.txt; fi
        echo "$want" >"$stamp"
    fi
    PATH=$ROOT/.venv/bin:$PATH
}
