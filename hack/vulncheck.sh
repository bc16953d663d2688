#!/usr/bin/env bash
# Runs govulncheck. Where its database can't be reached, and for that cause alone, it says that nothing was checked and goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
if out=$(go tool -modfile=go.tools.mod govulncheck ./... 2>&1); then
  echo "$out"
  exit 0
fi
echo "$out"
if grep -q '^govulncheck: fetching vulnerabilities: Get "https://vuln.go.dev/.*\(no such host\|connection refused\|i/o timeout\|network is unreachable\|proxyconnect\|server misbehaving\)' <<<"$out"; then
  echo "vulncheck: NOT CHECKED: the vulnerability database could not be reached"
  exit 0
fi
exit 1
