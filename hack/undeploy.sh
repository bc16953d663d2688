#!/usr/bin/env bash
# Removes the operator from the cluster of the current kubeconfig: hack/undeploy.sh OVERLAY. While RemoteJobs or RemoteBackends are left it
# does not: they have finalizers, and wait for a manager.
set -euo pipefail
cd "$(dirname "$0")/.."
kubectl=${KUBECTL:-kubectl}
for kind in remotejobs remotebackends; do
  left=$($kubectl get "$kind.remotejob.dev" --all-namespaces --no-headers --ignore-not-found 2>/dev/null | wc -l) || left=0
  if [ "$left" -gt 0 ]; then
    echo "undeploy: there are $left $kind. Delete them first, while the manager runs: kubectl delete $kind --all --all-namespaces" >&2
    exit 1
  fi
done
$kubectl delete --ignore-not-found -k "$1"
