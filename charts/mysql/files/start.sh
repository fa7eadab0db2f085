#!/bin/sh
# Becomes the server, under whichever name the image has it.
set -eu
server=$(command -v mysqld || command -v mariadbd)
exec "$server" --defaults-file=/etc/ecommerce/mysql/my.cnf --init-file=/run/mysqld/init.sql
