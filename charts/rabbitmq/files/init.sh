#!/bin/sh
# Puts the configuration, the administrator's account and the Erlang cookie together
# in memory, readable by the broker alone.
set -eu
umask 077

run=/run/rabbitmq
admin=/etc/ecommerce/admin

for key in username password erlang-cookie; do
  case $(cat "$admin/$key") in
    '' | *[!A-Za-z0-9._~-]*)
      echo "The administrator's Secret must hold $key, of letters, digits and ._~- only." >&2
      exit 1
      ;;
  esac
done

rm -f "$run/rabbitmq.conf" "$run/definitions.json" "$run/enabled_plugins" "$run/.erlang.cookie"
# Definitions are loaded at each start, so that the password is that of the Secret also
# when the broker has data already.
printf '{"users":[{"name":"%s","password":"%s","tags":["administrator"]}]}\n' \
  "$(cat "$admin/username")" "$(cat "$admin/password")" >"$run/definitions.json"
{
  cat /etc/ecommerce/rabbitmq/rabbitmq.conf
  printf '\nload_definitions = %s\n' "$run/definitions.json"
} >"$run/rabbitmq.conf"
cat /etc/ecommerce/rabbitmq/enabled_plugins >"$run/enabled_plugins"
cat "$admin/erlang-cookie" >"$run/.erlang.cookie"
chmod 0400 "$run/rabbitmq.conf" "$run/definitions.json" "$run/.erlang.cookie"
