# syntax=docker/dockerfile:1
# The server's image. hack/image/manifest.json lists every path that goes into the last stage;
# hack/image makes the same image on a machine without a container engine, and a test compares the two.
#
# Node.js is at least 26.12.1: the security release of 2026-10-21 came after 26.10, the last version that
# the npm package `node` brings, and a server that holds signing keys does not ship without it.
#
# Both architectures, with an SBOM and provenance attached (what the release workflow runs):
#
#   docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max \
#     --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" --tag NAME:0.1.0 --push .

# A static Go program: cross-compiled, so it is built on the builder's own architecture.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS launcher
ARG TARGETARCH
WORKDIR /source
COPY hack/image/launcher/ ./
RUN CGO_ENABLED=0 GOOS=linux GOARCH="$TARGETARCH" go build -trimpath -ldflags "-s -w" -o /image/usr/local/bin/launcher . \
 && ln -s /usr/local/bin/launcher /image/usr/local/bin/lanyard-concierge \
 && ln -s /usr/local/bin/launcher /image/usr/local/bin/lanyard-concierge-kube-cert-agent \
 && ln -s /usr/local/bin/launcher /image/usr/local/bin/pinniped-concierge \
 && ln -s /usr/local/bin/launcher /image/usr/local/bin/pinniped-concierge-kube-cert-agent \
 && mkdir -m 1777 /image/tmp

# Node's own binary, its libraries and the compiler are those of the target's architecture.
FROM node:26.12.1-bookworm-slim AS build
ARG REVISION=unknown
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir /libraries \
 && ldd /usr/local/bin/node | grep -o '/[^ ]*' | xargs cp --dereference --parents --target-directory=/libraries
WORKDIR /source
COPY package.json package-lock.json tsconfig.json tsconfig.build.json ./
RUN npm ci --ignore-scripts
COPY hack/build.ts hack/
COPY src/ src/
# dist/ is what tsconfig.build.json emits: the server without its tests, and nothing of the command line program.
RUN npm run build \
 && echo "$REVISION" > dist/git-commit \
 && npm ci --ignore-scripts --omit=dev --omit=optional

# No distribution below: no shell, no package manager, nothing but what is copied.
FROM scratch
ARG VERSION=0.0.0-development
ARG REVISION=unknown
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /libraries/ /
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=launcher /image/ /
COPY hack/image/etc/ /etc/
COPY --from=build /source/package.json /app/package.json
COPY --from=build /source/node_modules/ /app/node_modules/
COPY --from=build /source/dist/ /app/dist/
ENV NODE_ENV=production \
    PATH=/usr/local/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UV_THREADPOOL_SIZE=8
LABEL org.opencontainers.image.title="lanyard-concierge" \
      org.opencontainers.image.description="Short-lived Kubernetes credentials from tokens that the cluster's owner trusts" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/pinniped-concierge"]
