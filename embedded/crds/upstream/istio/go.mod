module platctl.dev/crds/upstream/istio

go 1.26.6

require istio.io/api v1.31.4
