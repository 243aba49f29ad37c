#!/usr/bin/env bash
# Installs what a real node needs of Debian: containerd, runc, the CNI plugins and the packet filter's programs, and curl,
# by which the tests of the platform go through its gateway as a person does. Nothing is started; `lab up --node real`
# runs containerd itself, beside one that may be running.
set -euo pipefail

packages=(containerd runc containernetworking-plugins nftables iptables iproute2 util-linux curl)

missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "error: not installed: ${missing[*]}; installing them needs root" >&2
    echo "hint: run this script as root, or \`apt-get install ${missing[*]}\`" >&2
    exit 1
fi
command -v apt-get >/dev/null || {
    echo "error: not installed: ${missing[*]}; only apt is known here" >&2
    echo "hint: install your distribution's containerd (1.6 or newer), runc, CNI plugins, nftables (1.0.1 or newer), iptables" >&2
    exit 1
}
# The packages must not start a containerd of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
