# Everything is run through here: make help. Nothing needs to be installed beside Go, a C compiler (for the race detector) and what
# hack/deps.sh installs or names.
SHELL := /usr/bin/env bash -o pipefail
.SHELLFLAGS := -ec
.DEFAULT_GOAL := help

GO ?= go
TOOL = $(GO) tool -modfile=go.tools.mod
# The version of a release; without it the programs name the commit that they were built from.
VERSION ?=
LDFLAGS = -s -w $(if $(VERSION),-X github.com/remotejob-dev/remotejob-operator/internal/version.version=$(VERSION))
# The architectures of nodes that podrunner is brought to.
ARCHS = amd64 arm64
IMG ?= remotejob-operator:$(or $(VERSION),dev)
FUZZTIME ?= 30s
TESTFLAGS ?=

##@ Use it

.PHONY: demo
demo: deps build controlplane ## Run three pods from their HTTP call to their end, on a control plane of its own, and clean up (BACKEND=docker or slurm).
	@bin/dev demo

.PHONY: run
run: deps build controlplane ## Run the operator in the foreground until Ctrl-C (PLUGIN_ADDR=127.0.0.1:4000 BACKEND=docker).
	@bin/dev run

.PHONY: slurm
slurm: build ## Run a SLURM of one node in the foreground until Ctrl-C, apart from any that the machine has (root).
	@BACKEND=slurm hack/deps.sh
	@bin/dev slurm

.PHONY: cluster-up cluster-down cluster-load
cluster-up: deps-cluster build cluster-programs ## Leave a Kubernetes cluster of one node running in the background (root).
	@bin/dev cluster-up
cluster-down: ## End it, with all that runs there.
	@bin/dev cluster-down
cluster-load: ## Bring an image of the local Docker engine to its node (IMG).
	@bin/dev cluster-load $(IMG)

##@ Build

.PHONY: build
build: ## Build bin/manager, kubectl's plugin, and bin/podrunner for this machine and for nodes of each architecture.
	@echo "build: bin/manager, bin/podrunner, bin/kubectl-remotejob, bin/dev (a minute or two on the first time)"
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/ ./cmd/...
	@for arch in $(ARCHS); do \
	  CGO_ENABLED=0 GOARCH=$$arch $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/podrunner-$$arch ./cmd/podrunner; \
	done
	@CGO_ENABLED=0 $(GO) build -trimpath -o bin/dev ./hack/dev

.PHONY: controlplane
controlplane: ## Put etcd, kube-apiserver and kubectl into bin/k8s (built from their modules where they can't be downloaded).
	@hack/controlplane.sh

.PHONY: cluster-programs
cluster-programs: controlplane ## Put containerd, kubelet and the rest of a cluster into bin/cluster (built from their modules, once).
	@hack/cluster.sh

REVISION ?= $(shell git rev-parse HEAD 2>/dev/null)
IMAGE_ARGS = $(foreach name,BUILDER BASE VERSION REVISION TARGETARCH,$(if $($(name)),--build-arg $(name)=$($(name))))
.PHONY: docker-build docker-push docker-buildx
docker-build: ## Build the manager's image (IMG; BUILDER and BASE name other base images, TARGETARCH another architecture).
	docker build --build-arg BUILDPLATFORM=linux/$$($(GO) env GOHOSTARCH) $(IMAGE_ARGS) -t $(IMG) .
docker-push: ## Push it (IMG).
	docker push $(IMG)
docker-buildx: ## Build it for all architectures and push it (IMG; needs docker buildx).
	docker buildx build --platform=$(subst $(space),$(comma),$(ARCHS:%=linux/%)) $(IMAGE_ARGS) --provenance=true --push -t $(IMG) .
comma := ,
space := $(subst ,, )

##@ Install it in the cluster of the current kubeconfig

KUBECTL ?= kubectl
# What is installed: config/default, or one of config/overlays and config/namespaced.
OVERLAY ?= config/default
.PHONY: install uninstall deploy undeploy build-installer
install: ## Install the kinds alone.
	$(KUBECTL) apply --server-side -k config/crd
uninstall: ## Remove the kinds, with all RemoteJobs and RemoteBackends. The manager has to run, since it ends the jobs.
	$(KUBECTL) delete --ignore-not-found -k config/crd
