#!/usr/bin/env bash
# Checks an image of the manager as a cluster would run it: hack/image-test.sh IMAGE
set -euo pipefail
cd "$(dirname "$0")/.."
image=$1
fail() { echo "image-test: $image: $*" >&2; exit 1; }

# Nothing that it could write to, a user that it does not know, no rights, no network.
version=$(docker run --rm --read-only --user=12345:12345 --cap-drop=ALL --security-opt=no-new-privileges --network=none "$image" --version) ||
  fail "it does not tell its version"
[[ $version == "remotejob-operator "* ]] || fail "its version is $version"

user=$(docker image inspect -f '{{.Config.User}}' "$image")
[[ $user =~ ^[1-9][0-9]*:[1-9][0-9]*$ ]] || fail "it would run as $user, which Kubernetes can't tell from root"
for label in title source licenses revision; do
  value=$(docker image inspect -f "{{index .Config.Labels \"org.opencontainers.image.$label\"}}" "$image")
  [ -n "$value" ] || fail "it lacks the label org.opencontainers.image.$label"
done

tmp=$(mktemp -d)
container=$(docker create "$image")
trap 'docker rm -f "$container" >/dev/null; rm -rf "$tmp"' EXIT
for file in manager podrunner podrunner-amd64 podrunner-arm64 sbom/manager.cdx.json sbom/podrunner.cdx.json; do
  docker cp "$container:/$file" "$tmp/" >/dev/null 2>&1 || fail "it lacks /$file"
done
# The machine of an ELF program is in its bytes 18 and 19.
machine() { od -An -tx1 -j18 -N2 "$tmp/$1" | tr -d ' '; }
[ "$(machine podrunner-amd64)" = 3e00 ] || fail "podrunner-amd64 is for another architecture"
[ "$(machine podrunner-arm64)" = b700 ] || fail "podrunner-arm64 is for another architecture"
cmp -s "$tmp/podrunner" "$tmp/podrunner-amd64" || cmp -s "$tmp/podrunner" "$tmp/podrunner-arm64" || fail "podrunner is neither of the two"
for module in k8s.io/client-go sigs.k8s.io/controller-runtime; do
  grep -q "\"$module\"" "$tmp/manager.cdx.json" || fail "its bill of materials lacks $module"
done
grep -q '"bomFormat": "CycloneDX"' "$tmp/podrunner.cdx.json" || fail "podrunner's bill of materials is none"
echo "image-test: $image ($version) is as it should be"
