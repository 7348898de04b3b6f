#!/usr/bin/env bash
# Makes a .deb of build/your_ai for this machine's own distribution: program, manual pages, completions. Its libraries are the
# distribution's, found by dpkg-shlibdeps; whatever build/your_ai was built with (CUDA, where nvcc was) is in it.
#   scripts/package-deb.sh FOLDER
# DEBFULLNAME, DEBEMAIL: who maintains it; otherwise who made the newest commit.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
for tool in dpkg-deb dpkg-shlibdeps strip; do
    command -v $tool >/dev/null || { echo "error: there is no $tool: .deb packages are made on Debian and Ubuntu, with dpkg-dev and binutils" >&2; exit 1; }
done

version=$(sed -n 's/^#define YA_VERSION "\(.*\)"/\1/p' include/your_ai.h)
arch=$(dpkg --print-architecture)
maintainer="${DEBFULLNAME:-$(git log -1 --format=%an)} <${DEBEMAIL:-$(git log -1 --format=%ae)}>"
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/DEBIAN" "$work/debian"
scripts/package-tree.sh build/your_ai "$root/usr"
strip --remove-section=.comment --remove-section=.note "$root/usr/bin/your_ai"
# Debian's folders for completions of zsh
mkdir -p "$root/usr/share/zsh/vendor-completions"
mv "$root/usr/share/zsh/site-functions/_your_ai" "$root/usr/share/zsh/vendor-completions/"
rmdir "$root/usr/share/zsh/site-functions"

doc=$root/usr/share/doc/your-ai
mv "$root/usr/share/doc/your_ai" "$doc"
rm "$doc/LICENSE" # copyright says it
{
    echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
    echo "Upstream-Name: your_ai"
    echo
    echo "Files: *"
    echo "Copyright: $(sed -n 's/^Copyright (c) //p' LICENSE)"
    echo "License: Expat"
    sed '1,4d; s/^ *$/./; s/^/ /' LICENSE
} >"$doc/copyright"
printf 'your-ai (%s) unstable; urgency=low\n\n  * Built from %s.\n\n -- %s  %s\n' "$version" \
    "$(git describe --always)" "$maintainer" "$(date -R -u -d "@$epoch")" | gzip -9n >"$doc/changelog.gz"

# dpkg-shlibdeps wants to see the source package's control file
printf 'Source: your-ai\n\nPackage: your-ai\nArchitecture: %s\nDescription: x\n' "$arch" >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O root/usr/bin/your_ai 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || { echo "error: dpkg-shlibdeps finds no packages that build/your_ai needs" >&2; exit 1; }
cat >"$root/DEBIAN/control" <<END
Package: your-ai
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Depends: $depends
Section: science
Priority: optional
Description: fine-tunes language models, weighing documents by provenance
 your_ai trains LoRA adapters for language models of the Llama family on
 this machine's processor, so that what a model learns from a document
 depends on how well the provenance of that document stands up. One
 program, without Python at run time.
END
(cd "$root" && find usr -type f | LC_ALL=C sort | xargs md5sum >DEBIAN/md5sums)
find "$root" -print0 | xargs -0 touch -h -d "@$epoch"
package=$out/your-ai_${version}_$arch.deb
SOURCE_DATE_EPOCH=$epoch dpkg-deb --build --root-owner-group -Zxz "$root" "$package" >/dev/null
ls -l "$package"
