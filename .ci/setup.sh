#!/bin/sh
# Make the virtual environment, saying what each step is and how much disk it took.
set -eu
venv=$1
size() { du -sm "$venv" 2>/dev/null | cut -f1; }
step() {
    before=$(size || echo 0)
    printf '%s ... ' "$1"
    shift
    if ! "$@" >"$venv/setup.log" 2>&1; then
        printf 'failed\n'
        tail -n 15 "$venv/setup.log" >&2
        exit 1
    fi
    printf '%s MB\n' "$(($(size) - ${before:-0}))"
}
python=${PYTHON:-python3.11}
command -v "$python" >/dev/null 2>&1 || python=python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "rsrag needs Python 3.11 or newer; set PYTHON=/path/to/it" >&2
    exit 1
}
mkdir -p "$venv"
step "1/4 virtual environment in $venv" "$python" -m venv "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt"
step "2/4 torch (CPU build where there is one)" $pip torch
step "3/4 rsrag and what it needs" $pip -e .
step "4/4 test and lint tools" $pip -e ".[test,lint]"
echo "set up: $(size) MB in $venv"
