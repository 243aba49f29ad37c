{{- define "loki.labels" -}}
app.kubernetes.io/name: loki
platctl.dev/component: {{ .Chart.Name }}
{{- end -}}

{{/* The full name of an image: at its mirror and with its digest, where `global` has them. Takes a dict of global and image. */}}
{{- define "loki.image" -}}
{{- $upstream := print .image.registry "/" .image.repository ":" .image.tag -}}
{{- $registry := get .global.imageRegistries .image.registry | default .global.imageRegistry | default .image.registry -}}
{{ $registry }}/{{ .image.repository }}:{{ .image.tag }}{{ with get .global.imageDigests $upstream }}@{{ . }}{{ end }}
{{- end -}}

{{/* A retention period, refused here rather than by Loki in a crash loop. */}}
{{- define "loki.days" -}}
{{- $hours := printf "%v" . -}}
{{- if not (regexMatch "^[1-9][0-9]*h$" $hours) -}}
{{- fail (printf "loki: a retention is whole days in hours, such as 744h, not %q" $hours) -}}
{{- end -}}
{{- if ne (int (mod (int (trimSuffix "h" $hours)) 24)) 0 -}}
{{- fail (printf "loki: a retention must be a multiple of 24h, not %s" $hours) -}}
{{- end -}}
{{- $hours -}}
{{- end -}}

{{- define "loki.config" -}}
# One process, one tenant: who may call is decided by the mesh, not by a tenant header.
auth_enabled: false

server:
  http_listen_port: 3100
  # The modules of the one process talk gRPC with each other and with nobody else.
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: 9095
  log_level: {{ .Values.logLevel | quote }}

common:
  path_prefix: /var/loki
  instance_addr: 127.0.0.1
  replication_factor: 1
  ring:
    kvstore:
      store: inmemory
  storage:
    filesystem:
      chunks_directory: /var/loki/chunks
      rules_directory: /var/loki/rules

# Append only: a new schema is a further entry with a date in the future, an entry is never changed.
schema_config:
  configs:
    - from: "2025-01-01"
      store: tsdb
      object_store: filesystem
      schema: v13
      index:
        prefix: index_
        period: 24h

ingester:
  wal:
    replay_memory_ceiling: {{ .Values.walReplayMemory | quote }}

compactor:
  retention_enabled: true
  delete_request_store: filesystem

limits_config:
  retention_period: {{ include "loki.days" .Values.retention }}
  retention_stream:
    - selector: '{audit=~".+"}'
      priority: 1
      period: {{ include "loki.days" .Values.auditRetention }}
  # No upper bound on the range of one query: the default ends before the retention does.
  max_query_length: 0s
  ingestion_rate_mb: {{ .Values.ingestion.rateMB }}
  ingestion_burst_size_mb: {{ .Values.ingestion.burstMB }}
  # A line above 256 KiB is cut instead of refused.
  max_line_size_truncate: true
  volume_enabled: true

# No usage report to stats.grafana.org.
analytics:
  reporting_enabled: false
{{- end -}}
