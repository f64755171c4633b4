#!/usr/bin/env bash
# Makes a machine ready for the suites with real programs: test/setup.sh [--peers | --postgres | --s3 | --seaweed]
#
# Installs Debian packages (root), a root file system with current clients, builds the oracles, containerd and the stargz
# snapshotter, makes the fixture images and pushes them to a docker-registry on loopback. Everything that can be kept is in one
# folder, ${CROSSDOCK_TEST_CACHE:-~/.cache/crossdock-tests}; what is there already is left alone, so a second run takes seconds.
# --peers also builds the programs that the benchmarks compare with; --postgres installs PostgreSQL, --s3 builds versitygw
# and --seaweed SeaweedFS, and nothing else.
set -euo pipefail
postgres() { # the program alone: tests make clusters of their own, and Debian's would hold a port
  compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null && return
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
  apt-get -q -o DPkg::Lock::Timeout=300 update
  apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends postgresql-15
}
s3() { # five minutes of processor time, once
  local servers=$cache/servers
  [ -x "$servers/bin/versitygw" ] && return
  mkdir -p "$servers"/{bin,log}
  SERVERS_DIR=$servers "$shared/servers/go-install.sh" github.com/versity/versitygw/cmd/versitygw@v1.8.0
  [ -x "$servers/bin/versitygw" ]
}
seaweed() { # ten minutes of processor time, once, for test/slow/seaweedfs alone
  local servers=$cache/servers
  [ -x "$servers/bin/weed" ] && return
  mkdir -p "$servers"/{bin,log}
  SERVERS_DIR=$servers "$shared/servers/go-mod-build.sh" weed
  [ -x "$servers/bin/weed" ]
}
if [ "${1:-}" = --postgres ]; then DEBIAN_FRONTEND=noninteractive postgres; exit; fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
shared=${CROSSDOCK_TEST_SHARED:-$root/../shared}
[ -d "$shared" ] || { echo "setup: $shared is not there, so the suites with real programs will be skipped"; exit 0; }
shared=$(cd "$shared" && pwd)
cache=${CROSSDOCK_TEST_CACHE:-$HOME/.cache/crossdock-tests}
if [ "${1:-}" = --s3 ]; then s3; exit; fi
if [ "${1:-}" = --seaweed ]; then seaweed; exit; fi
peers=${1:-}
mkdir -p "$cache"/{clients,fixtures,tools,log}
export RC_DIR=$cache/clients CROSSDOCK_TOOLS=$cache/tools DEBIAN_FRONTEND=noninteractive
# Go's caches follow the cache folder only where nobody chose a place for them.
export GOFLAGS=${GOFLAGS:-} GOTOOLCHAIN=${GOTOOLCHAIN:-local}

