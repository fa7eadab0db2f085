#!/bin/sh
# Becomes the broker. Debian puts a wrapper on PATH that insists on a user name, so the
# program behind it goes first. More files than this only make the broker's tables large.
set -eu
ulimit -n 65536 2>/dev/null || true
server=/usr/lib/rabbitmq/bin/rabbitmq-server
[ -x "$server" ] || server=rabbitmq-server
exec "$server"
