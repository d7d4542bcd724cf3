#!/bin/sh
# Check what the operating system must provide, by using it; install it when run as root on Debian, otherwise print
# the one line that does. $1: "run" (the demo) or "test" (the tests as well). PYTHON: the interpreter to set up with.
set -u
missing=""
need() { # need PACKAGES COMMAND: PACKAGES are missing when COMMAND fails
    packages="$1"; shift
    "$@" >/dev/null 2>&1 || missing="$missing $packages"
}
python_has() { "${PYTHON:-python3}" -c "$1"; }
library() { ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p | grep -q "$1"; }

python_has 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || {
    echo "Python 3.11, 3.12 or 3.13 is needed; '${PYTHON:-python3}' is not one. Use: make PYTHON=/path/to/python3.11"
    exit 1
}
need "python3-venv" python_has 'import ensurepip, venv'
need "python3-dev" python_has 'import os, sysconfig; open(os.path.join(sysconfig.get_path("include"), "Python.h"))'
need "gcc libc6-dev" command -v gcc
# slicer-core renders through EGL and Mesa's software driver, and links X11 although it opens no window.
need "libegl1" library libEGL.so.1
need "libgl1" library libGL.so.1
need "libgl1-mesa-dri" sh -c 'ls /usr/lib/*/dri/*_dri.so'
need "libx11-6" library libX11.so.6
need "libxt6" library libXt.so.6
if [ "$1" = test ]; then
    need "git" command -v git
    need "chromium" command -v chromium
    need "fonts-dejavu-core" sh -c 'ls /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf'
    need "cmake" command -v cmake
    need "dicom3tools" command -v dciodvfy
    need "g++" command -v g++
    need "postgresql" sh -c 'command -v initdb || ls /usr/lib/postgresql/*/bin/initdb'
    need "libxkbcommon0" library libxkbcommon.so.0
    need "libfontconfig1" library libfontconfig.so.1
    need "libdbus-1-3" library libdbus-1.so.3
    need "libglib2.0-0" library libglib-2.0.so.0
fi
[ -z "$missing" ] && exit 0
line="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing$missing"
    log=$(mktemp)
    if apt-get update -q >"$log" 2>&1 && DEBIAN_FRONTEND=noninteractive $line >>"$log" 2>&1; then
        rm -f "$log"
        exit 0
    fi
    echo "That failed; see $log. The command was: $line"
    exit 1
fi
echo "These system packages are missing:$missing"
echo "Install them with: sudo $line"
exit 1
