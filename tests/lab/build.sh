#!/usr/bin/env bash
# Builds the lab and the real programs it runs into ${PLATCTL_TARGET:-target}/lab/bin/:
#   build.sh [NAME...]     NAME: lab, kubectl, pause or a component (see components/build.sh); default all but what
#                          only a real node needs (pause, coredns)
# What has been built from the same sources before is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${PLATCTL_TARGET:-$root/target}
mkdir -p "$target/lab/bin"
bin=$(cd "$target/lab/bin" && pwd)
kubernetes=v1.37.2

# One build at a time: each takes all cores and gigabytes of memory.
exec 9>"$bin/.lock"
flock 9

# sources_hash NAME: over everything that goes into the binary.
sources_hash() {
    local files
    case $1 in
    lab)
        cd "$here"
        files=$(find . \( -path ./components -o -path ./images -o -path ./real \) -prune -o -name '*.go' -print)
        files+=" go.mod go.sum build.sh"
        ;;
    kubectl)
        cd "$here"
        files="go.mod go.sum build.sh"
        ;;
    pause)
        cd "$here"
        files="$(find real/pause -type f) build.sh"
        ;;
    *)
        cd "$here/components"
        files="$(find "$1" -type f) build.sh"
        ;;
    esac
    # shellcheck disable=SC2086  # the names have no spaces
    printf '%s\n' $files | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1
}

build_go() {
    local package=$1 output=$2 version=k8s.io/component-base/version
    (cd "$here" && go build -trimpath -buildvcs=false \
        -ldflags "-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${kubernetes:3:2}" \
        -o "$output" "$package")
}

build() {
    local name=$1 stamp=$bin/.$1.stamp hash
    hash=$(sources_hash "$name")
    if [ "$(cat "$stamp" 2>/dev/null)" = "$hash" ]; then
        return
    fi
    echo "building $name" >&2
    rm -f "$stamp"
    case $name in
    lab) build_go . "$bin/lab" ;;
    kubectl) build_go k8s.io/kubernetes/cmd/kubectl "$bin/kubectl" ;;
    pause) (cd "$here" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$bin/pause" ./real/pause) ;;
    *) "$here/components/build.sh" "$name" "$bin" ;;
    esac
    echo "$hash" >"$stamp"
}

if [ $# -eq 0 ]; then
    set -- lab kubectl helm redis git cnpg argocd istiod
fi
for name in "$@"; do
    build "$name"
done
