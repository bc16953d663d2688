#!/usr/bin/env bash
# Runs every test: first those that need at most a control plane, side by side; then those that work on Docker engines, one package after
# another. Arguments go to go test. No result is taken from the cache: tests look at more than their own packages' files.
set -euo pipefail
cd "$(dirname "$0")/.."

engine='/internal/backend/docker($|/)|/test/'
mapfile -t unit < <(go list ./... | grep -vE "$engine")
mapfile -t real < <(go list ./... | grep -E "$engine")

sum() { go tool -modfile=go.tools.mod gotestsum --format=pkgname --format-hide-empty-pkg "$@"; }
status=0
echo "test: ${#unit[@]} packages that need no Docker engine"
sum -- -race -count=1 -timeout=10m "$@" "${unit[@]}" || status=1
echo "test: ${#real[@]} packages on real engines, one after another"
sum -- -race -count=1 -p=1 -timeout=30m "$@" "${real[@]}" || status=1
exit "$status"
