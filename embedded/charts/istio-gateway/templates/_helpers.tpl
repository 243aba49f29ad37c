{{/* Labels of every object of this chart. */}}
{{- define "istio-gateway.labels" -}}
platctl.dev/component: istio-gateway
app.kubernetes.io/name: istio-gateway
{{- end -}}
