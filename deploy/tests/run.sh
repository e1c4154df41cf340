#!/usr/bin/env bash
# Every test of deploy/; arguments go to pytest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=$root/target/tools/deploy-tests

need() { # PROGRAM PACKAGE
  command -v "$1" >/dev/null || missing+=("$2")
}
missing=()
need openssl openssl
need curl curl
need debootstrap debootstrap
need crun crun
need promtool prometheus
need setpriv util-linux
need systemd-analyze systemd
need java default-jre-headless
need go golang-go
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  apt-get install -q -y --no-install-recommends "${missing[@]}" ||
    { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; }
fi

if ! cmp -s "$here/requirements.txt" "$tools/requirements.txt"; then
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$tools/requirements.txt"
fi

export MESOSCOPE_BIN_DIR=${MESOSCOPE_BIN_DIR:-$root/target/release}
export PATH=$tools/bin:$PATH PYTHONDONTWRITEBYTECODE=1
exec python -m pytest -p no:cacheprovider -q "$here" "$@"
