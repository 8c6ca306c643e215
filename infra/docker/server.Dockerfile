# The Prefect server with what it needs for Redis. FastAPI is older than in constraints.txt: with 0.154 this server
# refuses the nulls that Prefect's own client sends, and `prefect deploy --all` ends after its first deployment. Built from the root of the repository:
#     docker build -f infra/docker/server.Dockerfile -t productshot-server .
FROM python:3.12-slim-bookworm
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 10001 prefect
COPY constraints.txt /tmp/constraints.txt
RUN sed -i '/^fastapi==/d' /tmp/constraints.txt \
 && pip install -c /tmp/constraints.txt prefect==3.8.8 fastapi==0.141.1 "sqlalchemy>=2.0,<2.1" asyncpg prefect-redis==0.3.0
USER 10001
ENV DO_NOT_TRACK=1
EXPOSE 4200
STOPSIGNAL SIGTERM
CMD ["prefect", "server", "start", "--host", "0.0.0.0", "--port", "4200"]
