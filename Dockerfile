# The server's image. hack/image/manifest.json lists every path that goes into the last stage;
# hack/image makes the same image on a machine without a container engine, and a test compares the two.
#
# Node.js is at least 26.12.1: the security release of 2026-10-21 came after 26.10, the last version that
# the npm package `node` brings, and a server that holds signing keys does not ship without it.

FROM golang:1.26-bookworm AS launcher
WORKDIR /source
COPY hack/image/launcher/ ./
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /image/usr/local/bin/launcher . \
 && ln -s /usr/local/bin/launcher /image/usr/local/bin/lanyard-concierge \
 && ln -s /usr/local/bin/launcher /image/usr/local/bin/lanyard-concierge-kube-cert-agent \
 && ln -s /usr/local/bin/launcher /image/usr/local/bin/pinniped-concierge \
 && ln -s /usr/local/bin/launcher /image/usr/local/bin/pinniped-concierge-kube-cert-agent \
 && mkdir -m 1777 /image/tmp

FROM node:26.12.1-bookworm-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir /libraries \
 && ldd /usr/local/bin/node | grep -o '/[^ ]*' | xargs cp --dereference --parents --target-directory=/libraries
WORKDIR /source
COPY package.json package-lock.json tsconfig.json tsconfig.build.json ./
RUN npm ci --ignore-scripts
COPY hack/build.ts hack/
COPY src/ src/
RUN npm run build \
 && npm ci --ignore-scripts --omit=dev --omit=optional

# No distribution below: no shell, no package manager, nothing but what is copied.
FROM scratch
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
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/pinniped-concierge"]
