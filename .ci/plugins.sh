#!/bin/sh
# Prove the plugin door: in an environment of its own install rsrag from this checkout, then each package under
# plugins/ as its users would, and run its tests.
#
#   sh .ci/plugins.sh                  everything is installed anew
#   BORROW=.venv sh .ci/plugins.sh     the packages that rsrag needs are taken from another environment
set -eu
cd "$(dirname "$0")/.."
venv=$(mktemp -d)/venv
trap 'rm -rf "$(dirname "$venv")"' EXIT
step() {
    start=$(date +%s)
    printf '%s ... ' "$1"
    shift
    if ! "$@" >"$venv.log" 2>&1; then
        printf 'failed\n'
        tail -n 30 "$venv.log" >&2
        exit 1
    fi
    printf '%s s\n' "$(($(date +%s) - start))"
}
python=${PYTHON:-python3.11}
command -v "$python" >/dev/null 2>&1 || python=python3
step "virtual environment in $venv" "$python" -m venv "$venv"
install="$venv/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt"
if [ -n "${BORROW:-}" ]; then
    # A path in a .pth file: its packages are seen, its own .pth files (an editable rsrag) are not.
    purelib='import sysconfig; print(sysconfig.get_path("purelib"))'
    "$BORROW/bin/python" -c "$purelib" >"$("$venv/bin/python" -c "$purelib")/borrowed.pth"
    step "rsrag, over the packages of $BORROW" $install --no-deps --ignore-installed .
else
    step "torch (CPU build where there is one)" $install torch
    step "rsrag and what it needs" $install .
fi
for package in plugins/*/; do
    name=$(basename "$package")
    step "$name and what it needs" $install "./$package[test]"
    echo "tests of $name:"
    (cd "$package" && "$venv/bin/python" -m pytest -q -p no:cacheprovider -m "slow or not slow")
done
