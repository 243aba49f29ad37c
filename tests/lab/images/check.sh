#!/usr/bin/env bash
# Runs each image in a containerd of its own, as far as that goes without a cluster:
#   check.sh [NAME...]     NAME: as in recipes.sh; default all. What they need beside them is started too
# A container has the user, the read-only root, the volumes and the missing capabilities that the chart gives it, and the
# chart's own configuration. Needs the images of build.sh. All that it starts runs in network and process namespaces of its
# own, so nothing is left and no port is taken.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
target=${PLATCTL_TARGET:-$root/target}
images=$target/lab/images
charts=$root/embedded/charts

if [ -z "${CHECK_WORK:-}" ]; then
    missing=()
    for command in containerd runc ip jq curl openssl; do
        command -v "$command" >/dev/null || missing+=("$command")
    done
    python3 -c 'import yaml' 2>/dev/null || missing+=(PyYAML)
    if [ ${#missing[@]} -gt 0 ] || [ "$(id -u)" != 0 ]; then
        echo "error: containers are run by root, with some programs; missing: ${missing[*]:-only root}" >&2
        echo "hint: as root, \`apt-get install containerd runc iproute2 jq curl openssl python3-yaml\`" >&2
        exit 1
    fi
    work=$(mktemp -d /tmp/image-check-XXXXXX)
    code=0
    # Nothing passes the end of its first process.
    CHECK_WORK=$work unshare --net --mount --pid --fork --mount-proc --kill-child bash "${BASH_SOURCE[0]}" "$@" || code=$?
    rm -rf "$work"
    exit "$code"
fi
work=$CHECK_WORK
passed=0 failed=0
declare -A reference

say() { printf '%s\n' "$*" >&2; }

# ctr_ ARGUMENT...: as the kubelet's containerd has it, but not there.
ctr_() { ctr -a "$work/containerd.sock" -n k8s.io "$@"; }

runc_() { runc --root "$work/runc" "$@"; }

start_containerd() {
    local name image
    ip link set lo up
    # What would be visible outside, or come from there.
    mkdir -p /run/netns
    mount -t tmpfs tmpfs /run/netns
    echo "127.0.0.1 localhost" >"$work/hosts"
    printf 'version = 2\nroot = "%s/root"\nstate = "%s/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "%s"\n' \
        "$work" "$work" "$work/containerd.sock" >"$work/containerd.toml"
    containerd --log-level warn --config "$work/containerd.toml" >"$work/containerd.log" 2>&1 &
    wait_for 20 "containerd" ctr_ version
    while read -r name image; do
        reference[$name]=$image
    done < <("$here/build.sh" --list)
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
    local seconds=$1 what=$2 until
    shift 2
    until=$((SECONDS + seconds))
    while ! "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$until" ]; then
            say "  $what was not ready within $seconds s"
            return 1
        fi
        sleep 0.5
    done
}

import() {
    [ ! -e "$work/imported/$1" ] || return 0
    ctr_ images import "$images/$1.tar" >"$work/import.log" 2>&1 || {
        say "  cannot import $images/$1.tar: $(tail -1 "$work/import.log")"
        say "  hint: $here/build.sh $1 makes it"
        return 1
    }
    touch "$work/imported/$1"
}

# restricted UID:GID: begins a container with what the charts give every one: its user, no capabilities, a read-only root.
restricted() {
    user=$1 capabilities='[]' network='' mounts='[]' environment='[]'
    # The kubelet writes this one.
    file /etc/hosts "$work/hosts"
}

# bind_mount PATH ON_THE_MACHINE OPTION
bind_mount() {
    mounts=$(jq -c --arg to "$1" --arg from "$2" --arg option "$3" \
        '. + [{destination: $to, source: $from, type: "bind", options: ["rbind", $option]}]' <<<"$mounts")
}

# volume PATH [OWNER]: an emptyDir, the same one for the same path within a check.
volume() {
    local directory=$work/volumes/$check/${1//\//_}
    if [ ! -d "$directory" ]; then
        install -d -m 777 -o "${2:-0}" -g "${2:-0}" "$directory"
    fi
    bind_mount "$1" "$directory" rw
}

# file PATH ON_THE_MACHINE: as a ConfigMap is mounted.
file() { bind_mount "$1" "$2" ro; }

variables() { environment=$(jq -c '. + $ARGS.positional' --args -- "$@" <<<"$environment"); }

# bundle IMAGE ENTRYPOINT ARGUMENT...: what runc takes, into a directory whose name it prints. ENTRYPOINT is JSON; `null` is
# the image's own, and without arguments the image's command stays too.
bundle() {
    local image=$1 entrypoint=$2 config directory
    shift 2
    import "$image"
    directory=$work/bundles/$check-$RANDOM
    mkdir -p "$directory/root"
    ctr_ images mount --rw "${reference[$image]}" "$directory/root" >/dev/null
    config=$(blob "$image" "$(blob "$image" "$(tar -xOf "$images/$image.tar" index.json | jq -r '.manifests[0].digest')" |
        jq -r .config.digest)")
    jq --argjson image "$config" --argjson entrypoint "$entrypoint" --arg user "$user" --argjson capabilities "$capabilities" \
        --arg network "$network" --argjson mounts "$mounts" --argjson environment "$environment" '
        .root = {path: "root", readonly: true}
        | .process.terminal = false
        | .process.user = {uid: ($user | split(":")[0] | tonumber), gid: ($user | split(":")[1] | tonumber)}
        | .process.args = ($entrypoint // $image.config.Entrypoint // [])
            + (if $ARGS.positional == [] and $entrypoint == null then $image.config.Cmd // [] else $ARGS.positional end)
        | .process.env = $image.config.Env + $environment
        | .process.cwd = $image.config.WorkingDir
        | .process.noNewPrivileges = true
        | .process.capabilities = (["bounding", "effective", "permitted"] | map({key: ., value: $capabilities}) | from_entries)
        | del(.process.rlimits)
        | .mounts += $mounts
        | .linux.namespaces = [{type: "pid"}, {type: "ipc"}, {type: "uts"}, {type: "mount"}]
            + (if $network == "" then [] else [{type: "network", path: $network}] end)
    ' --args -- "$@" <"$work/spec.json" >"$directory/config.json"
    echo "$directory"
}

# blob IMAGE DIGEST
blob() { tar -xOf "$images/$1.tar" "blobs/sha256/${2#sha256:}"; }

# run IMAGE ARGUMENT...: to its end. The arguments stand for the image's command, as `args` of a container does.
run() { run_bundle "$1" null "${@:2}"; }

# run_command IMAGE COMMAND...: instead of the image's entry point too, as `command` of a container does.
run_command() { run_bundle "$1" '[]' "${@:2}"; }

run_bundle() {
    local directory
    directory=$(bundle "$@")
    runc_ run --bundle "$directory" "${directory##*/}" </dev/null
}

# start IMAGE ARGUMENT...: in the background, under the name of the check.
start() { start_bundle "$1" null "${@:2}"; }

start_command() { start_bundle "$1" '[]' "${@:2}"; }

start_bundle() {
    local directory
    directory=$(bundle "$@")
    runc_ run --detach --bundle "$directory" "$check" </dev/null >"$work/$check.log" 2>&1
    touch "$work/running/$check"
}

# inside COMMAND...: in the container of this check, as an exec probe.
inside() { runc_ exec "$check" "$@" </dev/null; }

# certificate DIRECTORY SUBJECT [OPENSSL_OPTION...]: tls.crt, signed by itself, and tls.key
certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj "$2" "${@:3}" \
        -keyout "$1/tls.key" -out "$1/tls.crt" 2>/dev/null
}

get() { curl -sS -f -m 10 "$@"; }

# expect WANTED GOT
expect() {
    [[ $2 == *"$1"* ]] || {
        say "  expected \`$1\` in: ${2:0:400}"
        return 1
    }
}

# chart NAME KIND_AND_NAME KEY [HELM_OPTION...]: a file out of one of the chart's ConfigMaps.
chart() {
    local name=$1 object=$2 key=$3
    shift 3
    "$target/lab/bin/helm" template "$name" "$charts/$name" -n lab "$@" | python3 -c '
import sys, yaml
kind, name = sys.argv[1].split("/")
for document in yaml.safe_load_all(sys.stdin):
    if document and document["kind"] == kind and document["metadata"]["name"] == name:
        sys.stdout.write(document["data"][sys.argv[2]])
        break
else:
    sys.exit("the chart has no " + sys.argv[1])
' "$object" "$key"
}

check_redis() {
    restricted 999:999
    variables REDISCLI_AUTH=secret
    start redis redis-server --save '' --appendonly no --requirepass secret
    wait_for 10 redis-cli inside redis-cli -e ping
    expect PONG "$(inside redis-cli -e ping)"
    expect NOAUTH "$(inside env -u REDISCLI_AUTH redis-cli ping)"
}

check_postgresql() {
    local data=/var/lib/postgresql/data
    restricted 26:26
    volume "$data" 26
    volume /run 26
    run postgresql initdb -D "$data/pgdata" --data-checksums --locale-provider=libc --locale=C -E UTF8 -U postgres \
        >"$work/initdb.log" 2>&1
    install -d "$work/tls"
    certificate "$work/tls" /CN=postgres -addext subjectAltName=IP:127.0.0.1
    chown 26 "$work/tls/tls.key"
    file /tls "$work/tls"
    start postgresql postgres -D "$data/pgdata" -c unix_socket_directories=/run -c shared_preload_libraries=pgaudit \
        -c listen_addresses=127.0.0.1 -c ssl=on -c ssl_min_protocol_version=TLSv1.3 -c ssl_cert_file=/tls/tls.crt \
        -c ssl_key_file=/tls/tls.key
    wait_for 20 PostgreSQL inside pg_isready -h /run
    inside psql -h /run -U postgres -q -c 'create extension pgaudit' -c 'create role keycloak login' \
        -c 'create database keycloak owner keycloak'
    expect "PostgreSQL 18" "$(inside psql -h /run -U postgres -Atc 'select version()')"
    # What the operator's instance manager calls beside these.
    inside pg_basebackup -h /run -U postgres -D /run/copy -X stream --checkpoint=fast
    expect "in production" "$(inside pg_controldata "$data/pgdata")"
    expect "pg_rewind (PostgreSQL) 18" "$(inside pg_rewind --version)"
}

# As in the chart: the server is copied, built and then run.
check_keycloak() {
    local build=(KC_DB=postgres KC_HEALTH_ENABLED=true KC_METRICS_ENABLED=true) token
    needs postgresql
    restricted 1000:0
    volume /copy 1000
    run_command keycloak cp -r --preserve=mode,timestamps /opt/keycloak/lib/quarkus /copy/
    restricted 1000:0
    bind_mount /opt/keycloak/lib/quarkus "$work/volumes/keycloak/_copy/quarkus" rw
    volume /opt/keycloak/data 1000
    volume /tmp
    variables "${build[@]}"
    run keycloak build >"$work/keycloak-build.log" 2>&1 || {
        tail -20 "$work/keycloak-build.log" >&2
        return 1
    }
    install -d "$work/realm"
    chart keycloak ConfigMap/keycloak-realm platform-realm.json >"$work/realm/platform-realm.json"
    file /opt/keycloak/data/import "$work/realm"
    file /var/run/secrets/database/ca.crt "$work/tls/tls.crt"
    variables KC_DB_URL_HOST=127.0.0.1 KC_DB_URL_DATABASE=keycloak KC_DB_USERNAME=keycloak KC_DB_PASSWORD=unused \
        KC_BOOTSTRAP_ADMIN_USERNAME=admin KC_BOOTSTRAP_ADMIN_PASSWORD=secret KC_HOSTNAME=https://auth.example.test \
        KC_DB_TLS_MODE=verify-server KC_DB_TLS_TRUST_STORE_FILE=/var/run/secrets/database/ca.crt \
        KC_HTTP_ENABLED=true KC_PROXY_HEADERS=xforwarded KC_CACHE_EMBEDDED_NETWORK_BIND_ADDRESS=127.0.0.1
    start keycloak start --optimized --import-realm
    wait_for 240 Keycloak get http://127.0.0.1:9000/health/ready
    token=$(get http://127.0.0.1:8080/realms/master/protocol/openid-connect/token -d grant_type=password -d client_id=admin-cli \
        -d username=admin -d password=secret)
    expect access_token "$token"
    expect '"realm":"platform"' "$(get http://127.0.0.1:8080/realms/platform)"
    expect "keycloak TLSv1.3" "$(check=postgresql inside psql -h /run -U postgres -At -F ' ' \
        -c 'select distinct usename, version from pg_stat_ssl join pg_stat_activity using (pid) where ssl')"
}

check_loki() {
    restricted 10001:10001
    install -d "$work/loki"
    chart loki ConfigMap/loki config.yaml >"$work/loki/config.yaml"
    file /etc/loki/config "$work/loki"
    volume /var/loki 10001
    volume /tmp
    start loki -config.file=/etc/loki/config/config.yaml -target=all
    wait_for 90 Loki get http://127.0.0.1:3100/ready
    expect '"version":"3.5.0"' "$(get http://127.0.0.1:3100/loki/api/v1/status/buildinfo)"
}

# The chart's configuration is only read, as it finds pods by the API server; a file of our own is shipped to Loki.
check_promtail() {
    needs loki
    restricted 0:0
    install -d "$work/promtail" "$work/logs"
    chart promtail ConfigMap/promtail promtail.yaml >"$work/promtail/promtail.yaml"
    file /etc/promtail "$work/promtail"
    variables KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=1
    run promtail -config.file=/etc/promtail/promtail.yaml -check-syntax >"$work/syntax.log" 2>&1 || {
        cat "$work/syntax.log" >&2
        return 1
    }
    cat >"$work/promtail/own.yaml" <<'EOF'
server: {http_listen_port: 3101, grpc_listen_port: 0}
clients: [{url: "http://127.0.0.1:3100/loki/api/v1/push"}]
positions: {filename: /positions/positions.yaml}
scrape_configs:
  - job_name: own
    static_configs: [{targets: [localhost], labels: {job: own, __path__: /logs/*.log}}]
EOF
    echo "a line of the check" >"$work/logs/a.log"
    volume /positions
    file /logs "$work/logs"
    start promtail -config.file=/etc/promtail/own.yaml
    wait_for 30 Promtail get http://127.0.0.1:3101/ready
    wait_for 30 "the line in Loki" line_is_in_loki http://127.0.0.1:3100
}

line_is_in_loki() {
    get -G "$1/loki/api/v1/query_range" "${@:2}" --data-urlencode 'query={job="own"}' | grep -q 'a line of the check'
}

check_grafana() {
    local key url=http://127.0.0.1:3000
    needs loki promtail
    restricted 472:472
    install -d "$work"/grafana/{datasources,dashboards,files}
    chart grafana ConfigMap/grafana-provisioning datasources.yaml --set lokiUrl=http://127.0.0.1:3100 >"$work/grafana/datasources/datasources.yaml"
    chart grafana ConfigMap/grafana-provisioning dashboards.yaml >"$work/grafana/dashboards/dashboards.yaml"
    for key in platform-logs.json audit.json; do
        chart grafana ConfigMap/grafana-dashboards "$key" >"$work/grafana/files/$key"
    done
    file /etc/grafana/provisioning/datasources "$work/grafana/datasources"
    file /etc/grafana/provisioning/dashboards "$work/grafana/dashboards"
    file /etc/grafana/dashboards "$work/grafana/files"
    volume /var/lib/grafana 472
    volume /tmp
    if run grafana >"$work/grafana-no-password.log" 2>&1; then
        say "  started without an administrator"
        return 1
    fi
    variables GF_SECURITY_ADMIN_USER=admin GF_SECURITY_ADMIN_PASSWORD=secret
    start grafana
    wait_for 10 Grafana get "$url/api/health"
    expect 401 "$(curl -s -o /dev/null -w '%{http_code}' -u admin:wrong "$url/api/datasources")"
    expect '"type":"loki"' "$(get -u admin:secret "$url/api/datasources")"
    expect '"status":"OK"' "$(get -u admin:secret "$url/api/datasources/uid/loki/health")"
    expect platform-audit "$(get -u admin:secret "$url/api/search")"
    line_is_in_loki "$url/api/datasources/proxy/uid/loki" -u admin:secret
}

check_gitea() {
    local url=http://127.0.0.1:3000
    # Grafana has the same port.
    stop grafana
    install -d "$work/gitea"
    chart gitea ConfigMap/gitea app.ini >"$work/gitea/app.ini"
    chart gitea ConfigMap/gitea prepare.sh >"$work/gitea/prepare.sh"
    head -c 32 /dev/urandom | base64 >"$work/gitea/SECRET_KEY"
    head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' >"$work/gitea/JWT_SECRET"
    head -c 48 /dev/urandom | base64 | tr -d '\n' >"$work/gitea/INTERNAL_TOKEN"
    restricted 1000:1000
    file /etc/gitea "$work/gitea"
    volume /var/lib/gitea 1000
    volume /tmp
    variables HOME=/var/lib/gitea TMPDIR=/tmp ADMIN_NAME=platctl ADMIN_PASSWORD=secret-1
    run_command gitea /bin/sh /etc/gitea/prepare.sh >"$work/gitea-prepare.log" 2>&1 || {
        tail -5 "$work/gitea-prepare.log" >&2
        return 1
    }
    start_command gitea dumb-init -- gitea web
    wait_for 60 Gitea get "$url/api/healthz"
    get -u platctl:secret-1 "$url/api/v1/user/repos" -H 'Content-Type: application/json' \
        -d '{"name": "charts", "auto_init": true, "default_branch": "main"}' >/dev/null
    inside sh -c 'cd /tmp && git clone -q http://platctl:secret-1@127.0.0.1:3000/platctl/charts.git && cd charts &&
        git -c user.name=lab -c user.email=lab@example.test commit -q --allow-empty -m "A push" && git push -q' \
        >"$work/gitea-push.log" 2>&1
    expect '"message":"A push' "$(get -u platctl:secret-1 "$url/api/v1/repos/platctl/charts/branches/main")"
}

check_argocd() {
    needs redis
    restricted 999:999
    volume /app/config/ssh 999
    volume /app/config/tls 999
    volume /app/config/gpg/source 999
    volume /app/config/gpg/keys 999
    volume /helm-working-dir 999
    volume /tmp
    variables REDIS_PASSWORD=secret REDIS_SERVER=127.0.0.1:6379 HELM_CACHE_HOME=/helm-working-dir HELM_CONFIG_HOME=/helm-working-dir \
        HELM_DATA_HOME=/helm-working-dir
    start argocd /usr/local/bin/argocd-repo-server
    wait_for 60 repo-server get 'http://127.0.0.1:8084/healthz?full=true'
    expect v3.2.11 "$(inside argocd version --client --short)"
    expect v3. "$(inside helm version --short)"
    expect v5. "$(inside kustomize version)"
    expect "git version" "$(inside git --version)"
    # Its keyring: Argo CD makes a key of its own at the start.
    expect pub "$(inside gpg-wrapper.sh --homedir /app/config/gpg/keys --list-keys --with-colons)"
}

check_cloudnative-pg() {
    local manager
    restricted 10001:10001
    expect 1.30.0 "$(run cloudnative-pg version)"
    # As in a database's pod: it copies itself, and the copy runs in the other image.
    restricted 26:26
    volume /controller 26
    run cloudnative-pg bootstrap /controller/manager 2>/dev/null
    manager=$(run_command postgresql /controller/manager version)
    expect 1.30.0 "$manager"
}

check_pilot() {
    restricted 1337:1337
    expect 1.31- "$(run pilot version 2>/dev/null)"
}

check_proxyv2() {
    local rules
    restricted 1337:1337
    expect 1.31- "$(run proxyv2 version 2>/dev/null)"
    expect 1.40.0 "$(run_command proxyv2 envoy --version)"
    # The agent starts Envoy with a configuration out of its template; without istiod it gets no further.
    restricted 1337:1337
    install -d "$work/istio" "$work/token"
    certificate "$work/istio" /O=cluster.local
    mv "$work/istio/tls.crt" "$work/istio/root-cert.pem"
    echo none >"$work/token/istio-token"
    file /var/run/secrets/istio "$work/istio"
    file /var/run/secrets/tokens "$work/token"
    volume /var/lib/istio/data 1337
    volume /etc/istio/proxy 1337
    volume /var/run/secrets/workload-spiffe-uds 1337
    volume /var/run/secrets/credential-uds 1337
    volume /var/run/secrets/workload-spiffe-credentials 1337
    variables PILOT_CERT_PROVIDER=istiod CA_ADDR=127.0.0.1:1 POD_NAME=proxy POD_NAMESPACE=lab INSTANCE_IP=127.0.0.1 \
        'PROXY_CONFIG={"discoveryAddress": "127.0.0.1:1"}'
    start proxyv2 proxy router --domain lab.svc.cluster.local
    wait_for 20 Envoy get http://127.0.0.1:15000/server_info
    expect '"state": "PRE_INITIALIZING"' "$(get http://127.0.0.1:15000/server_info)"
    # istio-init, in a network namespace that has an address, as a pod's has.
    restricted 0:0
    volume /run
    ip netns add pod
    ip -n pod link set lo up
    ip -n pod address add 192.0.2.2/32 dev lo
    capabilities='["CAP_NET_ADMIN", "CAP_NET_RAW"]'
    network=/run/netns/pod
    rules=$(run proxyv2 istio-iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -x '' -b '*' -d 15090,15021,15020 2>&1) || {
        printf "%s\n" "$rules" | tail -8 >&2
        return 1
    }
    expect "ISTIO_REDIRECT" "$rules"
}

# needs NAME...: the containers of other checks.
needs() {
    local own=$check name
    for name in "$@"; do
        if [ ! -e "$work/running/$name" ]; then
            check=$name
            "check_$name"
        fi
    done
    check=$own
}

stop() {
    [ -e "$work/running/$1" ] || return 0
    runc_ delete --force "$1"
    rm "$work/running/$1"
}

# show_logs: of this check and of those that were started for it.
show_logs() {
    local log
    for log in "$work"/*.log; do
        [ -s "$log" ] || continue
        say "  the last lines of ${log##*/}:"
        tail -15 "$log" | cut -c1-300 | sed 's/^/    /' >&2
    done
}

main() {
    local names=(redis postgresql keycloak loki promtail grafana gitea argocd cloudnative-pg pilot proxyv2) check seconds code
    [ $# -eq 0 ] || names=("$@")
    for check in "${names[@]}"; do
        declare -F "check_$check" >/dev/null || {
            say "error: no image is called \`$check\`; $here/build.sh --list names them"
            exit 2
        }
    done
    mkdir "$work/imported" "$work/running"
    (cd "$work" && runc spec && mv config.json spec.json)
    start_containerd
    for check in "${names[@]}"; do
        if [ -e "$work/running/$check" ]; then
            echo "ok      $check (started for another)"
            passed=$((passed + 1))
            continue
        fi
        seconds=$SECONDS
        # Not in a condition, where a failing command would not end it.
        set +e
        (
            set -e
            "check_$check"
        )
        code=$?
        set -e
        if [ "$code" = 0 ]; then
            echo "ok      $check ($((SECONDS - seconds)) s)"
            passed=$((passed + 1))
        else
            echo "FAILED  $check"
            failed=$((failed + 1))
            show_logs
        fi
    done
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}

main "$@"
