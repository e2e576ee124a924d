# One image for every service: what follows `runbus` on the command line says which of them runs.
#
#   docker build -t runbus:local .
#
# Where the build has no network, `make wheels` puts the locked wheels into dist/wheels beforehand, and the build
# installs from there alone. They must fit the Python of PYTHON_IMAGE.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build

# What builds the wheel stays out of the environment that goes into the image.
RUN python3 -m venv /opt/runbus && python3 -m venv /opt/build
# The wheels come along where there are any: a pattern without a match is no error beside a file that exists.
COPY requirements/runtime.lock requirements/build.lock dist* /dist/
RUN if ls /dist/wheels/*.whl > /dev/null 2>&1; then \
        printf '[global]\nno-index = true\nfind-links = /dist/wheels\n' > /etc/pip.conf; \
    fi \
    && /opt/runbus/bin/pip install --no-cache-dir --require-hashes -r /dist/runtime.lock \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r /dist/build.lock

COPY . /src
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist/runbus /src \
    && /opt/runbus/bin/pip install --no-cache-dir --no-deps --no-index /dist/runbus/*.whl


FROM ${PYTHON_IMAGE}

RUN useradd --uid 10001 --user-group --create-home --shell /bin/bash runbus \
    && install --directory --owner=runbus --group=runbus /var/lib/runbus
COPY --from=build /opt/runbus /opt/runbus

# pip stays in the environment, so that an image with more plugins is three lines:
#   FROM runbus:local / USER root, RUN pip install YOUR-PLUGIN / USER 10001:10001
ENV PATH=/opt/runbus/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RUNBUS_DATA_DIR=/var/lib/runbus

# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /home/runbus
ENTRYPOINT ["runbus"]
CMD ["--help"]
