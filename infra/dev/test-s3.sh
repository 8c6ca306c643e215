#!/usr/bin/env bash
# The storage tests against a real S3 server: install, start, test, stop. Arguments go to pytest.
#
# Environment: PYTEST (default: .venv/bin/pytest at the root).
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTEST=${PYTEST:-.venv/bin/pytest}
RGW=infra/dev/rgw-mini.sh
free_port() {
  local port
  while port=$((20000 + RANDOM % 10000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  echo "$port"
}

SCRATCH=$(mktemp -d /tmp/rgw-XXXXXX)
export RGW_DIR=$SCRATCH/c RGW_PORT RGW_MON_PORT
RGW_PORT=$(free_port) RGW_MON_PORT=$(free_port)
trap '$RGW down; rmdir "$SCRATCH"' EXIT

$RGW install
$RGW up
eval "$($RGW env)"
"$PYTEST" -m s3 tests/storage "$@"
