# syntax=docker/dockerfile:1
# For both processors: docker buildx build --platform linux/amd64,linux/arm64 -t mcp-sigv4-proxy .
# The bundle is JavaScript, so one build on this machine's processor serves all platforms.
FROM --platform=$BUILDPLATFORM node:22-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build

# The root file system may be read-only, and the user id may be any: the proxy writes nothing, and needs no HOME.
# No shell and no package manager: what the proxy does not need cannot be misused.
FROM gcr.io/distroless/nodejs22-debian12:nonroot
LABEL org.opencontainers.image.title="mcp-sigv4-proxy" \
      org.opencontainers.image.description="MCP proxy that signs every request with AWS SigV4" \
      org.opencontainers.image.documentation="https://github.com/mcp-sigv4-proxy/mcp-sigv4-proxy/blob/main/docs/deploy.md" \
      org.opencontainers.image.source="https://github.com/mcp-sigv4-proxy/mcp-sigv4-proxy" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /src/package.json ./
COPY --from=build /src/bin ./bin
COPY --from=build /src/dist ./dist
# No code cache: a container has no folder that outlives it.
ENV NODE_ENV=production NODE_DISABLE_COMPILE_CACHE=1
USER 65532:65532
EXPOSE 8080 9464
STOPSIGNAL SIGTERM
# Checks the listener, where there is one: as a stdio server the proxy has no port.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/nodejs/bin/node", "-e", "const port = (process.env.MCP_PROXY_LISTEN || '').split(':').pop(); if (port) fetch(`http://127.0.0.1:${port}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/nodejs/bin/node", "/app/bin/mcp-sigv4-proxy.js"]
