#!/usr/bin/env bash
# Makes a machine ready for the packaging suite: test/packaging-setup.sh
#
# Installs Debian packages (root), builds helm and judges of manifests, boards and workflows with Go, fetches Kubernetes' schemas, and
# makes a base image that stands in for node:26-slim, and a clean Debian with systemd and containerd. All of it lies in ${CROSSDOCK_TEST_CACHE:-~/.cache/crossdock-tests}/servers;
# what is there already is left alone, so a second run takes seconds.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
shared=${CROSSDOCK_TEST_SHARED:-$root/../shared}
[ -d "$shared/servers" ] || { echo "packaging-setup: $shared/servers is not there, so tests with programs will be skipped"; exit 0; }
scripts=$(cd "$shared/servers" && pwd)
export SERVERS_DIR=${CROSSDOCK_TEST_CACHE:-$HOME/.cache/crossdock-tests}/servers CROSSDOCK=$root DEBIAN_FRONTEND=noninteractive
export GOFLAGS=${GOFLAGS:-} GOTOOLCHAIN=${GOTOOLCHAIN:-local}
mkdir -p "$SERVERS_DIR"/{base,bin,log,run}

step() { # NAME COMMAND...: its output goes to a log that is shown when it fails
  local name=$1 began=$SECONDS; shift
  if "$@" > "$SERVERS_DIR/log/$name.log" 2>&1; then echo "packaging-setup: $name, $((SECONDS - began)) s"
  else echo "packaging-setup: $name FAILED after $((SECONDS - began)) s"; tail -20 "$SERVERS_DIR/log/$name.log"; return 1; fi
}
packages() {
  local program
  for program in buildah runc mmdebstrap containerd promtool prometheus docker-registry jq curl python3; do
    command -v "$program" > /dev/null && continue
    local lists=(-q -o DPkg::Lock::Timeout=300)
    apt-get "${lists[@]}" update
    apt-get "${lists[@]}" install -y --no-install-recommends buildah runc mmdebstrap containerd prometheus docker-registry jq curl python3-venv
    return
  done
}
built() { # NAME PACKAGE@VERSION
  [ -x "$SERVERS_DIR/bin/$1" ] || "$scripts/go-install.sh" "$2"
  "$SERVERS_DIR/bin/$1" "${3:-version}" > /dev/null
}
helm() { built helm helm.sh/helm/v3/cmd/helm@v3.22.0; }
kubeconform() { built kubeconform github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0 -v; }
workflows() { built actionlint github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 -version; }
boards() { [ -x "$SERVERS_DIR/bin/dash" ] || "$scripts/go-mod-build.sh" dash; [ -x "$SERVERS_DIR/bin/dash" ]; }
schemas() { printf 'apiVersion: v1\nkind: Namespace\nmetadata: { name: x }\n' | "$scripts/kube.sh" -; }
debian() { # what a new user's machine is, for diary.test.ts
  local root=$SERVERS_DIR/debian/root tar=$SERVERS_DIR/debian/rootfs.tar
  [ -e "$root/lib/systemd/systemd" ] && return
  mkdir -p "$root"
  mmdebstrap --variant=minbase --include=ca-certificates,curl,libatomic1,containerd,systemd,systemd-sysv,man-db \
    bookworm "$tar" /etc/apt/sources.list.d/debian.sources
  tar -C "$root" -xf "$tar" --exclude='./dev/*'
  rm "$tar"
}
base() {
  local store=(--root "$SERVERS_DIR/run/ctr" --runroot "$SERVERS_DIR/run/ctrrun" --storage-driver overlay)
  if ! buildah "${store[@]}" images -q localhost/base-node:26-slim > /dev/null 2>&1; then
    "$scripts/registry2.sh" start
    "$scripts/base-image.sh" || { "$scripts/registry2.sh" stop; return 1; }
    "$scripts/registry2.sh" stop
  fi
  buildah "${store[@]}" tag localhost/base-node:26-slim docker.io/library/node:26-slim
}

step packages packages
step debian debian
step kubeconform kubeconform
step helm helm
step workflows workflows
step boards boards
step schemas schemas
step base base
