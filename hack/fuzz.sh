#!/usr/bin/env bash
# Runs each fuzz target of the module for the given time, as many at once as there are processors, each with one worker.
set -euo pipefail
cd "$(dirname "$0")/.."
export FUZZTIME=${1:-30s}

fuzz() { # fuzz DIRECTORY TARGET
  local out try
  for try in 1 2; do
    if out=$(go test -run='^$' -fuzz="^$2\$" -fuzztime="$FUZZTIME" -parallel=1 "$1" 2>&1); then
      echo "fuzz: $2 in $1: $(grep -o 'execs: [0-9]*' <<<"$out" | tail -1)"
      return 0
    fi
    # A worker that gets no processor at the end of its time is called failed (golang.org/issue/48591), without an input that fails.
    if ! grep -q 'context deadline exceeded' <<<"$out" || grep -q 'Failing input written' <<<"$out"; then break; fi
  done
  printf '%s\nfuzz: %s in %s FAILED\n' "$out" "$2" "$1"
  return 1
}
export -f fuzz

mapfile -t targets < <(hack/gofiles.sh | grep '_test\.go$' | sort | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+\(' |
  sed -E 's#^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]+)\(#\1 \2#')
[ "${#targets[@]}" -gt 0 ] || { echo "fuzz: found no targets" >&2; exit 1; }
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -L 1 bash -c 'fuzz "$0" "$1"'
echo "fuzz: ${#targets[@]} targets, $FUZZTIME each, found nothing"
