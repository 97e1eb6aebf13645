# syntax=docker/dockerfile:1
FROM node:22-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build

# No shell and no package manager: what the proxy does not need cannot be misused.
FROM gcr.io/distroless/nodejs22-debian12:nonroot
LABEL org.opencontainers.image.title="mcp-sigv4-proxy" \
      org.opencontainers.image.source="https://github.com/mcp-sigv4-proxy/mcp-sigv4-proxy" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /src/package.json ./
COPY --from=build /src/bin ./bin
COPY --from=build /src/dist ./dist
ENV NODE_ENV=production
# Checks the listener, where there is one: as a stdio server the proxy has no port.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/nodejs/bin/node", "-e", "const port = (process.env.MCP_PROXY_LISTEN || '').split(':').pop(); if (port) fetch(`http://127.0.0.1:${port}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/nodejs/bin/node", "/app/bin/mcp-sigv4-proxy.js"]
