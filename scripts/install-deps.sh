#!/usr/bin/env bash
# Installs what the project needs on Debian or Ubuntu, and says what. Nothing is installed that is already there.
#   scripts/install-deps.sh build   compiler, CMake, libraries
#   scripts/install-deps.sh test    and what the tests need
#   scripts/install-deps.sh dev     and what `make check`, the sanitizers and coverage need
#   scripts/install-deps.sh bare    what tools/check_bare_root.sh needs
#   scripts/install-deps.sh emulate and what scripts/emulate-avx512.sh needs (on x86-64)
#   scripts/install-deps.sh aarch64 what `test` has, and what the cross build (preset `aarch64`) needs: a compiler, an emulator, and
#                                   the libraries, unpacked under build-aarch64 by scripts/arm64-sysroot.sh
set -euo pipefail
cd "$(dirname "$0")/.."

build=(gcc make cmake ninja-build pkg-config libc6-dev libjansson-dev libutf8proc-dev zlib1g-dev libzstd-dev libyaml-dev python3 python3-pip)
test=(libcmocka-dev g++ mandoc)
bare=(debootstrap git)
emulate=(bochs-term bochs bochsbios vgabios isolinux syslinux-common xorriso cpio)
dev=(dpkg-dev parallel clang libclang-rt-dev clang-format clang-tidy cppcheck)
aarch64=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)

level=${1:-build}
case $level in
build) wanted=("${build[@]}") ;;
test) wanted=("${build[@]}" "${test[@]}") ;;
dev) wanted=("${build[@]}" "${test[@]}" "${dev[@]}") ;;
bare) wanted=("${bare[@]}") ;;
emulate) wanted=("${build[@]}" "${test[@]}" "${emulate[@]}") ;;
aarch64) wanted=("${build[@]}" "${test[@]}" "${aarch64[@]}") ;;
*) echo "usage: $0 build|test|dev|bare|emulate|aarch64" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "error: this script knows Debian and Ubuntu only. Install the equivalents of: ${wanted[*]}" >&2
    exit 1
fi

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# The sanitizer runtimes of clang carry its version in their name.
clang_runtime() {
    local version
    version=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -1)
    echo "libclang-rt-${version:-14}-dev"
}

missing=()
for package in "${wanted[@]}"; do
    [ "$package" = libclang-rt-dev ] && package=$(clang_runtime)
    # A tool that came from elsewhere (a newer compiler, pip in a virtual environment) is as good as the package.
    case $package in
    python3 | gcc | g++ | make | cmake | clang | clang-format | clang-tidy | cppcheck) command -v "$package" >/dev/null && continue ;;
    ninja-build) command -v ninja >/dev/null && continue ;;
    python3-pip) python3 -m pip --version >/dev/null 2>&1 && continue ;;
    esac
    installed "$package" || missing+=("$package")
done
finish() {
    [ "$level" != aarch64 ] || scripts/arm64-sysroot.sh build-aarch64/sysroot
    exit 0
}
[ ${#missing[@]} -eq 0 ] && finish

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "error: these packages are missing and neither root nor sudo is at hand. As root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
finish
