# crossdock in a container: docker build -t crossdock . && docker run -p 5000:5000 -v crossdock:/data crossdock
# For more platforms at once: docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=... --build-arg REVISION=... .
FROM node:26-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Scripts would only bring the Node that is here already; add-ons lie prebuilt in their packages.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:26-slim
ARG VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title="crossdock" \
      org.opencontainers.image.description="An OCI registry proxy that converts container images on the fly" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
WORKDIR /app
# Everything but the data folder belongs to root and is only read. The lock file tells scanners what is inside.
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json package-lock.json LICENSE NOTICE ./
COPY bin ./bin
COPY src ./src
# Any user of group 0 may write there, too: some clusters choose the user. Commands: docker exec CONTAINER crossdock list
RUN ln -s /app/bin/crossdock /usr/local/bin/crossdock && install -d -o 1000 -g 0 -m 770 /data
USER 1000:1000
# A configuration goes to /etc/crossdock/crossdock.yaml. HEALTH_URL must follow when the first listener moves or gets TLS.
ENV NODE_ENV=production HOME=/home/node CROSSDOCK_DATA=/data HEALTH_URL=http://127.0.0.1:5000/healthz
VOLUME /data
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
  CMD ["node", "-e", "fetch(process.env.HEALTH_URL).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# No npm in between: it does not pass SIGTERM on.
ENTRYPOINT ["node", "/app/src/main.ts"]
CMD ["serve"]
