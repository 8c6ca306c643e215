# The GPU worker. torch's default build for Linux brings its own CUDA libraries: the host needs a driver and the NVIDIA
# container toolkit, the image no CUDA base. Built from the root of the repository:
#     docker build -f infra/docker/worker-gpu.Dockerfile -t productshot-gpu .
FROM python:3.12-slim-bookworm
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE
RUN useradd --create-home --uid 10001 productshot
WORKDIR /opt/productshot
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install torch==2.13.0 -c constraints.txt
COPY catalog_schemas catalog_schemas
COPY productshot productshot
COPY flows flows
RUN pip install -c constraints.txt . \
 && python -m productshot.warm \
 && mkdir -p /catalog && chown productshot /catalog
USER 10001
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENV DO_NOT_TRACK=1 PREFECT_FLOWS_HEARTBEAT_FREQUENCY=60 PREFECT_LOGGING_EXTRA_LOGGERS=productshot
STOPSIGNAL SIGTERM
CMD ["prefect", "worker", "start", "--pool", "productshot-gpu", "--type", "process", "--with-healthcheck"]
