// A stand-in for Grafana, which no package registry has
module platctl.dev/lab/images/grafana

go 1.26.4

require go.yaml.in/yaml/v3 v3.0.4
