#!/usr/bin/env bash
# Runs every test: first those that need at most a control plane, side by side; then those that work on Docker engines, SLURM clusters and
# what these run, two packages at a time, since they wait more than they work; last those that hold a delay against a bound, with nothing
# beside them: their names end with "Milliseconds". Arguments go to go test. No result is taken from the cache: tests look at more than
# their own packages' files.
set -euo pipefail
cd "$(dirname "$0")/.."

heavy='/internal/backend/docker($|/)|/internal/backend/slurm($|/podrun$|/remote$|/script$)|/test/'
delays='Milliseconds$'
mapfile -t unit < <(go list ./... | grep -vE "$heavy")
mapfile -t real < <(go list ./... | grep -E "$heavy" | grep -v '/test/cluster$') # make e2e runs the latter

mapfile -t alone < <(grep -rlE --include='*_test.go' "^func Test\w*${delays%\$}\(" cmd internal test | xargs dirname | sort -u | sed 's|^|./|')

sum() { go tool -modfile=go.tools.mod gotestsum --format=pkgname --format-hide-empty-pkg "$@"; }
status=0
echo "test: ${#unit[@]} packages that need no machine of their own"
sum -- -race -count=1 -timeout=10m "$@" "${unit[@]}" || status=1
echo "test: ${#real[@]} packages on real engines and clusters"
sum -- -race -count=1 -p=2 -timeout=40m -skip="$delays" "$@" "${real[@]}" || status=1
echo "test: delays, with nothing beside them"
sum -- -race -count=1 -p=1 -timeout=10m -run="$delays" "$@" "${alone[@]}" || status=1
exit "$status"
