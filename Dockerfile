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
RUN CGO_ENABLED=0 GOOS=${TARGETOS:-linux} GOARCH=${TARGETARCH} go build -trimpath \
    -ldflags "-s -w -X github.com/remotejob-dev/remotejob-operator/internal/version.version=${VERSION}" -o /out/ ./cmd/manager ./cmd/podrunner

FROM ${BASE}
LABEL org.opencontainers.image.source="https://github.com/remotejob-dev/remotejob-operator" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=builder /out/manager /out/podrunner /
# The number, since Kubernetes can't tell from a name that it is not root.
USER 65532:65532
ENTRYPOINT ["/manager"]
