{{- define "grafana.labels" -}}
app.kubernetes.io/name: grafana
platctl.dev/component: {{ .Chart.Name }}
{{- end -}}

{{/* The full name of an image: at its mirror and with its digest, where `global` has them. Takes a dict of global and image. */}}
{{- define "grafana.image" -}}
{{- $upstream := print .image.registry "/" .image.repository ":" .image.tag -}}
{{- $registry := get .global.imageRegistries .image.registry | default .global.imageRegistry | default .image.registry -}}
{{ $registry }}/{{ .image.repository }}:{{ .image.tag }}{{ with get .global.imageDigests $upstream }}@{{ . }}{{ end }}
{{- end -}}

{{- define "grafana.host" -}}
grafana.{{ .Values.global.domain }}
{{- end -}}

{{- define "grafana.datasources" -}}
apiVersion: 1
prune: true
datasources:
  - name: Loki
    # The dashboards name the data source by this uid.
    uid: loki
    type: loki
    access: proxy
    url: {{ .Values.lokiUrl | quote }}
    isDefault: true
    editable: false
    jsonData:
      maxLines: 1000
      timeout: 60
      # Loki evaluates no alert rules here, and its policy shuts the paths where Grafana would look for them.
      manageAlerts: false
{{- end -}}

{{- define "grafana.providers" -}}
apiVersion: 1
providers:
  - name: platform
    orgId: 1
    folder: Platform
    folderUid: platform
    type: file
    disableDeletion: true
    allowUiUpdates: false
    updateIntervalSeconds: 30
    options:
      path: /etc/grafana/dashboards
{{- end -}}
