{{- define "promtail.labels" -}}
app.kubernetes.io/name: promtail
platctl.dev/component: {{ .Chart.Name }}
{{- end -}}

{{/* The full name of an image: at its mirror and with its digest, where `global` has them. Takes a dict of global and image. */}}
{{- define "promtail.image" -}}
{{- $upstream := print .image.registry "/" .image.repository ":" .image.tag -}}
{{- $registry := get .global.imageRegistries .image.registry | default .global.imageRegistry | default .image.registry -}}
{{ $registry }}/{{ .image.repository }}:{{ .image.tag }}{{ with get .global.imageDigests $upstream }}@{{ . }}{{ end }}
{{- end -}}

{{- define "promtail.config" -}}
{{- if not (has .Values.logFormat (list "cri" "docker")) -}}
{{- fail (printf "promtail: logFormat is cri or docker, not %q" .Values.logFormat) -}}
{{- end -}}
server:
  http_listen_port: 3101
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: 0
  log_level: {{ .Values.logLevel | quote }}

positions:
  filename: {{ printf "%v/positions.yaml" .Values.positionsPath | quote }}

clients:
  - url: {{ .Values.lokiUrl | quote }}
    # 0 is without end: while Loki is away Promtail stops reading, and nothing is lost that the kubelet keeps.
    backoff_config:
      min_period: 500ms
      max_period: 1m
      max_retries: 0

scrape_configs:
  - job_name: pods
    kubernetes_sd_configs:
      # Promtail itself narrows this to the pods of the node that HOSTNAME names.
      - role: pod

    relabel_configs:
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: pod
      - source_labels: [__meta_kubernetes_pod_container_name]
        target_label: container
      - source_labels: [__meta_kubernetes_pod_node_name]
        target_label: node_name

      # app: a name from the pod's labels, else of what controls the pod, else the pod's own. The hash of a ReplicaSet and
      # the time of a CronJob's Job are cut off; a static pod is "controlled" by its node, which names nothing.
      - source_labels: [__meta_kubernetes_pod_controller_name]
        target_label: __tmp_controller
      - source_labels: [__meta_kubernetes_pod_controller_kind, __meta_kubernetes_pod_controller_name]
        regex: ReplicaSet;(.+)-[0-9a-z]+
        target_label: __tmp_controller
      - source_labels: [__meta_kubernetes_pod_controller_kind, __meta_kubernetes_pod_controller_name]
        regex: Job;(.+)-[0-9]{8,}
        target_label: __tmp_controller
      - source_labels: [__meta_kubernetes_pod_controller_kind]
        regex: Node
        target_label: __tmp_controller
        replacement: ""
      - source_labels:
          - __meta_kubernetes_pod_label_app_kubernetes_io_name
          - __meta_kubernetes_pod_label_app
          - __meta_kubernetes_pod_label_k8s_app
          - __meta_kubernetes_pod_label_component
          - __tmp_controller
          - __meta_kubernetes_pod_name
        regex: ;*([^;]+)(;.*)?
        target_label: app

      # /var/log/pods/<namespace>_<pod>_<uid>/<container>/*.log
      - source_labels: [__meta_kubernetes_pod_uid]
        target_label: __tmp_uid
      # The kubelet names the directory of a static pod by this hash, not by the UID of the mirror pod.
      - source_labels: [__meta_kubernetes_pod_annotation_kubernetes_io_config_hash]
        regex: (.+)
        target_label: __tmp_uid
      - source_labels: [__meta_kubernetes_namespace, __meta_kubernetes_pod_name, __tmp_uid]
        separator: _
        target_label: __tmp_directory
      - source_labels: [__tmp_directory, __meta_kubernetes_pod_container_name]
        separator: /
        target_label: __path__
        replacement: /var/log/pods/$1/*.log

    pipeline_stages:
      - {{ .Values.logFormat }}: {}
      # stdout and stderr are one stream. `filename` stays: after a restart the last lines of the file before may come late,
      # and Loki refuses a line that is an hour behind its stream.
      - labeldrop: [stream]
      # Of a line of JSON: inside its strings a quote is escaped, so no message can pass itself off as one of these keys.
      - match:
          selector: '{{ .Values.audit.keycloak | replace "'" "''" }} |~ "^[{].*\"loggerName\": *\"org[.]keycloak[.]events\""'
          stages:
            - static_labels:
                audit: keycloak
      - match:
          selector: '{{ .Values.audit.postgres | replace "'" "''" }} |~ "^[{].*\"logger\": *\"(postgres|pgaudit)\"" |~ "\"msg\": *\"record\""'
          stages:
            - static_labels:
                audit: postgres
{{- end -}}
