#!/usr/bin/env bash
# Writes a kustomization that takes another one and names the manager's image there, so that no file under version control is changed:
#   hack/kustomization.sh DIRECTORY OVERLAY IMAGE
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$1 overlay=$2 image=$3

name=$image pin=
case $image in
*@*) name=${image%%@*} pin="digest: ${image#*@}" ;;
*)
  last=${image##*/}
  if [ "$last" != "${last%:*}" ]; then
    name=${image%:*} pin="newTag: \"${last##*:}\""
  fi
  ;;
esac
mkdir -p "$dir"
cat >"$dir/kustomization.yaml" <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- $(realpath --relative-to="$dir" "$overlay")
images:
- name: controller
  newName: $name${pin:+
  $pin}
EOF
