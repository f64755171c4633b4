# crossdock in a container: docker build -t crossdock . && docker run -p 5000:5000 -v crossdock:/data crossdock
FROM node:26-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:26-slim
WORKDIR /app
# Everything but the data folder belongs to root and is only read.
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY src ./src
RUN install -d -o node -g node -m 700 /data
USER node
# A configuration goes to /etc/crossdock/crossdock.yaml. HEALTH_URL must follow when the first listener moves or gets TLS.
ENV NODE_ENV=production CROSSDOCK_DATA=/data HEALTH_URL=http://127.0.0.1:5000/healthz
VOLUME /data
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
  CMD ["node", "-e", "fetch(process.env.HEALTH_URL).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# No npm in between: it does not pass SIGTERM on.
ENTRYPOINT ["node", "/app/src/main.ts"]
CMD ["serve"]
