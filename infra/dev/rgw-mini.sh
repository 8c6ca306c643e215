#!/usr/bin/env bash
# A real S3 server on this machine without Docker: Ceph RGW from the distribution, one daemon of each kind, no manager.
#
#   rgw-mini.sh install        apt-get what is missing (63 packages, 61 MB; with sudo unless root)
#   rgw-mini.sh up             a fresh, empty cluster with one user; refuses a folder that is not its own
#   rgw-mini.sh env            export lines for boto3 and for tests/storage:  eval "$(rgw-mini.sh env)"
#   rgw-mini.sh admin ARG...   radosgw-admin on it:  rgw-mini.sh admin user suspend --uid=shop
#   rgw-mini.sh kill           kill -9 all daemons
#   rgw-mini.sh resume         start them again on the same data
#   rgw-mini.sh down           kill, and remove the folder
#
# Environment: RGW_DIR (short: it holds unix sockets), RGW_PORT, RGW_MON_PORT. Two clusters differ in all three.
# Everything listens on 127.0.0.1 and lies in RGW_DIR. The daemons do not authenticate each other: not for production.
set -euo pipefail

DIR=${RGW_DIR:-/tmp/productshot-rgw} PORT=${RGW_PORT:-17480} MON_PORT=${RGW_MON_PORT:-17479}
CONF=$DIR/ceph.conf OURS=$DIR/.rgw-mini
DAEMONS="client.rgw osd.0 mon.a"

fail() { echo "rgw-mini: $*" >&2; exit 1; }
uuid() { cat /proc/sys/kernel/random/uuid; }
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
installed() { command -v ceph-mon && command -v ceph-osd && command -v radosgw && command -v ceph; } >/dev/null

install() {
  if installed; then return; fi
  local as_root=; [ "$(id -u)" = 0 ] || as_root=sudo
  $as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -qq -y --no-install-recommends ceph-mon ceph-osd radosgw >/dev/null
}

configure() {
  cat <<C
[global]
fsid = $1
mon host = [v2:127.0.0.1:$MON_PORT]
public network = 127.0.0.0/8
auth cluster required = none
auth service required = none
auth client required = none
# radosgw asks for encrypted traffic to the monitor; with auth "none" that would hang at start
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
run dir = $DIR/run
admin socket = $DIR/run/\$name.asok
pid file = $DIR/run/\$name.pid
log file = $DIR/log/\$name.log
crash dir = $DIR/run
mon cluster log file = $DIR/log/cluster.log
mon data avail crit = 1
mon allow pool size one = true
# start in seconds
paxos propose interval = 0.05
paxos min wait = 0.01
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block size = 21474836480
[mon]
mon data = $DIR/mon
[osd]
osd data = $DIR/osd
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$PORT
rgw thread pool size = 64
rgw rados pool pg num min = 4
rgw dynamic resharding = false
rgw override bucket index max shards = 1
C
}

start() {
  ceph-mon -c "$CONF" -i a
  if [ ! -e "$DIR/osd/ready" ]; then
    ceph -c "$CONF" osd new "$(cat "$DIR/osd.uuid")" >/dev/null
    ceph-osd -c "$CONF" -i 0 --mkfs --osd-uuid "$(cat "$DIR/osd.uuid")" >"$DIR/log/mkfs" 2>&1
  fi
  ceph-osd -c "$CONF" -i 0 2>/dev/null
  radosgw -c "$CONF" -n client.rgw
  for _ in $(seq 1200); do
    if listens "$PORT"; then return; fi
    sleep 0.05
  done
  tail -n 5 "$DIR"/log/*.log >&2
  fail "radosgw did not answer on port $PORT within 60 s; logs are in $DIR/log"
}

# Only a process that runs on our configuration is ours to kill: a pid file may outlive its process.
kill_daemons() {
  local name pid
  for name in $DAEMONS; do
    pid=$(cat "$DIR/run/$name.pid" 2>/dev/null) || continue
    grep -qsF -- "$CONF" "/proc/$pid/cmdline" || continue
    kill -9 "$pid" 2>/dev/null || true
    while grep -qsF -- "$CONF" "/proc/$pid/cmdline"; do sleep 0.02; done
  done
}

up() {
  installed || fail "ceph is not installed; run: $0 install"
  [ ${#DIR} -le 80 ] || fail "RGW_DIR has ${#DIR} characters; a socket path allows 80; choose a shorter one"
  for port in "$PORT" "$MON_PORT"; do
    if listens "$port"; then fail "port $port is taken; set RGW_PORT and RGW_MON_PORT"; fi
  done
  if [ -e "$OURS" ]; then down; fi
  mkdir -p "$DIR"
  [ -z "$(ls -A "$DIR")" ] || fail "$DIR is not empty and not ours; choose another RGW_DIR"
  chmod 700 "$DIR"; touch "$OURS"
  mkdir "$DIR"/mon "$DIR"/osd "$DIR"/run "$DIR"/log
  local fsid; fsid=$(uuid)
  uuid >"$DIR/osd.uuid"
  configure "$fsid" >"$CONF"
  monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$MON_PORT]" "$DIR/monmap" >/dev/null
  ceph-mon -c "$CONF" --mkfs -i a --monmap "$DIR/monmap"
  start
  (umask 077; printf 'ACCESS=%s\nSECRET=%s\n' "shop$(uuid | tr -d - | head -c 12)" "$(uuid)" >"$DIR/keys")
  . "$DIR/keys"
  admin user create --uid=shop --display-name=shop --access-key="$ACCESS" --secret-key="$SECRET" >/dev/null
}

env_lines() {
  [ -e "$DIR/keys" ] || fail "nothing is up in $DIR; run: $0 up"
  . "$DIR/keys"
  cat <<E
export AWS_ENDPOINT_URL=http://127.0.0.1:$PORT
export AWS_ACCESS_KEY_ID=$ACCESS
export AWS_SECRET_ACCESS_KEY=$SECRET
export AWS_DEFAULT_REGION=us-east-1
export PRODUCTSHOT_S3_ENDPOINT=http://127.0.0.1:$PORT
export RGW_DIR=$DIR RGW_PORT=$PORT RGW_MON_PORT=$MON_PORT
E
}

admin() { radosgw-admin -c "$CONF" "$@" 2>>"$DIR/log/admin.log"; }

down() {
  if [ ! -e "$DIR" ]; then return; fi
  [ -e "$OURS" ] || fail "$DIR is not ours; nothing was removed"
  kill_daemons
  rm -rf "$DIR"
}

case ${1:-} in
  install | up | down) "$1" ;;
  env) env_lines ;;
  admin) shift; admin "$@" ;;
  kill) kill_daemons ;;
  resume) start ;;
  *) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
