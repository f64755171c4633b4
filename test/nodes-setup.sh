#!/usr/bin/env bash
# Makes a machine ready for the suite of whole nodes, which runs by name: test/nodes-setup.sh, then npm run test:nodes
#
# Builds nydusd, nydus-snapshotter and soci-snapshotter (root; Go, Rust and Debian packages; about a quarter of an hour on two cores).
# What is there already is left alone. test/setup.sh comes first: the images are those of the other suites.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
shared=${CROSSDOCK_TEST_SHARED:-$root/../shared}
[ -d "$shared" ] || { echo "nodes-setup: $shared is not there, so the suite will be skipped"; exit 0; }
cache=${CROSSDOCK_TEST_CACHE:-$HOME/.cache/crossdock-tests}
export NC_DIR=$cache/nydus/client SC_DIR=$cache/soci/client
if [ ! -x "$NC_DIR/bin/containerd-nydus-grpc" ]; then
  bash "$shared/oracles/nydus/nydus-client.sh" install
  bash "$shared/oracles/nydus/nydus-client.sh" build
fi
if [ ! -x "$SC_DIR/bin/soci-snapshotter-grpc" ]; then
  bash "$shared/oracles/soci-client.sh" install
  bash "$shared/oracles/soci-client.sh" build
fi
echo 'nodes-setup: the nodes are there'
