#!/usr/bin/env bash
# Proves that a lab with a real node is one: brings it up, lets pods do what pods of the platform do, takes it down, and
# looks for anything that is left, also after the lab was killed.
#
#   tests/lab/real/try.sh [DIR]     DIR: the lab's own directory [default: target/lab/real]
#
# Needs root; installs Debian packages (install.sh) and builds what is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
target=${PLATCTL_TARGET:-$root/target}
mkdir -p "${1:-$target/lab/real}"
directory=$(cd "${1:-$target/lab/real}" && pwd)
scratch=$(mktemp -d)
lab=$target/lab/bin/lab

[ "$(id -u)" = 0 ] || { echo "error: a real node needs root" >&2; exit 1; }

running=
finish() {
    local code=$?
    if [ $code -ne 0 ] && [ -e "$directory/lab.json" ]; then
        kubectl --namespace try get pods --output wide >&2 || true
        kubectl --namespace try events --types Warning >&2 || true
    fi
    [ -z "$running" ] || kill "$running" 2>/dev/null || true
    "$lab" down --dir "$directory" || true
    rm -rf "$scratch"
    [ $code -eq 0 ] || echo "FAILED" >&2
}

# expect WHAT WANTED COMMAND...: its output is WANTED.
expect() {
    local what=$1 wanted=$2 found
    shift 2
    found=$("$@" 2>"$scratch/errors") || { echo "not ok: $what: $found $(cat "$scratch/errors")" >&2; exit 1; }
    [ "$found" = "$wanted" ] || { echo "not ok: $what: got \`$found\`, not \`$wanted\`" >&2; exit 1; }
    echo "ok: $what"
}

# traces: everything on the machine that a node could leave behind.
traces() {
    sort /proc/mounts
    ip -oneline link | cut -d: -f2 | sort
    ip route
    ip netns 2>/dev/null
    nft list ruleset
    iptables-save 2>/dev/null | sed '/^#/d'
    sysctl -e net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables vm.overcommit_memory kernel.panic kernel.panic_on_oops
    find /sys/fs/cgroup -maxdepth 2 -name platctl-lab
    ls -d /run/containerd /run/netns /var/lib/containerd /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods /opt/containerd 2>/dev/null || true
    # Programs by their arguments: containers' and the lab's own.
    pgrep --full --list-full "$directory|containerd-shim|^/probe |^/coredns |^/pause" | grep --invert-match --fixed-strings "$0" || true
}

# seen: the list of traces would show them.
seen() {
    traces >"$scratch/during"
    local trace
    for trace in lab0 "table ip kube-proxy" "table inet platctl-lab" CNI-HOSTPORT-DNAT /platctl-lab containerd-shim /var/lib/kubelet; do
        grep --quiet --fixed-strings "$trace" "$scratch/during" || { echo "not ok: no trace of $trace while the lab is up" >&2; exit 1; }
    done
}

compare() {
    traces >"$scratch/after"
    diff "$scratch/before" "$scratch/after" >&2 || { echo "not ok: $1 leaves something behind" >&2; exit 1; }
    [ ! -e "$directory/node" ] || { echo "not ok: $1 leaves $directory/node" >&2; exit 1; }
    echo "ok: $1 leaves nothing"
}

up() {
    local began=$SECONDS
    "$lab" up --dir "$directory" --node real --images "$scratch/images" --bin "$target/lab/bin" --detach >/dev/null
    echo "ok: up in $((SECONDS - began)) s"
}

"$here/install.sh"
"$here/../build.sh" lab kubectl pause coredns
trap finish EXIT
export PATH=$target/lab/bin:$PATH KUBECONFIG=$directory/kubeconfig

mkdir "$scratch/images"
"$here/probe/image.sh" "$scratch/images/probe.tar"
mv "$scratch/images/probe" "$scratch/probe"

"$lab" down --dir "$directory"
traces >"$scratch/before"
up