deploy: install ## Install or upgrade the operator (IMG; OVERLAY=config/overlays/docker and others).
	@hack/kustomization.sh bin/deploy $(OVERLAY) $(IMG)
	$(KUBECTL) wait --for=condition=Established --timeout=1m crd/remotejobs.remotejob.dev crd/remotebackends.remotejob.dev
	$(KUBECTL) apply --server-side -k bin/deploy
undeploy: ## Remove the operator, once no RemoteJob and no RemoteBackend is left, and the kinds with it.
	@hack/undeploy.sh $(OVERLAY)
build-installer: ## Write all that OVERLAY installs into one file, dist/install.yaml (IMG).
	@mkdir -p dist && hack/kustomization.sh dist/kustomization $(OVERLAY) $(IMG)
	$(TOOL) kustomize build dist/kustomization >dist/install.yaml

.PHONY: clean
clean: ## Remove what was built, but not the control plane's binaries.
	rm -rf bin/manager bin/podrunner* bin/kubectl-remotejob bin/dev bin/faults bin/test dist

##@ Develop

.PHONY: generate manifests
generate: manifests ## Write the generated code, manifests and docs anew.
	@hack/generate.sh code .
	@hack/generate.sh docs .
manifests: ## Write the CRDs and the manager's role anew.
	@hack/generate.sh manifests .

.PHONY: fmt
fmt: ## Format the Go files.
	gofmt -w $$(hack/gofiles.sh)

##@ Check

.PHONY: test
test: deps-test build controlplane ## Run every test there is.
	@bin/dev with-engine hack/test.sh $(TESTFLAGS)

.PHONY: e2e
e2e: deps-test build cluster-programs ## Build the image, install it on a real node, and run pods through it while its leader is lost.
	@bin/dev with-engine hack/e2e.sh $(TESTFLAGS)

.PHONY: lint
lint: ## Run golangci-lint (built on the first time, which takes minutes).
	@echo "lint: golangci-lint (it is built on the first time, which takes some minutes)"
	$(TOOL) golangci-lint run --timeout=20m

.PHONY: verify
verify: ## Check that generated files, formatting, licence headers, modules and manifests are as they should be.
	@hack/verify.sh

.PHONY: vulncheck
vulncheck: ## Look the dependencies up in Go's vulnerability database.
	@hack/vulncheck.sh

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME.
	@hack/fuzz.sh $(FUZZTIME)

# What a run of the fault suite is like: SEED=0 is one by the clock, DOCKER and PODMAN of the PODS run there, KINDS are joined by commas,
# RESTORE=true restores the ledger from a backup, ALIVE bounds how many pods live at once.
SEED ?= 0
PODS ?= 200
DOCKER ?= 20
FAULTS ?= 60
PODMAN ?= 0
REPLICAS ?= 1
KINDS ?=
ALIVE ?= 60
RESTORE ?= false
.PHONY: test-faults
test-faults: deps-test controlplane ## Run pods while parts are killed, slowed and lied about, and judge (SEED= PODS= FAULTS= DOCKER= PODMAN= REPLICAS= KINDS= ALIVE= RESTORE=).
	@$(GO) build -o bin/faults ./test/faults
	@bin/faults -seed=$(SEED) -pods=$(PODS) -docker=$(DOCKER) -podman=$(PODMAN) -faults=$(FAULTS) -replicas=$(REPLICAS) -kinds=$(KINDS) -alive=$(ALIVE) -restore=$(RESTORE)

.PHONY: bench
bench: controlplane deps-test ## Measure what the design has budgets for, in some ten minutes: BENCH="-only slurm -profiles bin/profiles".
	$(GO) run ./test/bench $(BENCH)
	$(GO) test -run='^$$' -bench=. -benchtime=20x ./internal/backend/slurm

##@ Other

.PHONY: deps deps-test deps-cluster
deps:
	@hack/deps.sh
deps-test:
	@hack/deps.sh test
deps-cluster:
	@hack/deps.sh cluster

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN {FS = ":.*##"; printf "\nUsage: make \033[36m<target>\033[0m\n"} \
	  /^[a-zA-Z_0-9 -]+:.*?##/ {printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)}' Makefile
