#!/usr/bin/env bash
# Puts etcd, kube-apiserver and kubectl into bin/k8s: downloaded by setup-envtest where its mirror can be reached,
# else built from their Go modules (etcd about 1 minute, kube-apiserver 6 to 9 minutes on two cores, once).
set -euo pipefail
cd "$(dirname "$0")/.."

kubernetes=$(cd hack/controlplane/kubernetes && go list -m -f '{{.Version}}' k8s.io/kubernetes)
etcd=$(cd hack/controlplane/etcd && go list -m -f '{{.Version}}' go.etcd.io/etcd/server/v3)
out=bin/k8s
stamp="kubernetes $kubernetes, etcd $etcd"

if [ -f "$out/VERSION" ] && [ "$(cat "$out/VERSION")" = "$stamp" ] && [ -x "$out/etcd" ] && [ -x "$out/kube-apiserver" ] && [ -x "$out/kubectl" ]; then
  exit 0
fi
mkdir -p "$out"

# setup-envtest prints where it put the binaries. It is given a minute: where its mirror cannot be reached it may hang.
echo "controlplane: looking for kube-apiserver ${kubernetes#v} to download"
if dir=$(timeout 60 go tool -modfile=go.tools.mod setup-envtest use "${kubernetes#v}" --bin-dir bin/envtest -p path 2>/dev/null) && [ -x "$dir/kube-apiserver" ]; then
  cp "$dir/etcd" "$dir/kube-apiserver" "$dir/kubectl" "$out/"
else
  echo "controlplane: none to be had; building etcd $etcd from its module (about a minute)"
  (cd hack/controlplane/etcd && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "../../../$out/etcd" go.etcd.io/etcd/server/v3)
  echo "controlplane: building kube-apiserver and kubectl $kubernetes from their module (6 to 9 minutes on two cores, once)"
  pkg=k8s.io/component-base/version
  major=$(echo "${kubernetes#v}" | cut -d. -f1) minor=$(echo "${kubernetes#v}" | cut -d. -f2)
  (cd hack/controlplane/kubernetes && CGO_ENABLED=0 go build -trimpath \
    -ldflags "-s -w -X $pkg.gitVersion=$kubernetes -X $pkg.gitMajor=$major -X $pkg.gitMinor=$minor -X $pkg.gitTreeState=clean" \
    -o "../../../$out/" k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl)
fi
echo "$stamp" >"$out/VERSION"
echo "controlplane: $stamp are in $out"
