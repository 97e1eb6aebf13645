#!/usr/bin/env bash
# Installs and tests what is committed, in a new folder with an empty HOME: what only works here does not count.
set -euo pipefail
top=$(git -C "$(dirname "$0")/.." rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet "$top" "$work/clone"
cd "$work/clone"
mkdir "$work/home"
HOME="$work/home" bash .ci/run
