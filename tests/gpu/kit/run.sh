#!/bin/bash
# Unpacks, compiles and runs the kit on the machine that has the device:
#
#     bash run.sh ARCHIVE OUT [options of `python -m tests.gpu.kit run`]
#
# ARCHIVE is kit.tar.xz, or the beginning of the names of its parts. Results lie in OUT as they come.
set -eu
archive=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
shift 2
python=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
unpack='import sys, tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode="r|xz").extractall(sys.argv[1], filter="data")'
cat "$archive"* | "$python" -c "$unpack" "$place"
install=$place/site/tests/gpu/kit/install.py
if ! "$python" "$install" "$place/site" > "$out/install.txt" 2>&1; then
    tail -n 40 "$out/install.txt"
    echo "the extension could not be compiled; the whole log is $out/install.txt" >&2
    exit 1
fi
tail -n 1 "$out/install.txt"
libraries=$("$python" "$install" --libraries)
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PYTHONPATH=$place/site
cd "$place/site"
"$python" -m tests.gpu.kit run --out "$out" "$@"
