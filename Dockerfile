FROM node:26-bookworm-slim

LABEL org.opencontainers.image.title="revento-starter" \
      org.opencontainers.image.description="An integration with the Revento event platform" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/node:26-bookworm-slim"

WORKDIR /app
# SQLite's temporary files need a place that is not on the read-only root.
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    DATABASE_URL=sqlite:/data/revento.db \
    SQLITE_TMPDIR=/data

# The image brings its own Node, so neither the packaged one (optional) nor the tools (dev) are wanted.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --cache /tmp/npm && rm -rf /tmp/npm /root/.npm

COPY LICENSE ./
COPY src ./src

# By number: an orchestrator that asks for a user other than root cannot look a name up.
RUN mkdir -m 700 /data && chown 1000:1000 /data
VOLUME /data
USER 1000:1000

EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT ?? 3000}/health`).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

# Exec form: node is the process that gets SIGTERM, and ends within 10 s.
STOPSIGNAL SIGTERM
CMD ["node", "--max-semi-space-size=16", "src/main.ts"]
