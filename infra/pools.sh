#!/usr/bin/env bash
# Makes or renews the two work pools, their queues, all deployments and the automation. Safe to run again.
#
# Environment: PREFECT_API_URL (and PREFECT_API_AUTH_STRING), POOL_TYPE (process, or kubernetes with
# infra/kubernetes/*.json), and what flows/prefect.yaml reads: PRODUCTSHOT_STORE, PRODUCTSHOT_CATALOG,
# PRODUCTSHOT_GALLERY, PRODUCTSHOT_CRON, PRODUCTSHOT_TIMEZONE.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${PREFECT_API_URL:?}" "${PRODUCTSHOT_STORE:?}" "${PRODUCTSHOT_CATALOG:?}"
export PRODUCTSHOT_GALLERY=${PRODUCTSHOT_GALLERY:-} PRODUCTSHOT_CRON=${PRODUCTSHOT_CRON:-0 2 * * *}
export PRODUCTSHOT_TIMEZONE=${PRODUCTSHOT_TIMEZONE:-UTC}
POOL_TYPE=${POOL_TYPE:-process}

pool() { # name
  local template=()
  [ "$POOL_TYPE" = process ] || template=(--base-job-template "infra/kubernetes/${1#productshot-}-job-template.json")
  prefect --no-prompt work-pool create "$1" --type "$POOL_TYPE" --overwrite "${template[@]}"
}
queue() { # pool name priority; what is there stays as somebody may have set it
  prefect work-queue inspect "$2" --pool "$1" >/dev/null 2>&1 ||
    prefect --no-prompt work-queue create "$2" --pool "$1" --priority "$3"
}

pool productshot-cpu
queue productshot-cpu control 1
queue productshot-cpu cpu 2
pool productshot-gpu
queue productshot-gpu urgent 1
queue productshot-gpu gpu 2
prefect --no-prompt deploy --all --prefect-file flows/prefect.yaml
python -m flows.automation
