#!/usr/bin/env sh
# run.sh PYTHON: all tests but the soak tests, on two workers; what fails there is tried once more by itself.
# Exit code 0 where every test passed, at once or alone; those that passed only alone are named at the end.
# The application's tests have processes of their own: Qt and VTK beside all other libraries have died silently.
# Two workers with two threads each wait for one another; with one thread each the run takes a third of the time.
set -u
python=$1
export OMP_NUM_THREADS=1
cache=$(mktemp -d) && trap 'rm -rf "$cache"' EXIT
MANY=10
shaky="$cache/shaky" && : > "$shaky"

# run NAME FOLDER...: pytest on the folders, then on what failed
run() {
    name=$1 && shift
    "$python" -m pytest -o cache_dir="$cache/$name" -m "not soak" -n 2 --dist loadfile --max-worker-restart 3 \
        --durations 15 "$@" && return 0
    code=$?
    failed="$cache/$name/d/watch/failed.txt"
    count=$(grep -c . "$failed" || true)
    if [ "$code" != 1 ] || [ "$count" -eq 0 ] || [ "$count" -gt "$MANY" ]; then return "$code"; fi
    cp "$failed" "$cache/$name.txt"
    printf '\nOnce more, without a neighbour: the %s that failed.\n' "$count"
    "$python" -m pytest -p no:cacheprovider -m "not soak" "@$cache/$name.txt" || return $?
    cat "$cache/$name.txt" >> "$shaky"
}

status=0
run rest Testing/Core Testing/Browser || status=$?
run application Testing/Slicer || status=$?
if [ -s "$shaky" ]; then
    printf '\nFailed beside others and passed alone; each of these is a fault still to be found:\n'
    sed 's/^/  /' "$shaky"
fi
exit "$status"
