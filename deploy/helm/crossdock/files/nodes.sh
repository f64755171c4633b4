#!/bin/sh
# Points a node's containerd at crossdock, registry by registry, and takes that back when it is ended (SIGTERM). containerd reads
# these files at each pull, and goes to the registry itself when crossdock does not answer.
#
# CERTS_DIR REGISTRIES PROFILE SCHEME OWNER, and ADDRESS or NODE_IP with NODE_PORT; CA: a PEM file to trust.
set -eu
mark="# Written by $OWNER, and removed with it."
if [ -z "${ADDRESS:-}" ]; then
  case $NODE_IP in *:*) ADDRESS="[$NODE_IP]:$NODE_PORT" ;; *) ADDRESS=$NODE_IP:$NODE_PORT ;; esac
fi
url=$SCHEME://$ADDRESS/as/$PROFILE

content() { # REGISTRY
  case $1 in
    docker.io) server=https://registry-1.docker.io ;;
    *) server=https://$1 ;;
  esac
  printf '%s\nserver = "%s"\n\n[host."%s"]\n  capabilities = ["pull", "resolve"]\n' "$mark" "$server" "$url"
  [ -z "${CA:-}" ] || printf '  ca = "%s"\n' "$CERTS_DIR/$1/crossdock-ca.crt"
}
is_ours() { [ -f "$1/hosts.toml" ] && [ "$(head -n 1 "$1/hosts.toml")" = "$mark" ]; }

put() { # REGISTRY: what somebody else wrote there is kept beside it
  folder=$CERTS_DIR/$1
  mkdir -p "$folder"
  [ ! -f "$folder/hosts.toml" ] || is_ours "$folder" || mv "$folder/hosts.toml" "$folder/hosts.toml.before-crossdock"
  [ -z "${CA:-}" ] || cp "$CA" "$folder/crossdock-ca.crt"
  wanted=$(content "$1")
  [ "$(cat "$folder/hosts.toml" 2> /dev/null)" != "$wanted" ] || return 0
  printf '%s\n' "$wanted" > "$folder/.hosts.toml.new"
  mv "$folder/.hosts.toml.new" "$folder/hosts.toml"
  echo "$folder/hosts.toml: $url"
}

take_back() { # FOLDER
  is_ours "$1" || return 0
  if [ -f "$1/hosts.toml.before-crossdock" ]; then mv "$1/hosts.toml.before-crossdock" "$1/hosts.toml"
  else rm "$1/hosts.toml"; fi
  rm -f "$1/crossdock-ca.crt"
  rmdir "$1" 2> /dev/null || true
  echo "$1: taken back"
}
end() {
  [ -z "$sleeper" ] || kill "$sleeper" 2> /dev/null || true
  for folder in "$CERTS_DIR"/*; do take_back "$folder"; done
  exit 0
}
sleeper=
trap end TERM INT

# Registries of an earlier configuration.
for folder in "$CERTS_DIR"/*; do
  case " $REGISTRIES " in *" ${folder##*/} "*) ;; *) take_back "$folder" ;; esac
done
# What sets nodes up may write there as well, so it is looked after.
while :; do
  for registry in $REGISTRIES; do put "$registry"; done
  sleep 60 &
  sleeper=$!
  wait "$sleeper" || true
done
