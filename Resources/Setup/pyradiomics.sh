#!/bin/sh
# Build PyRadiomics 3.0.1 into the environment of the Python given as $1. Its newer releases cannot be installed from
# PyPI, and this one only builds on Python 3.11 or older, with numpy and its build tools present and isolation off.
# Where it cannot be built the rest works without it, and the radiomics engine says how to get it.
set -u
python="$1"
if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
    echo "PyRadiomics 3.0.1 does not build on Python 3.12 or newer; the radiomics engine MIRP is there without it."
    exit 0
fi
"$python" -c 'import radiomics' 2>/dev/null && exit 0
log=$(mktemp)
if "$python" -m pip install --quiet --disable-pip-version-check --no-build-isolation pyradiomics==3.0.1 >"$log" 2>&1; then
    rm -f "$log"
else
    echo "PyRadiomics could not be built (is gcc there?); the radiomics engine MIRP is there without it. See $log"
fi
