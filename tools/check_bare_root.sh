#!/usr/bin/env bash
# Runs the README's commands as a new user would: in a bare Debian root that has git and nothing else of what they need, made by
# debootstrap, with a fresh clone of HEAD in it and nothing beside the clone.
#   tools/check_bare_root.sh [test|demo|all] [FOLDER [NAME=VALUE]]
# Without FOLDER, or with an empty one, a new folder under /tmp, which is removed afterwards. NAME=VALUE is put into the environment of
# the commands: TEST_OPTIONS="-L cli" makes ./run test run those tests only.
# Needs root, debootstrap (scripts/install-deps.sh bare) and mount namespaces. Packages come from where this machine gets its own:
# its apt sources and its settings of apt and pip are copied into the root. A model in models/ is copied too; else it is fetched.
# Ends with "bare root: N passed, N failed". `all` takes about ten minutes on two cores, `test` about six.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
case $what in
test | demo) commands=("$what") ;;
all) commands=(test demo) ;;
*) echo "usage: $0 [test|demo|all] [FOLDER [NAME=VALUE]]" >&2; exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "error: debootstrap and chroot need root" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "error: no debootstrap. scripts/install-deps.sh bare installs it" >&2; exit 2; }

# A mount namespace of our own: what is mounted below goes with this process, however it ends.
if [ -z "${YA_BARE_ROOT:-}" ]; then
    unshare --mount true 2>/dev/null || { echo "error: no mount namespace is to be had here" >&2; exit 2; }
    YA_BARE_ROOT=1 exec unshare --mount --propagation private "$0" "$@"
fi

keep=${2:-}
given=${3:-YA_BARE=1}
root=${keep:-$(mktemp -d /tmp/bare-root.XXXXXX)}
mkdir -p "$root"
chmod 755 "$root" # mktemp makes it private, and then nobody but root could read the system in it
clean() {
    umount "$root"/dev/pts "$root"/dev/shm "$root"/proc 2>/dev/null || true
    [ -n "$keep" ] || rm -rf --one-file-system "$root"
}
trap clean EXIT

# The first archive of this machine's own sources, for this machine's own release.
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk -v r="$release" '$2 == r {print $1; exit}')
[ -n "$mirror" ] || { echo "error: no apt source for $release on this machine" >&2; exit 2; }

start=$SECONDS
if [ ! -x "$root/usr/bin/git" ]; then
    debootstrap --variant=minbase --include=git "$release" "$root" "$mirror" >"$root.log" 2>&1 || { tail -20 "$root.log"; exit 1; }
    rm -f "$root.log"
fi
echo "bare root: $release with git, $((SECONDS - start)) s"

copy_in() { # files and folders that may not be there
    local path
    for path; do
        [ -e "$path" ] || continue
        mkdir -p "$root$(dirname "$path")"
        cp -aLT "$path" "$root$path"
    done
}
rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d
copy_in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf /etc/apt/apt.conf.d /etc/apt/auth.conf.d /etc/apt/keyrings \
    /etc/apt/trusted.gpg.d /usr/share/keyrings /etc/pip.conf /root/.config/pip /root/.netrc /etc/resolv.conf /etc/hosts \
    /usr/local/share/ca-certificates /etc/ssl/certs/ca-certificates.crt
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/pts" "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -sf pts/ptmx "$root/dev/ptmx"

clone=/home/someone/your_ai
rm -rf "$root/home/someone"
git clone -q --no-local . "$root$clone"
if [ -f models/smollm2-135m.gguf ]; then
    mkdir -p "$root$clone/models"
    cp -L models/smollm2-135m.gguf "$root$clone/models/"
fi

inside() { # COMMAND...: in the clone, with no settings of this machine's builds
    env -u CC -u CFLAGS -u CMAKE_C_COMPILER_LAUNCHER -u CMAKE_GENERATOR -u MAKEFLAGS -u YA_BARE_ROOT HOME=/root \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$@"
}
passed=0
failed=0
verdict() { # OK NAME
    if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "bare root: $([ "$1" -eq 0 ] && echo passed || echo FAILED) $2"
}

# Without the right to install, the message says what root has to do.
if ! inside "$root" sh -c 'command -v make || command -v cc || command -v cmake' >/dev/null; then
    said=$(inside --userspec=nobody:nogroup "$root" sh -c "cd $clone && ./run test" 2>&1) && ok=1 || ok=0
    grep -q 'As root: apt-get install .*make' <<<"$said" || { ok=1; echo "$said"; }
    verdict "$ok" "./run says what to install to a user who may not"
fi
for command in "${commands[@]}"; do
    start=$SECONDS
    ok=0
    inside "$root" env "$given" sh -c "cd $clone && ./run $command" || ok=1
    verdict "$ok" "./run $command, $((SECONDS - start)) s"
done
echo "bare root: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
