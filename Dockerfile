FROM node:26-bookworm-slim

WORKDIR /app
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    DATABASE_URL=sqlite:/data/revento.db

# The image brings its own Node, so neither the packaged one (optional) nor the tools (dev) are wanted.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional && npm cache clean --force

COPY LICENSE ./
COPY src ./src

RUN mkdir -m 700 /data && chown node:node /data
VOLUME /data
USER node

EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT ?? 3000}/health`).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

# Exec form: node is the process that gets SIGTERM.
CMD ["node", "--max-semi-space-size=16", "src/main.ts"]
