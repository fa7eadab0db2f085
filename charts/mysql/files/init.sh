#!/bin/sh
# Creates the data directory, once, and writes the statements that set the
# administrator's password, at each start. It can be interrupted at any point: the data
# directory gets its final name when it is complete.
set -eu
umask 077

volume=/var/lib/mysql
data=$volume/data
fresh=$volume/.initializing
run=/run/mysqld
config=/etc/ecommerce/mysql/my.cnf

username=$(cat /etc/ecommerce/admin/username)
password=$(cat /etc/ecommerce/admin/password)
exporter_password=$password
if [ -d /etc/ecommerce/exporter ]; then
  exporter_password=$(cat /etc/ecommerce/exporter/password)
fi
for value in "$username" "$password" "$exporter_password"; do
  case $value in
    '' | *[!A-Za-z0-9._~-]*)
      echo "The Secrets must hold usernames and passwords of letters, digits and ._~- only." >&2
      exit 1
      ;;
  esac
done

if [ ! -d "$data" ]; then
  echo "Initializing the data directory."
  rm -rf "$fresh"
  if command -v mariadb-install-db >/dev/null; then
    mkdir "$fresh"
    mariadb-install-db --defaults-file="$config" --datadir="$fresh" --skip-test-db \
      --auth-root-authentication-method=normal
  else
    mysqld --defaults-file="$config" --datadir="$fresh" --initialize-insecure
  fi
  sync
  mv "$fresh" "$data"
  sync
fi

# The shell's own printf: nothing secret is on a command line. MariaDB creates accounts
# without a password that come before the administrator's.
printf '%s\n' \
  "DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1', ''@'localhost';" \
  "CREATE USER IF NOT EXISTS '$username'@'%' IDENTIFIED BY '$password';" \
  "ALTER USER '$username'@'%' IDENTIFIED BY '$password';" \
  "GRANT ALL PRIVILEGES ON *.* TO '$username'@'%' WITH GRANT OPTION;" \
  "ALTER USER 'root'@'localhost' IDENTIFIED BY '$password';" >"$run/init.sql"

# The exporter's account is only for connections from its own pod. PROCESS is what the
# metrics of InnoDB need; the status and the variables of the server need no privilege.
if [ -d /etc/ecommerce/exporter ]; then
  printf '%s\n' \
    "CREATE USER IF NOT EXISTS 'exporter'@'127.0.0.1' IDENTIFIED BY '$exporter_password';" \
    "ALTER USER 'exporter'@'127.0.0.1' IDENTIFIED BY '$exporter_password' WITH MAX_USER_CONNECTIONS 3;" \
    "REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'exporter'@'127.0.0.1';" \
    "GRANT PROCESS ON *.* TO 'exporter'@'127.0.0.1';" >>"$run/init.sql"
else
  printf '%s\n' "DROP USER IF EXISTS 'exporter'@'127.0.0.1';" >>"$run/init.sql"
fi
