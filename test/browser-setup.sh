#!/usr/bin/env bash
# Makes a machine ready for the browser suite: test/browser-setup.sh
#
# Installs Debian's Chromium and a font (root); what is there already is left alone.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
[ -x /usr/bin/chromium ] && { echo 'browser-setup: chromium is there'; exit 0; }
lists=(-q -o DPkg::Lock::Timeout=300)
apt-get "${lists[@]}" update
apt-get "${lists[@]}" install -y --no-install-recommends chromium fonts-dejavu-core
