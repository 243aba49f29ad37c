#!/usr/bin/env bash
# Builds one of the real programs the lab runs, from the Go module proxy alone:
#   build.sh NAME OUTPUT_DIR      NAME: argocd, cnpg, coredns, git, helm, istiod, kustomize, loki, pilot-agent, redis
# README.md beside this file tells what each result is and how it is run.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    echo "usage: ${0##*/} argocd|cnpg|coredns|git|helm|istiod|kustomize|loki|pilot-agent|redis OUTPUT_DIR" >&2
    exit 2
}

[ $# -eq 2 ] || usage
name=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)

export CGO_ENABLED=0 GOWORK=off

# build PACKAGE BINARY [LINKER_FLAG...]
tags=
build() {
    local package=$1 binary=$2
    shift 2
    go build -trimpath -buildvcs=false -tags "$tags" -ldflags "-s -w $*" -o "$out/$binary" "$package"
}

# module_version MODULE: the version that the module in this directory selects.
module_version() {
    go list -m -f '{{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}' "$1"
}

# istio_version: sets the linker flags that tell Istio's programs what they are.
istio_version() {
    local version
    version=$(module_version istio.io/istio)
    version_flags=(
        "-X istio.io/istio/pkg/version.buildVersion=1.31-${version##*-}"
        "-X istio.io/istio/pkg/version.buildGitRevision=${version##*-}"
        "-X istio.io/istio/pkg/version.buildStatus=Clean"
    )
}

cd "$here/$name" 2>/dev/null || usage

case $name in
argocd)
    version=$(module_version github.com/argoproj/argo-cd/v3)
    build github.com/argoproj/argo-cd/v3/cmd argocd \
        "-X github.com/argoproj/argo-cd/v3/common.version=${version#v}"
    # One program that acts by the name it is started under.
    for role in application-controller applicationset-controller repo-server server; do
        ln -sfn argocd "$out/argocd-$role"
    done
    ;;
cnpg)
    build github.com/cloudnative-pg/cloudnative-pg/cmd/manager cnpg-manager
    # The operator looks for its own executable in operator/ under its working directory.
    mkdir -p "$out/cnpg/operator"
    ln -sfn ../../cnpg-manager "$out/cnpg/operator/manager_$(go env GOARCH)"
    ;;
coredns)
    build github.com/coredns/coredns coredns
    ;;
git)
    # Its SQLite is C code.
    export CGO_ENABLED=1
    tags=sqlite,sqlite_unlock_notify
    version=$(module_version code.gitea.io/gitea)
    # Templates and locales are read from disk at run time, in the lab's image from where STATIC_ROOT_PATH does not say.
    build code.gitea.io/gitea gitea "-X main.Version=${version#v}" \
        "-X code.gitea.io/gitea/modules/setting.StaticRootPath=/usr/share/gitea"
    module=$(go list -m -f '{{.Dir}}' code.gitea.io/gitea)
    rm -rf "$out/gitea-static"
    mkdir "$out/gitea-static"
    cp -R "$module/templates" "$module/options" "$module/public" "$out/gitea-static/"
    chmod -R u+w "$out/gitea-static"
    ;;
helm)
    version=$(module_version helm.sh/helm/v3)
    build helm.sh/helm/v3/cmd/helm helm "-X helm.sh/helm/v3/internal/version.version=$version"
    ;;
istiod)
    istio_version
    build istio.io/istio/pilot/cmd/pilot-discovery pilot-discovery "${version_flags[@]}"
    ;;
kustomize)
    version=$(module_version sigs.k8s.io/kustomize/kustomize/v5)
    build sigs.k8s.io/kustomize/kustomize/v5 kustomize "-X sigs.k8s.io/kustomize/api/provenance.version=$version"
    ;;
loki)
    module=github.com/grafana/loki/v3
    version=$(module_version "$module")
    build "$module/cmd/loki" loki "-X $module/pkg/util/build.Version=${version#v}"
    build "$module/clients/cmd/promtail" promtail "-X $module/pkg/util/build.Version=${version#v}"
    ;;
pilot-agent)
    # Without the tag, it would carry all that istiod has.
    tags=agent
    istio_version
    build istio.io/istio/pilot/cmd/pilot-agent pilot-agent "${version_flags[@]}"
    ;;
redis)
    build . lab-redis
    ;;
*)
    usage
    ;;
esac
