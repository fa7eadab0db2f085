#!/bin/sh
# Replaces the shell by the broker. Debian's wrapper on PATH requires a certain user, so
# the program behind it is preferred. A higher limit of files only enlarges the broker's
# tables.
set -eu
ulimit -n 65536 2>/dev/null || true
server=/usr/lib/rabbitmq/bin/rabbitmq-server
[ -x "$server" ] || server=rabbitmq-server
exec "$server"
