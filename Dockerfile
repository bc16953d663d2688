# The manager's image. Where no registry can be reached, BUILDER and BASE name local images: one with Go, and one with the root
# certificates (or scratch, for a manager that speaks to nothing over public TLS).
ARG BUILDER=golang:1.26
ARG BASE=gcr.io/distroless/static:nonroot

FROM ${BUILDER} AS builder
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
WORKDIR /workspace
COPY go.mod go.sum ./
RUN go mod download
COPY api/ api/
COPY cmd/ cmd/
COPY internal/ internal/
# podrunner is brought to nodes, which may be of another architecture than the manager's.
RUN export CGO_ENABLED=0 GOOS=${TARGETOS:-linux}; \
    flags="-s -w -X github.com/remotejob-dev/remotejob-operator/internal/version.version=${VERSION}"; \
    GOARCH=${TARGETARCH} go build -trimpath -ldflags "$flags" -o /out/ ./cmd/manager ./cmd/podrunner && \
    for arch in amd64 arm64; do GOARCH=$arch go build -trimpath -ldflags "$flags" -o /out/podrunner-$arch ./cmd/podrunner || exit; done

FROM ${BASE}
LABEL org.opencontainers.image.source="https://github.com/remotejob-dev/remotejob-operator" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=builder /out/ /
# The number, since Kubernetes can't tell from a name that it is not root.
USER 65532:65532
ENTRYPOINT ["/manager"]
