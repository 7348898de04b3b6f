#!/usr/bin/env bash
# Makes packages of the program in build-package/out; docs/packages.md says what each is. Called by `make package`.
#   scripts/package.sh [deb|gnu|wheel|model|musl|macos-arm64|macos-x86_64 ...]      (default: deb gnu wheel)
# build/your_ai has to be there. One that cannot be made is named at the end, and the others are made all the same.
set -uo pipefail
cd "$(dirname "$0")/.."
out=build-package/out
mkdir -p $out

# Of the program for glibc 2.17, which is made where it is not there yet.
wheel() {
    [ -x build-package/gnu/program/your_ai ] || scripts/package-portable.sh gnu || return 1
    rm -rf build-package/tree
    scripts/package-tree.sh build-package/gnu/program/your_ai build-package/tree && scripts/package-wheel.py build-package/tree manylinux2014_x86_64 $out
}
failed=
for kind in ${*:-deb gnu wheel}; do
    case $kind in
    deb) scripts/package-deb.sh $out ;;
    gnu | musl | macos-arm64 | macos-x86_64) scripts/package-portable.sh "$kind" ;;
    wheel) wheel ;;
    model) scripts/get-model.sh smollm2-135m && scripts/package-wheel.py --model models/smollm2-135m.gguf $out ;;
    *) echo "error: there is no package '$kind'" >&2; false ;;
    esac || failed="$failed $kind"
done
ls -l $out
[ -z "$failed" ] || { echo "error: could not be made:$failed" >&2; exit 1; }
