# The image of nfsw, for linux/arm64 (Jetson) and linux/amd64. Nothing in it is compiled: every dependency comes as a wheel, and
# tests/deploy proves that there is one for arm64. On the Jetson itself:  docker build -t nfsw:0.1.0 .
# For both:  docker buildx build --platform linux/arm64,linux/amd64 -t nfsw:0.1.0 .

FROM python:3.12-slim-bookworm AS build
WORKDIR /src

# What pip says of root does not concern a stage that is thrown away.
ENV PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1

# The slow part first, and alone: a change of the code leaves these layers as they are.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN pip install --no-compile --require-hashes --only-binary :all: -r requirements/build.txt \
 && python -m venv --without-pip /opt/nfsw \
 && pip --python /opt/nfsw/bin/python install --no-compile --require-hashes --only-binary :all: -r requirements/runtime.txt

COPY pyproject.toml README.md LICENSE ./
COPY nfsw nfsw
# The root file system is read-only in the pod, so no byte code is written there: it is made here, and never compared with its source.
RUN pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /dist . \
 && pip --python /opt/nfsw/bin/python install --no-compile --no-deps --no-index /dist/*.whl \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/nfsw/lib


FROM python:3.12-slim-bookworm
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="nfsw" \
      org.opencontainers.image.description="Moves files from an NFS directory to Azure Blob Storage and loses none of them" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"

# The standard library comes without byte code as well: with it (10 MB) each start takes half the processor time, and each replaced actor.
# Volumes are mounted on the folders; staging belongs to the image's user for a run without a volume there.
RUN python -m compileall -q --invalidation-mode unchecked-hash \
        -x 'site-packages|ensurepip|idlelib|lib2to3|pydoc_data|tkinter|turtledemo' "$(dirname "$(python -c 'import os; print(os.__file__)')")" \
 && install -d /mnt/nfs && install -d -o 10001 -g 10001 /var/lib/nfsw /var/lib/nfsw/staging
COPY --from=build /opt/nfsw /opt/nfsw
ENV PATH="/opt/nfsw/bin:${PATH}"

# Not root by itself. Other writers' files on an export with no_root_squash take root all the same: there the manifest says so
# (k3s/base/deployment.yaml), with every capability dropped but one; with docker run it is --user 0.
USER 10001:10001
EXPOSE 8000

# The figures of the liveness and startup probes, for engines other than Kubernetes, which does not look at this.
# Plain http.client: it starts fast, and it asks no proxy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-I", "-S", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('APP_PORT') or 8000), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["nfsw"]
CMD ["serve"]
