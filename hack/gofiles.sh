#!/usr/bin/env bash
# Lists the project's Go files: all but what was built or fetched into bin/ and dist/.
set -euo pipefail
cd "$(dirname "$0")/.."
find . \( -path ./bin -o -path ./dist -o -path ./.git \) -prune -o -name '*.go' -print
