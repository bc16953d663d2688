#!/usr/bin/env bash
# Checks what a compiler does not: that generated files are what the generators write, that Go files are formatted and carry the licence
# header, that go.mod and the tools' module are complete, that the manifests build. It reads no git history.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
complain() { echo "verify: $*" >&2; failed=1; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

hack/generate.sh all "$tmp"
for file in $(cd "$tmp" && find . -type f); do
  diff -u "$file" "$tmp/$file" >&2 || complain "$file is not what its generator writes: run make generate"
done

mapfile -t gofiles < <(hack/gofiles.sh)
unformatted=$(gofmt -l "${gofiles[@]}")
[ -z "$unformatted" ] || complain "not formatted (run make fmt): $unformatted"

# The header comes first, or right after a build constraint.
header=$(cat hack/boilerplate.go.txt)
for file in "${gofiles[@]}"; do
  text=$(<"$file")
  case $text in //go:build*) text=${text#*$'\n\n'} ;; esac
  case $text in "$header"*) ;; *) complain "$file does not begin with the licence header of hack/boilerplate.go.txt" ;; esac
done

go mod tidy -diff >&2 || complain "go.mod or go.sum is not tidy: run go mod tidy"
go mod verify >/dev/null || complain "a module in the cache was changed"
go list -mod=readonly -modfile=go.tools.mod -deps tool >/dev/null || complain "go.tools.mod or go.tools.sum lacks something: see go.tools.mod"

for dir in hack/promtool hack/sbom hack/cluster/containerd; do
  (cd "$dir" && go mod tidy -diff) >&2 || complain "$dir/go.mod or go.sum is not tidy: run go mod tidy there"
done

for dir in config/default config/dev config/namespaced config/samples config/network-policy config/prometheus config/grafana config/overlays/*; do
  go tool -modfile=go.tools.mod kustomize build "$dir" >/dev/null || complain "$dir does not build"
done
# With all that is opt-in taken.
mkdir "$tmp/taken" && cp -r config "$tmp/taken/"
sed -i 's/^#-/-/' "$tmp/taken/config/default/kustomization.yaml"
go tool -modfile=go.tools.mod kustomize build "$tmp/taken/config/default" >"$tmp/all.yaml" || complain "config/default does not build with all that is opt-in"
for part in 'kind: PrometheusRule' 'kind: NetworkPolicy' 'grafana_dashboard:' '- --watch-pods' 'name: remotejob-pod-watcher-role'; do
  grep -q -e "$part" "$tmp/all.yaml" || complain "config/default with all that is opt-in lacks $part"
done
for script in hack/*.sh .ci/run; do
  bash -n "$script" || complain "$script is not valid bash"
done

[ "$failed" = 0 ] && echo "verify: all is as it should be"
exit "$failed"
