#!/bin/sh
# Installs a bundle on a machine that has no edged yet:
#   tar -xf BUNDLE start.sh && sh start.sh BUNDLE [--prefix DIR]
# What `edged bundle install` takes may follow. It needs Python of the bundle's version, and no network.
set -eu
[ $# -ge 1 ] || { echo "usage: sh start.sh BUNDLE [--prefix DIR]" >&2; exit 2; }
bundle="$1"; shift
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
tar -xf "$bundle" -C "$scratch" manifest.json
value() { sed -n "s/^ \"$1\": \"\([0-9._a-z]*\)\",\$/\1/p" "$scratch/manifest.json"; }
python="$(command -v "python$(value python)" || true)"
[ -n "$python" ] || { echo "this bundle is for Python $(value python), which is not installed here" >&2; exit 1; }
[ "$(uname -m)" = "$(value machine)" ] || { echo "this bundle is for $(value machine), this machine is $(uname -m)" >&2; exit 1; }
tar -xf "$bundle" -C "$scratch" wheels
# Nothing of it runs before its sums are right. Whether its maker signed them, openssl can tell before this runs at all:
# `edged bundle create` printed how.
sums() { awk -F'"' '/^  "/ { name = $2 } /^   "sha256"/ { print $4 "  " name }' "$scratch/manifest.json" | grep ' wheels/'; }
damaged="$(cd "$scratch" && sums | sha256sum --check --quiet 2>/dev/null | sed -n 's/: FAILED.*//p')"
[ -z "$damaged" ] || { echo "$damaged: SHA-256 differs from the manifest's: damaged or tampered with" >&2; exit 1; }
[ "$(find "$scratch/wheels" ! -type d | wc -l)" = "$(sums | wc -l)" ] || {
  echo "wheels: not only what the manifest names: damaged or tampered with" >&2; exit 1; }
"$python" -m venv --without-pip "$scratch/venv"
# Only what verifying and installing takes; that verifies itself, with all the rest, before anything is kept.
"$scratch/venv/bin/python" "$(echo "$scratch"/wheels/pip-*.whl)/pip" install --quiet --no-index --no-cache-dir \
  --disable-pip-version-check --find-links "$scratch/wheels" 'edged[bundle]'
"$scratch/venv/bin/edged" bundle install --python "$python" "$bundle" "$@"
