#!/bin/bash
# Makes the cluster on the first start, then hands over to the server.
set -Eeuo pipefail

SCRIPTS=/docker-entrypoint-initdb.d
CONFIG=/etc/postgresql/postgresql.conf

fail() {
  echo "postgres image: $*" >&2
  exit 1
}

# POSTGRES_PASSWORD, or the content of the file that POSTGRES_PASSWORD_FILE names.
read_password() {
  if [[ -n ${POSTGRES_PASSWORD_FILE:-} ]]; then
    [[ -r $POSTGRES_PASSWORD_FILE ]] || fail "POSTGRES_PASSWORD_FILE=$POSTGRES_PASSWORD_FILE cannot be read by uid $(id -u)"
    POSTGRES_PASSWORD=$(<"$POSTGRES_PASSWORD_FILE")
  fi
  [[ -n ${POSTGRES_PASSWORD:-} ]] || fail "the first start needs POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE"
  export POSTGRES_PASSWORD
}

run_sql() {
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --host "$SOCKET" --username supabase_admin "$@"
}

# One folder of *.sql and *.sh, in the order of their names. psql reads the password from the environment (\getenv), never from argv.
run_scripts() {
  local script
  for script in "$1"/*; do
    case $script in
      *.sql) echo "postgres image: $script"; run_sql --dbname "$POSTGRES_DB" --file "$script" ;;
      *.sh) echo "postgres image: $script"; PGHOST=$SOCKET PGUSER=supabase_admin PGDATABASE=$POSTGRES_DB bash "$script" ;;
    esac
  done
}

# Everything happens in a folder beside the final place, inside the volume. What a killed start left there is thrown away;
# only a finished cluster is moved to where the server looks.  Statements are not logged meanwhile: passwords are among them.
make_cluster() {
  local part=$PGDATA/.initialising
  local -a options
  read -ra options <<<"${POSTGRES_INITDB_ARGS:-}"
  read_password
  SOCKET=$(mktemp -d)
  rm -rf "$part"
  initdb --pgdata "$part" --username supabase_admin --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") \
    --auth-local trust --auth-host scram-sha-256 --encoding UTF8 --locale C.UTF-8 --no-instructions "${options[@]}"
  pg_ctl --pgdata "$part" --wait --silent \
    --options "-c config_file=$CONFIG -c data_directory=$part -c listen_addresses='' -c unix_socket_directories=$SOCKET -c archive_mode=off -c log_statement=none" start
  trap 'pg_ctl --pgdata "$part" --mode immediate stop >/dev/null 2>&1 || true' EXIT
  if [[ $POSTGRES_DB != postgres ]]; then
    printf 'create database :"name";\n' | run_sql --dbname postgres --set "name=$POSTGRES_DB"
  fi
  run_scripts "$SCRIPTS/init-scripts"
  run_scripts "$SCRIPTS/migrations"
  run_scripts "$SCRIPTS"
  pg_ctl --pgdata "$part" --wait --silent --mode fast stop
  trap - EXIT
  rm -rf "$SOCKET"
  install_cluster "$part"
}

# PG_VERSION goes last: it is what tells a finished cluster from the rest of a move that was cut short.
install_cluster() {
  local part=$1
  sync
  mv "$part/PG_VERSION" "$part/.PG_VERSION"
  touch "$part/.complete"
  move_cluster "$part"
}

move_cluster() {
  local part=$1
  find "$part" -mindepth 1 -maxdepth 1 ! -name .PG_VERSION ! -name .complete -exec mv -t "$PGDATA" {} +
  sync
  mv "$part/.PG_VERSION" "$PGDATA/PG_VERSION"
  rm -rf "$part"
}

prepare() {
  if [[ -s $PGDATA/PG_VERSION ]]; then
    rm -rf "$PGDATA/.initialising"
  elif [[ -e $PGDATA/.initialising/.complete ]]; then
    echo "postgres image: finishing the move of a new cluster"
    move_cluster "$PGDATA/.initialising"
  else
    find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name .initialising ! -name lost+found | grep -q . \
      && fail "$PGDATA holds files but no cluster; empty the volume or restore a backup into it"
    make_cluster
  fi
}

if [[ ${1:-} == -* ]]; then
  set -- postgres "$@"
fi
if [[ ${1:-} == postgres ]]; then
  if [[ $(id -u) == 0 ]]; then
    install -d -o postgres -g postgres -m 0700 "$PGDATA"
    find "$PGDATA" /etc/postgresql-custom \! -user postgres -exec chown postgres:postgres {} +
    install -d -o postgres -g postgres -m 2775 /var/run/postgresql
    exec setpriv --reuid postgres --regid postgres --init-groups -- "$BASH" "$0" "$@"
  fi
  # No script that a person starts inside the container inherits the password from the server.
  prepare
  unset POSTGRES_PASSWORD
fi
exec "$@"