step() { # NAME COMMAND...: its output goes to a log that is shown when it fails
  local name=$1 began=$SECONDS; shift
  if "$@" > "$cache/log/$name.log" 2>&1; then echo "setup: $name, $((SECONDS - began)) s"
  else echo "setup: $name FAILED after $((SECONDS - began)) s"; tail -20 "$cache/log/$name.log"; return 1; fi
}
packages() {
  local program
  for program in skopeo podman containerd dockerd docker-registry umoci debootstrap jq zstd busybox gcc pigz libdeflate-gzip igzip; do
    PATH=$PATH:/usr/sbin command -v "$program" > /dev/null || { debian; return; }
  done
}
debian() {
  "$shared/clients/real-clients.sh" install
  apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends gcc libc6-dev zlib1g-dev pigz libdeflate-tools isal
}
oracles() { "$shared/oracles/install.sh" ${peers:+"$peers"}; }
nydus() { # ten minutes of processor time, once: Nydus's own crates
  local from=$shared/oracles/nydus to=$cache/nydus/oracle key
  key=$(cat "$from"/Cargo.toml "$from"/src/*.rs "$from"/src/bin/*.rs | sha256sum)
  [ "$(cat "$to/.built" 2> /dev/null)" != "$key" ] || [ ! -x "$cache/tools/bin/oracle-nydus" ] || { echo 'up to date'; return; }
  mkdir -p "$to" "$cache/tools/bin"
  cp -r "$from"/Cargo.toml "$from"/src "$to"
  chmod -R u+w "$to"
  (cd "$to" && PATH=$PATH:$HOME/.cargo/bin cargo build --release --bin oracle-nydus)
  cp "$to/target/release/oracle-nydus" "$cache/tools/bin/"
  echo "$key" > "$to/.built"
}
encoder() { # NAME TOOLCHAIN COMPRESS PGZIP: the versions of klauspost/compress and pgzip, the latter of which may ask for a newer former
  local to=$cache/encoders/gzips-$1 work
  go version -m "$to" 2> /dev/null | grep -q "klauspost/compress.$3" && return
  work=$(mktemp -d)
  cp "$shared"/oracles/encoders/{main.go,go.mod} "$work"
  chmod -R u+w "$work"
  (cd "$work" && export GOTOOLCHAIN=$2 GOFLAGS=-mod=mod &&
    go mod edit -require "github.com/klauspost/compress@$3" -require "github.com/klauspost/pgzip@$4" && go mod tidy && go build -trimpath -o "$to" .)
  rm -rf "$work"
  go version -m "$to" | grep -q "klauspost/compress.$3"
}
encoders() { # one program for each output that Go's encoders of gzip have had
  local version
  mkdir -p "$cache/encoders"
  encoder go1.26 local v1.20.4 v1.3.0
  encoder go1.27 go1.27.0 v1.20.4 v1.3.0
  for version in 1.15.15 1.18.0 1.18.7 1.20.0; do encoder "kp$version" local "v$version" v1.2.6; done
}
cosign() { # three to six minutes of processor time, once
  [ -x "$cache/tools/bin/cosign" ] ||
    GOBIN=$cache/tools/bin CGO_ENABLED=0 go install -trimpath -ldflags=-s github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
}
rootfs() { "$shared/clients/real-clients.sh" rootfs; }
stargz() { [ -x "$RC_DIR/rootfs/rc/sgz" ] || "$shared/clients/real-clients.sh" stargz; }
containerd() { [ -x "$RC_DIR/rootfs/rc/ctrd/containerd" ] || "$shared/clients/real-clients.sh" containerd; }
cri() { # what the CRI client needs, so that no test waits for a package registry
  [ -d "$RC_DIR/grpc/node_modules/@grpc/grpc-js" ] ||
    npm install --prefix "$RC_DIR/grpc" --no-audit --no-fund --silent @grpc/grpc-js @grpc/proto-loader
}
fixtures() { # the registry is asked, too: its folder may have been emptied
  local key stamp=$cache/fixtures/.pushed
  key=$(cat "$shared"/fixtures/* | sha256sum)
  if [ "$(cat "$stamp" 2> /dev/null)" = "$key" ] && curl -sf "http://127.0.0.1:${RC_REG:-15000}/v2/node-app/manifests/1" > /dev/null; then
    echo 'up to date'; return
  fi
  "$shared/fixtures/make-images.sh" --cache "$cache/fixtures" --registry "127.0.0.1:${RC_REG:-15000}"
  echo "$key" > "$stamp"
}
forget_dead() { # pid files of an earlier boot may name anybody's process
  local file
  for file in "$RC_DIR"/pid/*; do
    [ -f "$file" ] || continue
    case $(cat "/proc/$(cat "$file")/comm" 2> /dev/null) in
      docker-registry | containerd | dockerd | sgz) ;;
      *) rm -f "$file" ;;
    esac
  done
}
registry() { # started for the time of the push, unless it runs
  mine=''
  "$shared/clients/real-clients.sh" status | grep -q '^registry ' || mine=1
  "$shared/clients/real-clients.sh" up registry
}
end_registry() {
  [ -n "${mine:-}" ] || return 0
  local pid; pid=$(cat "$RC_DIR/pid/registry" 2> /dev/null) && kill "$pid" 2> /dev/null || true
  rm -f "$RC_DIR/pid/registry"
}

step packages packages
# Two lanes for two cores: compilers need nothing of the machine but Go and Rust; the rest installs packages one after the other.
{ step oracles oracles && step encoders encoders && step nydus nydus && step cosign cosign; } & lane=$!
ok=1
mine=''
trap end_registry EXIT
forget_dead
registry > "$cache/log/registry.log" 2>&1 || { cat "$cache/log/registry.log"; ok=''; }
step rootfs rootfs || ok=''
step fixtures fixtures || ok=''
step stargz stargz || ok=''
step containerd containerd || ok=''
step cri cri || ok=''
wait "$lane" || ok=''
[ -n "$ok" ] || { echo 'setup: not complete' >&2; exit 1; }
