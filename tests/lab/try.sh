#!/usr/bin/env bash
# One command from a fresh machine to an installed platform: builds platctl and the lab, starts the lab, installs the
# profile `dev` into it and leaves it up.
#
#   tests/lab/try.sh [--real-node] [DIR]     DIR: the lab's own directory [default: target/lab/run]
#
# With --real-node this machine becomes the cluster's node and runs every container for real; that takes root and, the
# first time, a quarter of an hour more for the images.
#
# Needs Rust, Go, git and a C compiler. Run again, it builds only what has changed and goes on with the lab it finds.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${PLATCTL_TARGET:-$root/target}
profile=dev node=()
if [ "${1:-}" = --real-node ]; then
    shift
    profile=$root/tests/lab/real/values.yaml node=(--node real --images "$target/lab/images")
fi
directory=${1:-$target/lab/run}

bold='' plain=''
if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain" >&2; }

# need TOOL WHY WHERE
need() {
    command -v "$1" >/dev/null 2>&1 && return
    echo "error: \`$1\` is not installed; $2" >&2
    echo "hint: $3" >&2
    exit 1
}
[ "$(uname -s)" = Linux ] || { echo "error: the lab runs on Linux only" >&2; exit 1; }
need cargo "platctl is written in Rust" "https://rustup.rs, or the rustup package of your system"
need go "the lab is built from Go modules" "https://go.dev/doc/install, 1.26 or newer"
need git "Argo CD clones with it" "the git package of your system"
if [ ${#node[@]} -gt 0 ] && [ "$(id -u)" != 0 ]; then
    echo "error: a real node needs root: it makes containers, a bridge and packet filter rules" >&2
    echo "hint: run it as root, or without --real-node" >&2
    exit 1
fi
need gcc "the lab's Git server has SQLite in it, which is C" "the gcc package of your system (Debian: build-essential)"

say "1/4 platctl (one or two minutes the first time)"
cargo build --locked --target-dir "$target" --manifest-path "$root/Cargo.toml"
platctl=$target/debug/platctl

say "2/4 the lab: Kubernetes, istiod, CloudNativePG, Argo CD, Gitea from source (about 20 minutes the first time)"
"$root/tests/lab/build.sh"
if [ ${#node[@]} -gt 0 ]; then
    say "the images of all containers (about a quarter of an hour the first time)"
    "$root/tests/lab/real/install.sh"
    "$root/tests/lab/build.sh" pause coredns
    "$root/tests/lab/images/build.sh"
fi
lab=$target/lab/bin/lab

# running: is it up? Its file may outlive it.
running() {
    local pid
    [ -f "$directory/lab.json" ] || return 1
    pid=$(sed -n 's/^.*"pid": *\([0-9]*\).*$/\1/p' "$directory/lab.json")
    [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = lab ]
}

if running; then
    say "3/4 the lab in $directory is up already"
else
    say "3/4 starting the lab in $directory"
    "$lab" up --dir "$directory" "${node[@]}" --detach >/dev/null
fi
directory=$(cd "$directory" && pwd)
export KUBECONFIG=$directory/kubeconfig

say "4/4 platctl install --profile $profile --yes"
"$platctl" install --profile "$profile" --yes

say "The platform is up. To go on:"
cat >&2 <<NEXT
  export KUBECONFIG=$KUBECONFIG PATH=$target/debug:$target/lab/bin:\$PATH

  platctl status
  kubectl get pods --all-namespaces
  platctl uninstall
  lab down --dir $directory
NEXT
