# The manager's image. Where no registry can be reached, BUILDER and BASE name local images (hack/bases.sh makes both): one with Go, and one
# with the root certificates, or scratch for a manager that speaks to nothing over public TLS.
ARG BUILDPLATFORM
ARG BUILDER=golang:1.26
ARG BASE=gcr.io/distroless/static:nonroot

# Go builds for other architectures by itself, so that nothing has to be emulated.
FROM --platform=${BUILDPLATFORM} ${BUILDER} AS builder
ENV CGO_ENABLED=0
WORKDIR /workspace/hack/sbom
COPY hack/sbom/go.mod hack/sbom/go.sum ./
RUN go build -trimpath -o /tools/ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
WORKDIR /workspace
COPY go.mod go.sum ./
RUN go mod download
COPY api/ api/
COPY cmd/ cmd/
COPY internal/ internal/
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION
# podrunner is brought to nodes, which may be of another architecture than the manager's.
RUN export GOOS=${TARGETOS}; \
    flags="-s -w -X github.com/remotejob-dev/remotejob-operator/internal/version.version=${VERSION}"; \
    GOARCH=${TARGETARCH} go build -trimpath -ldflags "$flags" -o /out/ ./cmd/manager ./cmd/podrunner && \
    for arch in amd64 arm64; do GOARCH=$arch go build -trimpath -ldflags "$flags" -o /out/podrunner-$arch ./cmd/podrunner || exit; done
# What the programs were built of, beside them.
RUN mkdir /out/sbom && for program in manager podrunner; do \
      /tools/cyclonedx-gomod bin -json -version "${VERSION:-devel}" -output /out/sbom/$program.cdx.json /out/$program || exit; done

FROM ${BASE}
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="remotejob-operator" \
      org.opencontainers.image.description="Runs Kubernetes pods on machines that are not Kubernetes nodes" \
      org.opencontainers.image.source="https://github.com/remotejob-dev/remotejob-operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=builder /out/ /
# The number, since Kubernetes can't tell from a name that it is not root.
USER 65532:65532
ENTRYPOINT ["/manager"]
