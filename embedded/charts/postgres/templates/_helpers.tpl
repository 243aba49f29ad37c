{{/* Labels of every object of this chart. */}}
{{- define "postgres.labels" -}}
platctl.dev/component: postgres
{{- end -}}

{{/* The full name of an image: at its mirror and with its digest, where `global` has them. Takes a dict of global and image. */}}
{{- define "postgres.image" -}}
{{- $upstream := print .image.registry "/" .image.repository ":" .image.tag -}}
{{- $registry := get .global.imageRegistries .image.registry | default .global.imageRegistry | default .image.registry -}}
{{ $registry }}/{{ .image.repository }}:{{ .image.tag }}{{ with get .global.imageDigests $upstream }}@{{ . }}{{ end }}
{{- end -}}

{{/* PostgreSQL's settings as a map of texts, the user's own first. */}}
{{- define "postgres.parameters" -}}
{{- $parameters := dict
      "max_connections" (toString .Values.maxConnections)
      "shared_buffers" .Values.sharedBuffers
      "max_slot_wal_keep_size" .Values.maxReplicaLag
      "log_connections" .Values.audit.logConnections
      "log_disconnections" (ternary "on" "off" .Values.audit.logDisconnections) }}
{{- if .Values.audit.pgaudit }}
{{- $parameters = merge $parameters (dict "pgaudit.log" .Values.audit.pgaudit "pgaudit.log_catalog" "off" "pgaudit.log_parameter" "off") }}
{{- else }}
{{- $parameters = merge $parameters (dict "log_statement" "ddl") }}
{{- end }}
{{- range $name, $value := merge (deepCopy .Values.parameters) $parameters }}
{{ $name | quote }}: {{ $value | quote }}
{{- end }}
{{- end -}}
