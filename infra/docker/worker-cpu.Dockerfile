# The CPU worker, the receiver of notifications, and every productshot command. Built from the root of the repository:
#     docker build -f infra/docker/worker-cpu.Dockerfile -t productshot-cpu .
# TORCH_INDEX: a package index with CPU builds of torch; without it pip takes the default build, several GB larger.
FROM python:3.12-slim-bookworm
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE
RUN useradd --create-home --uid 10001 productshot
WORKDIR /opt/productshot
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN if [ -n "$TORCH_INDEX" ]; then pip install --index-url "$TORCH_INDEX" torch==2.13.0; else pip install torch==2.13.0 -c constraints.txt; fi
COPY catalog_schemas catalog_schemas
COPY productshot productshot
COPY flows flows
RUN pip install -c constraints.txt . \
 && python -m productshot.warm \
 && mkdir -p /catalog && chown productshot /catalog
COPY infra/pools.sh infra/
USER 10001
ENV DO_NOT_TRACK=1 PREFECT_FLOWS_HEARTBEAT_FREQUENCY=60 PREFECT_LOGGING_EXTRA_LOGGERS=productshot
STOPSIGNAL SIGTERM
CMD ["prefect", "worker", "start", "--pool", "productshot-cpu", "--type", "process", "--with-healthcheck"]
