# The program and the project in one image: docker build --tag gatefold:0.1.0 .
# With the cluster in it: docker build --build-arg FEATURES=cluster --tag gatefold:0.1.0-cluster .
#
# It runs as nobody, writes nothing but into /tmp, and says `gatefold check` when it is asked nothing else. Put in your own jobs
# by building it from your own repository.

ARG RUST=1.95.0
ARG DEBIAN=bookworm

FROM rust:${RUST}-${DEBIAN} AS builder
ARG FEATURES=""
WORKDIR /source
COPY . .
# Dependencies are built once and kept between builds.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --features "${FEATURES}" --bin gatefold \
    && install -D target/release/gatefold /out/gatefold

FROM debian:${DEBIAN}-slim AS runtime
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates tzdata \
    && rm -rf /var/lib/apt/lists/*
COPY --from=builder /out/gatefold /usr/local/bin/gatefold
WORKDIR /gatefold
COPY gatefold.toml ./
COPY jobs jobs/
COPY sql sql/
COPY schedules schedules/
USER 65532:65532
# What does not hold together is not shipped.
RUN ["/usr/local/bin/gatefold", "check"]
ENTRYPOINT ["/usr/local/bin/gatefold"]
CMD ["check"]
