#!/bin/sh
# Replaces the shell by the server, mysqld or mariadbd.
set -eu
server=$(command -v mysqld || command -v mariadbd)
exec "$server" --defaults-file=/etc/ecommerce/mysql/my.cnf --init-file=/run/mysqld/init.sql
