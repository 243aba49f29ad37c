#!/usr/bin/env bash
# Makes the image lab.platctl.dev/probe:1 of this program, with this machine's iptables and all that it loads:
#
#   tests/lab/real/probe/image.sh FILE.tar    the archive to write; the program itself stays beside it as FILE
#
# Needs Go, iptables and the lab (../../build.sh lab). By Go itself each time, which takes a second.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../../.." && pwd)
target=${PLATCTL_TARGET:-$root/target}
output=$(realpath "$1")
program=${output%.tar}

(cd "$here" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$program" .)
files=("/probe=$program" /usr/sbin/iptables="$(command -v iptables)")
modules=$(dirname "$(find /usr/lib -name libxt_REDIRECT.so -o -name libxt_tcp.so | head -1)")
for file in "$modules"/*.so; do
    files+=("$file=$file")
done
while read -r library; do
    files+=("$library=$library")
done < <(ldd "$(command -v iptables)" "$modules"/*.so | grep -o '/[^ :]*\.so\.[0-9]*' | sort -u)
"$target/lab/bin/lab" image --reference lab.platctl.dev/probe:1 --output "$output" --entrypoint /probe "${files[@]}"
