#!/bin/sh
# Installs what the Docker suite needs from Debian 12's archive; does nothing if all of it is there.
#
# The suite starts engines of its own and leaves the system's alone. On a host with systemd, Debian's packages start
# that one when they are installed, as on any such host.
set -eu

packages="
    docker.io docker-compose runc containerd tini iptables
    busybox-static
    iproute2 util-linux procps curl jq tar
"

missing=
for package in $packages; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo

$as_root apt-get update
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
