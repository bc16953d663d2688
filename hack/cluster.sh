#!/usr/bin/env bash
# Puts the programs of a cluster's node and its controllers into bin/cluster, built from their Go modules (10 minutes or so on two cores,
# once). etcd, kube-apiserver and kubectl are in bin/k8s: see hack/controlplane.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

kubernetes=$(cd hack/controlplane/kubernetes && go list -m -f '{{.Version}}' k8s.io/kubernetes)
containerd=$(cd hack/cluster/containerd && go list -m -f '{{.Version}}' github.com/containerd/containerd/v2)
out=bin/cluster
stamp="kubernetes $kubernetes, containerd $containerd"

if [ -f "$out/VERSION" ] && [ "$(cat "$out/VERSION")" = "$stamp" ]; then
  exit 0
fi
mkdir -p "$out"

echo "cluster: building containerd $containerd from its module (2 minutes or so on two cores, once)"
pkg=github.com/containerd/containerd/v2
(cd hack/cluster/containerd && CGO_ENABLED=0 go build -trimpath -tags no_btrfs,no_devmapper,no_zfs \
  -ldflags "-s -w -X $pkg/version.Version=$containerd" -o "../../../$out/" $pkg/cmd/containerd $pkg/cmd/containerd-shim-runc-v2 $pkg/cmd/ctr)

echo "cluster: building kubelet, kube-proxy, kube-controller-manager and kube-scheduler $kubernetes from their module (6 to 9 minutes, once)"
pkg=k8s.io/component-base/version
major=$(echo "${kubernetes#v}" | cut -d. -f1) minor=$(echo "${kubernetes#v}" | cut -d. -f2)
(cd hack/controlplane/kubernetes && CGO_ENABLED=0 go build -trimpath \
  -ldflags "-s -w -X $pkg.gitVersion=$kubernetes -X $pkg.gitMajor=$major -X $pkg.gitMinor=$minor -X $pkg.gitTreeState=clean" \
  -o "../../../$out/" k8s.io/kubernetes/cmd/kubelet k8s.io/kubernetes/cmd/kube-proxy \
  k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kube-scheduler)

echo "$stamp" >"$out/VERSION"
echo "cluster: $stamp are in $out"
