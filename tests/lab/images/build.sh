#!/usr/bin/env bash
# Makes the container images that the charts name, from package registries alone, into
# ${PLATCTL_TARGET:-target}/lab/images/NAME.tar, for `ctr -n k8s.io images import`:
#   build.sh [NAME...]     NAME: as in recipes.sh; default all
#   build.sh --list        prints name and reference of each image
# Each is called exactly as its chart calls it. What has been made from the same sources before is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab=$(dirname "$here")
root_of_project=$(cd "$lab/../.." && pwd)
target=${PLATCTL_TARGET:-$root_of_project/target}
mkdir -p "$target/lab/images" "$target/lab/bin"
output=$(cd "$target/lab/images" && pwd)
bin=$(cd "$target/lab/bin" && pwd)
export PLATCTL_TARGET=$target
# shellcheck source-path=SCRIPTDIR source=recipes.sh
. "$here/recipes.sh"

# reference CHART KEY: the image that a chart's values name under a key such as `image` or `proxy.image`.
reference() {
    awk -v want="$2" '
        /^ *[A-Za-z]+:/ {
            depth = (match($0, /[^ ]/) - 1) / 2
            split($0, word, /[: ]+/)
            key[depth] = word[depth ? 2 : 1]
            path = key[0]
            for (i = 1; i <= depth; i++) path = path "." key[i]
            value = $2
            gsub(/"/, "", value)
            if (index(path, want ".") == 1) part[substr(path, length(want) + 2)] = value
        }
        END { print part["registry"] "/" part["repository"] ":" part["tag"] }
    ' "$root_of_project/embedded/charts/$1/values.yaml"
}

# hash_of FILE...: over names and contents.
hash_of() { printf '%s\n' "$@" | LC_ALL=C sort | xargs sha256sum | sha256sum; }

# sources_hash: over everything that goes into the image that is being made.
sources_hash() {
    {
        echo "$reference" "$with_debian"
        declare -f "recipe_$name" account directory program module_file build
        cd "$lab"
        # shellcheck disable=SC2046  # the names have no spaces
        hash_of images/debian.sh $(find images/oci -type f)
        if [ "$components" != - ]; then
            # shellcheck disable=SC2046
            hash_of components/build.sh $(find "${components[@]/#/components/}" -type f)
        fi
        # The image's own program, if it has one.
        if [ -d "images/$name" ]; then
            # shellcheck disable=SC2046
            hash_of $(find "images/$name" -type f)
        fi
    } | sha256sum | cut -d' ' -f1
}

# debian_tree SET: the directory of its packages, made or unpacked at its first use.
debian_tree() {
    local set=$1 packed=$output/.debian/$1.tar.zst stamp=$output/.debian/$1.stamp hash
    tree=$work/debian/$set
    [ ! -d "$tree" ] || return 0
    mkdir -p "$output/.debian" "$tree"
    hash=$(sha256sum <"$here/debian.sh")
    if [ ! -e "$packed" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$hash" ]; then
        rm -f "$stamp"
        "$here/debian.sh" "$set" "$packed"
        echo "$hash" >"$stamp"
    fi
    zstd -dcq "$packed" | tar --numeric-owner -C "$tree" -xf -
}

image() { options+=("$@"); }

# build: the image that `name`, `reference`, `components` and `with_debian` tell of.
build() {
    local root options=() layers=() below started
    if [ "$components" != - ]; then
        "$lab/build.sh" "${components[@]}"
    fi
    debian_tree base
    below=$tree
    layers=("$below")
    if [ "$with_debian" = 1 ]; then
        debian_tree "$name"
        layers+=("$tree:$below")
        below=$tree
    fi
    # That of PostgreSQL is of another release, so there is nothing in common.
    if [ "$name" = postgresql ]; then
        layers=("$below")
    fi
    root=$work/root
    rm -rf "$root"
    mkdir "$root"
    started=$(date +%s)
    "recipe_$name"
    # As in debian.sh: what was unpacked keeps its time, what was made here gets one.
    find "$root" -newermt "@$started" -exec touch -hd @1767225600 {} +
    "$work/oci" -output "$output/$name.tar" -reference "$reference" "${options[@]}" "${layers[@]}" "$root"
    rm -rf "$root"
    if [ "$with_debian" = 1 ]; then
        rm -rf "$tree"
    fi
}

need() {
    local command missing=()
    for command in go mmdebstrap mvn python3 zstd; do
        command -v "$command" >/dev/null || missing+=("$command")
    done
    if [ ${#missing[@]} -gt 0 ] || [ "$(id -u)" != 0 ]; then
        echo "error: images are made by root, with \`go mmdebstrap mvn python3 zstd\`; missing: ${missing[*]:-only root}" >&2
        echo "hint: as root, \`apt-get install mmdebstrap maven python3-pip zstd\`, and Go 1.26" >&2
        exit 1
    fi
}

# build_if_changed ROW: a row of `recipes`.
build_if_changed() {
    local name chart key reference components with_debian stamp hash seconds
    read -r name chart key components with_debian <<<"$1"
    IFS=, read -ra components <<<"$components"
    reference=$(reference "$chart" "$key")
    stamp=$output/.$name.stamp
    hash=$(sources_hash)
    if [ -e "$output/$name.tar" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$hash" ]; then
        return
    fi
    need
    if [ -z "$work" ]; then
        work=$(mktemp -d "$output/work-XXXXXX")
        (cd "$here/oci" && CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false -o "$work/oci" .)
    fi
    echo "making image $name ($reference)" >&2
    seconds=$SECONDS
    rm -f "$stamp"
    build
    echo "$hash" >"$stamp"
    echo "made $name in $((SECONDS - seconds)) s, $(du -m "$output/$name.tar" | cut -f1) MB" >&2
}

main() {
    local row wanted=("$@") known=()
    work=
    for row in "${recipes[@]}"; do
        known+=("${row%% *}")
    done
    for row in "${wanted[@]}"; do
        [[ " ${known[*]} --list " = *" $row "* ]] || {
            echo "error: no image is called \`$row\`; there are ${known[*]}" >&2
            exit 2
        }
    done
    if [ "${wanted[*]}" = --list ]; then
        for row in "${recipes[@]}"; do
            # shellcheck disable=SC2086  # a row's words
            set -- $row
            echo "$1 $(reference "$2" "$3")"
        done
        return
    fi
    # One at a time: two would write the same files.
    exec 8>"$output/.lock"
    flock 8
    trap 'rm -rf "$work"' EXIT
    for row in "${recipes[@]}"; do
        if [ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " = *" ${row%% *} "* ]]; then
            build_if_changed "$row"
        fi
    done
}

main "$@"
