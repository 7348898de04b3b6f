#!/usr/bin/env bash
# Makes a corpus of distinct English text for the rates of `your_ai data score`, from documentation packages of Debian 12: HTML,
# manual pages, info files, plain text, and the descriptions of all packages. Rows are {"text", "source", "url", "id"}; texts that are
# the same are kept once. Needs apt and some gigabytes in FOLDER; installs nothing.
#   bench/score/make_corpus.sh FOLDER
set -euo pipefail
folder=$1
here=$(cd "$(dirname "$0")" && pwd)
packages=(debian-handbook developers-reference debian-policy debian-reference-en installation-guide-amd64 manpages manpages-dev
    linux-doc-6.1 python3-doc python-numpy-doc python-scipy-doc python-sympy-doc python-matplotlib-doc python-django-doc
    postgresql-doc-15 git-doc perl-doc openjdk-17-doc rust-doc libboost1.74-doc llvm-14-doc cppreference-doc-en-html ghc-doc
    erlang-doc octave-doc r-doc-html sqlite3-doc apache2-doc samba-doc gnuplot-doc emacs-common gmt-gshhg-low libgtk-4-doc
    libglib2.0-doc qtbase5-doc-html tcl8.6-doc nodejs-doc golang-1.19-doc ruby2.7-doc maxima-doc gap-doc bash-doc fp-docs-3.2.2
    libstdc++-12-doc vtk9-doc exim4-doc-html mercurial-common subversion ntp-doc zsh-doc texlive-latex-base-doc
    python3-sqlalchemy-doc python-pandas-doc python-sklearn-doc libreoffice-help-en-us gimp-help-en gnucash-docs blender-doc)
mkdir -p "$folder/deb" "$folder/tree"
cd "$folder/deb"
for p in "${packages[@]}"; do
    ls "${p}"_*.deb >/dev/null 2>&1 || apt-get download "$p" >/dev/null 2>&1 || echo "not in the archive: $p" >&2
done
for deb in *.deb; do
    [ -d "../tree/${deb%%_*}" ] || dpkg-deb -x "$deb" "../tree/${deb%%_*}"
done
python3 "$here/make_corpus.py" "$folder/tree" "$folder/corpus.jsonl"
