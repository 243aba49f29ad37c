#!/usr/bin/env bash
# Makes a root directory of Debian packages, as a tar:
#   debian.sh SET OUTPUT.tar.zst      SET: base, or the name of an image
# Runs as root, with the maintainer scripts of the packages, but without the machine's own apt settings.
set -euo pipefail

[ $# -eq 2 ] || {
    echo "usage: ${0##*/} SET OUTPUT.tar.zst" >&2
    exit 2
}
name=$1 output=$2

# trixie, as the chart's PostgreSQL image; that version itself is only in the next release.
suite=trixie
packages=ca-certificates,tzdata
case $name in
base) ;;
argocd) packages+=,git,git-lfs,tini,gpg,gpg-agent,openssh-client,connect-proxy ;;
gitea) packages+=,git,dumb-init,gettext-base,curl,gnupg,openssh-client ;;
keycloak) packages+=,openjdk-21-jre-headless ;;
postgresql)
    suite=forky
    packages+=,postgresql-18,postgresql-18-pgaudit
    ;;
proxyv2) packages+=,iptables,iproute2 ;;
redis) packages+=,redis-server ;;
*)
    echo "error: no set of packages is called \`$name\`" >&2
    exit 2
    ;;
esac

work=$(mktemp -d "$(dirname "$output")/debian-XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root log=$work/log

# All that is made here instead of unpacked from a package gets one time, so that the same packages make the same tree.
# Unpacked files keep theirs: Java checks its class archive against the time of the file it was made from.
started=$(date +%s)
export SOURCE_DATE_EPOCH=1767225600

# Releases that are not stable expire: a mirror that stands still is as good as any here. Some packages of Java fail
# without the directory of manual pages, which is left out with all other documentation.
# shellcheck disable=SC2016  # $1 is mmdebstrap's, the root directory
mmdebstrap --mode=root --format=directory --variant=essential --components=main --include="$packages" \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook='mkdir -p "$1/usr/share/man/man1"' \
    "$suite" "$root" http://deb.debian.org/debian >"$log" 2>&1 || {
    cat "$log" >&2
    echo "error: cannot install $packages of Debian $suite: the last lines above say why" >&2
    exit 1
}

# What differs between two runs, or is no part of an image.
rm -rf "${root:?}"/{dev,proc,run,sys,tmp}/* "$root"/var/{cache,log,tmp}/* "$root"/var/lib/apt/* "$root"/var/lib/dpkg/*-old \
    "$root"/etc/{machine-id,hostname,resolv.conf,ssl/private/ssl-cert-snakeoil.key,ssl/certs/ssl-cert-snakeoil.pem}
# The database that the package makes at once.
rm -rf "$root"/var/lib/postgresql/* "$root"/etc/postgresql
find "$root" -newermt "@$started" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +

tar --sort=name --numeric-owner -C "$root" -cf - . | zstd -q -3 -o "$output.new" -f
mv "$output.new" "$output"
