{{/* Labels of every object of this chart. */}}
{{- define "cnpg-operator.labels" -}}
platctl.dev/component: cnpg-operator
app.kubernetes.io/name: cloudnative-pg
{{- end -}}

{{/* The full name of an image: at its mirror and with its digest, where `global` has them. Takes a dict of global and image. */}}
{{- define "cnpg-operator.image" -}}
{{- $upstream := print .image.registry "/" .image.repository ":" .image.tag -}}
{{- $registry := get .global.imageRegistries .image.registry | default .global.imageRegistry | default .image.registry -}}
{{ $registry }}/{{ .image.repository }}:{{ .image.tag }}{{ with get .global.imageDigests $upstream }}@{{ . }}{{ end }}
{{- end -}}

{{/* One entry of a webhook configuration. Takes: prefix (m or v), verb (mutate or validate), resource, kind, namespace. */}}
{{- define "cnpg-operator.webhook" -}}
- name: {{ .prefix }}{{ .kind }}.cnpg.io
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  # No caBundle: the operator writes it and renews it.
  clientConfig:
    service:
      name: cnpg-webhook-service
      namespace: {{ .namespace }}
      path: /{{ .verb }}-postgresql-cnpg-io-v1-{{ .kind }}
      port: 443
  rules:
    - apiGroups: [postgresql.cnpg.io]
      apiVersions: [v1]
      operations: [CREATE, UPDATE]
      resources: [{{ .kind }}s]
{{- end -}}
