#!/usr/bin/env bash
# Writes the generated files below a directory: "code", "manifests", "docs" or "all", and where (. for the repository itself).
set -euo pipefail
cd "$(dirname "$0")/.."
what=$1 out=$2
gen=(go tool -modfile=go.tools.mod controller-gen)

if [ "$what" = code ] || [ "$what" = all ]; then
  mkdir -p "$out/api/v1alpha1"
  "${gen[@]}" object:headerFile=hack/boilerplate.go.txt paths=./api/... output:object:dir="$out/api/v1alpha1"
fi
if [ "$what" = manifests ] || [ "$what" = all ]; then
  mkdir -p "$out/config/crd/bases" "$out/config/rbac"
  "${gen[@]}" crd paths=./api/... output:crd:artifacts:config="$out/config/crd/bases"
  "${gen[@]}" rbac:roleName=manager-role paths=./cmd/... paths=./internal/... output:rbac:artifacts:config="$out/config/rbac"
fi
if [ "$what" = docs ] || [ "$what" = all ]; then
  crds=config/crd/bases
  [ "$what" = docs ] || crds=$out/$crds
  go run ./hack/docs "$crds" "$out"
fi
