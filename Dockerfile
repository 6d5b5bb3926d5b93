# syntax=docker/dockerfile:1
#
#   docker build --tag REGISTRY/tidegate:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/tidegate:0.1.0 --push .
#
# Every platform is built by its own compiler, on a builder of that platform or in emulation: the
# cryptography is C and assembler, which a cross compiler would have to be taught.

# The image says which Rust; rust-toolchain.toml, which would fetch one, is left out (.dockerignore).
FROM rust:1.95-bookworm AS build
# cmake for aws-lc, where it has no ready-made build description for the machine.
RUN apt-get update && apt-get install -y --no-install-recommends cmake libcap2-bin && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
# Platforms that are built at once share no objects.
ARG TARGETARCH
RUN --mount=type=cache,target=/usr/local/cargo/registry,id=registry-${TARGETARCH} \
    --mount=type=cache,target=/build/target,id=target-${TARGETARCH} \
    cargo build --release --locked && cp target/release/tidegate /tidegate
# On a node's network the program binds ports below 1024, and is not root. Permitted (p) and not
# effective: with "ep" it could not start at all where a pod drops the capability.
RUN setcap cap_net_bind_service=p /tidegate

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title=tidegate org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /tidegate /usr/local/bin/tidegate
USER 65532:65532
# /metrics, /livez, /readyz and /status; frontends take theirs from --port-range.
EXPOSE 9440
ENTRYPOINT ["/usr/local/bin/tidegate"]
CMD ["run"]
