# The image says which Rust; rust-toolchain.toml, which would fetch one, is left out (.dockerignore).
FROM rust:1.95-bookworm AS build
# For aws-lc, where it has no ready-made build description for the machine.
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN cargo build --release --locked

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/tidegate /usr/local/bin/tidegate
USER 65532:65532
# /metrics, /livez, /readyz and /status
EXPOSE 9440
ENTRYPOINT ["tidegate"]
CMD ["serve", "--admin", "0.0.0.0:9440", "/etc/tidegate"]