mkdir "$scratch/tls"
"$scratch/probe" certificate "$scratch/tls" webhook.try.svc
sed "s/CA_BUNDLE/$(base64 -w0 "$scratch/tls/tls.crt")/" "$here/try.yaml" >"$scratch/try.yaml"
kubectl create --filename "$scratch/try.yaml" >/dev/null
kubectl --namespace try create secret tls webhook --cert "$scratch/tls/tls.crt" --key "$scratch/tls/tls.key" >/dev/null
began=$SECONDS
kubectl --namespace try wait --for condition=Ready --timeout 90s pod/server pod/client pod/redirected pod/webhook >/dev/null
kubectl --namespace try wait --for jsonpath='{.status.phase}'=Succeeded --timeout 60s pod/writer pod/hardened >/dev/null
kubectl --namespace try wait --for condition=Complete --timeout 60s job/api >/dev/null
echo "ok: all pods run, after $((SECONDS - began)) s"

client=(kubectl --namespace try exec client -- /probe)
expect "a Service by its name, from a pod" "from the server" "${client[@]}" get http://server/
expect "a Service by its full name" "from the server" "${client[@]}" get http://server.try.svc.cluster.local/
balanced=$(kubectl --namespace try get service balanced --output jsonpath='{.status.loadBalancer.ingress[0].ip}')
expect "a LoadBalancer, from the machine" "from the server" "$scratch/probe" get "http://$balanced/"
expect "a LoadBalancer, from a pod" "from the server" "${client[@]}" get "http://$balanced/"
expect "a pod that reaches itself by its Service" "from the server" \
    kubectl --namespace try exec server -- /probe get http://server.try/
expect "a host port" "from the server" "$scratch/probe" get http://10.86.0.1:18080/
expect "logs" "serving from the server" kubectl --namespace try logs server
expect "log files on the node" 1 "${client[@]}" count "/var/log/pods/try_server_*/server/0.log"
expect "the API server from a pod, beside a native sidecar" kube-root-ca.crt \
    sh -c 'kubectl --namespace try logs job/api --container api | tr "," "\n" | sed -n "s/.*\"name\":\"\(kube-root[^\"]*\)\".*/\1/p" | head -1'
expect "a hardened pod" hardened kubectl --namespace try logs hardened
expect "iptables in a pod" redirected kubectl --namespace try exec redirected -- /probe get http://10.99.99.99:9999/

kubectl --namespace try port-forward pod/server 18081:8080 >/dev/null &
running=$!
expect "port-forward" "from the server" "$scratch/probe" get http://127.0.0.1:18081/
kill "$running"
wait "$running" 2>/dev/null || true
running=

expect "a webhook that agrees" "configmap/agreed created" kubectl --namespace try-webhook create configmap agreed
if message=$(kubectl --namespace try-webhook create configmap refused 2>&1); then
    echo "not ok: the webhook was not asked" >&2
    exit 1
fi
[[ $message == *"the probe's webhook says no"* ]] || { echo "not ok: webhook: $message" >&2; exit 1; }
echo "ok: a webhook that refuses"

volume=$directory/node/volumes/$(kubectl --namespace try get persistentvolumeclaim data --output jsonpath='{.spec.volumeName}')
expect "a file in a volume" "written by the first pod" cat "$volume/file"
expect "the volume belongs to the pod's group" 26 stat --format %g "$volume"
kubectl --namespace try delete pod/writer persistentvolumeclaim/data --timeout 60s >/dev/null
for _ in $(seq 50); do
    [ -e "$volume" ] || break
    sleep 0.1
done
[ ! -e "$volume" ] || { echo "not ok: the volume's files are still there" >&2; exit 1; }
echo "ok: a volume goes with its claim"

seen
"$lab" down --dir "$directory"
compare down

up
kubectl apply --filename "$scratch/try.yaml" >/dev/null
kubectl --namespace try wait --for condition=Ready --timeout 90s pod/server >/dev/null
seen
kill -KILL "$(sed -n 's/^.*"pid": *\([0-9]*\).*$/\1/p' "$directory/lab.json")"
"$lab" down --dir "$directory"
compare "down after a crash"
