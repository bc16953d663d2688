#!/usr/bin/env bash
# Builds the manager's image, checks it, and runs the tests of test/cluster with it, and then the documents' commands that take a cluster.
# Arguments go to go test. BUILDER and BASE name other base images than those that are made of this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

started=$SECONDS
since() { echo "e2e: $1 after $((SECONDS - started)) s"; }
image=remotejob-operator:e2e
archive=$PWD/bin/test/image.tar
bases=${BUILDER:+BUILDER=$BUILDER BASE=$BASE}
[ -n "$bases" ] || bases=$(hack/bases.sh)
mkdir -p bin/test
# shellcheck disable=SC2086 # two words
make -s docker-build IMG=$image $bases >bin/test/docker-build.log 2>&1 || { tail -30 bin/test/docker-build.log >&2; exit 1; }
hack/image-test.sh $image
docker save -o "$archive" $image
since "the image was built and checked"
go test -count=1 -timeout=20m "$@" ./test/cluster -image="$archive" -image-name=docker.io/library/$image
since "the operator was tried on a real node"
# shellcheck disable=SC2086 # two words
env $bases go test -count=1 -timeout=20m "$@" ./test/docs -run='^TestTheCommandsOfTheDocuments' -cluster
since "all passed"
