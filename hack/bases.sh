#!/usr/bin/env bash
# Makes base images for the manager's image of what this machine has, for where no registry can be reached: one of its Go toolchain, the
# modules that go.mod and hack/sbom/go.mod name, and their packages as they lie compiled in this machine's build cache; and one of its root
# certificates. It prints their names, as make docker-build takes them.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "bases: $*" >&2; }
key=$(cat go.mod go.sum hack/sbom/go.mod hack/sbom/go.sum hack/bases.sh hack/cachecopy/main.go <(go version) | sha256sum | cut -c1-16)
builder=remotejob-builder:$key
base=remotejob-base:$key

tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT

import() { # import IMAGE ROOT CHANGE
  tar -C "$2" --numeric-owner --owner=0 --group=0 -cf - . | docker import --change "$3" - "$1" >/dev/null
}

if ! docker image inspect "$base" >/dev/null 2>&1; then
  mkdir -p "$tmp/base/root/etc/ssl/certs"
  cp -L /etc/ssl/certs/ca-certificates.crt "$tmp/base/root/etc/ssl/certs/" 2>/dev/null || say "this machine has no root certificates, and so the image has none"
  echo 'nonroot:x:65532:65532::/:/sbin/nologin' >"$tmp/base/root/etc/passwd"
  mkdir -m 1777 "$tmp/base/root/tmp"
  import "$base" "$tmp/base/root" 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt'
fi

if ! docker image inspect "$builder" >/dev/null 2>&1; then
  say "making $builder of this machine's Go toolchain and modules, and their packages as they were compiled here"
  root=$tmp/builder/root
  mkdir -p "$root/usr/local/go" "$root/go/pkg/mod" "$root/gocache" "$root/bin" "$root/tmp" "$tmp/deps/sbom"
  chmod 1777 "$root/tmp"
  tar -C "$(go env GOROOT)" --exclude=./test --exclude=./api --exclude=./doc --exclude=./misc --exclude=testdata -cf - . | tar -C "$root/usr/local/go" -xf -
  cp /bin/busybox "$root/bin/busybox"
  /bin/busybox --list | while read -r applet; do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
  # Modules are taken from the machine as far as it has them, and none but those that are needed.
  cp go.mod go.sum "$tmp/deps/" && cp hack/sbom/go.mod hack/sbom/go.sum "$tmp/deps/sbom/"
  modules=$(go env GOMODCACHE) proxy=$(go env GOPROXY)
  for dir in "$tmp/deps" "$tmp/deps/sbom"; do
    (cd "$dir" && GOMODCACHE=$root/go/pkg/mod GOPROXY="file://$modules/cache/download,$proxy" go mod download)
  done
  # And so are their packages, compiled as in the Dockerfile.
  go build -o "$tmp/cachecopy" ./hack/cachecopy
  compile() { CGO_ENABLED=0 GOCACHEPROG="$tmp/cachecopy $(go env GOCACHE) $root/gocache" go build -trimpath "$@"; }
  packages() { CGO_ENABLED=0 go list -deps -f '{{with .Module}}{{if not .Main}}{{$.ImportPath}}{{end}}{{end}}' "$@"; }
  # shellcheck disable=SC2046 # many words
  compile $(packages ./cmd/manager ./cmd/podrunner)
  for arch in amd64 arm64; do
    # shellcheck disable=SC2046
    GOARCH=$arch compile $(GOARCH=$arch packages ./cmd/podrunner)
  done
  (cd hack/sbom && compile -o "$tmp/cyclonedx-gomod" github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod)
  import "$builder" "$root" 'ENV PATH=/usr/local/go/bin:/bin GOPATH=/go GOMODCACHE=/go/pkg/mod GOCACHE=/gocache GOPROXY=off GOTOOLCHAIN=local GOFLAGS=-buildvcs=false HOME=/tmp'
fi
echo "BUILDER=$builder BASE=$base"
