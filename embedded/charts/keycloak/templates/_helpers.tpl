{{/* Labels of every object of this chart. */}}
{{- define "keycloak.labels" -}}
platctl.dev/component: keycloak
app.kubernetes.io/name: keycloak
{{- end -}}

{{/* The full name of an image: at its mirror and with its digest, where `global` has them. Takes a dict of global and image. */}}
{{- define "keycloak.image" -}}
{{- $upstream := print .image.registry "/" .image.repository ":" .image.tag -}}
{{- $registry := get .global.imageRegistries .image.registry | default .global.imageRegistry | default .image.registry -}}
{{ $registry }}/{{ .image.repository }}:{{ .image.tag }}{{ with get .global.imageDigests $upstream }}@{{ . }}{{ end }}
{{- end -}}

{{- define "keycloak.host" -}}
auth.{{ .Values.global.domain }}
{{- end -}}

{{/* What of Keycloak the world may see. The VirtualService and the AuthorizationPolicy both follow it. */}}
{{- define "keycloak.published" -}}
paths: [/realms/, /resources/, /.well-known/{{ if .Values.publishAdmin }}, /admin/{{ end }}]
{{- end -}}

{{/* Settings that are fixed when the server is built; the build and the server must agree on them. */}}
{{- define "keycloak.buildEnv" -}}
- {name: KC_DB, value: postgres}
- {name: KC_HEALTH_ENABLED, value: "true"}
# Without metrics, readiness would not look at the database.
- {name: KC_METRICS_ENABLED, value: "true"}
{{- range $name, $value := .Values.extraEnv }}
- {name: {{ $name | quote }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "keycloak.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
