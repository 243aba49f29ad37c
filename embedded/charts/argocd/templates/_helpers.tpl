{{/* Labels of an object; the context is the object's app.kubernetes.io/name. part-of is what Argo CD finds its settings by. */}}
{{- define "argocd.labels" -}}
app.kubernetes.io/name: {{ . }}
app.kubernetes.io/part-of: argocd
platctl.dev/component: argocd
{{- end }}

{{/* The full name of an image: at its mirror and with its digest, where `global` has them. Takes a dict of global and image. */}}
{{- define "argocd.image" -}}
{{- $upstream := print .image.registry "/" .image.repository ":" .image.tag -}}
{{- $registry := get .global.imageRegistries .image.registry | default .global.imageRegistry | default .image.registry -}}
{{ $registry }}/{{ .image.repository }}:{{ .image.tag }}{{ with get .global.imageDigests $upstream }}@{{ . }}{{ end }}
{{- end }}

{{/* What every pod spec shares; the context is {root, name, token: talks to the API server}. */}}
{{- define "argocd.pod" -}}
serviceAccountName: {{ .name }}
automountServiceAccountToken: {{ .token }}
# Service links would add ARGOCD_SERVER_* and the like, names that Argo CD reads as settings.
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 999
  runAsGroup: 999
  seccompProfile: {type: RuntimeDefault}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {app.kubernetes.io/name: {{ .name }}}
{{- end }}

{{- define "argocd.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Data of argocd-cmd-params-cm: what the processes read once, at their start, from the environment. */}}
{{- define "argocd.params" -}}
repo.server: argocd-repo-server:8081
redis.server: argocd-redis:6379
controller.diff.server.side: "true"
controller.log.level: {{ .Values.logLevel | quote }}
reposerver.log.level: {{ .Values.logLevel | quote }}
applicationsetcontroller.log.level: {{ .Values.logLevel | quote }}
applicationsetcontroller.enable.leader.election: {{ gt (int .Values.applicationSet.replicas) 1 | quote }}
server.log.level: {{ .Values.logLevel | quote }}
# The gateway ends TLS.
server.insecure: "true"
{{- end }}

{{/* Likewise read once, but from argocd-cm. */}}
{{- define "argocd.timeouts" -}}
timeout.reconciliation: {{ .Values.reconciliation.timeout | quote }}
timeout.reconciliation.jitter: {{ .Values.reconciliation.jitter | quote }}
{{- end }}

{{/* Restarts pods when what they read once changes. */}}
{{- define "argocd.checksum" -}}
checksum/params: {{ printf "%s\n%s" (include "argocd.params" .) (include "argocd.timeouts" .) | sha256sum }}
{{- end }}

{{/* An environment variable from a ConfigMap; the context is [variable, ConfigMap, key]. */}}
{{- define "argocd.env" -}}
- name: {{ first . }}
  valueFrom:
    configMapKeyRef: {name: {{ index . 1 }}, key: {{ last . }}}
{{- end }}

{{- define "argocd.redisPassword" -}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef: {name: argocd-redis, key: auth}
{{- end }}

{{/* A webhook configuration is healthy when its operator has put in the CA that the API server needs to call it. */}}
{{- define "argocd.webhookHealth" -}}
hs = {status = "Healthy", message = "every webhook has its CA"}
for _, webhook in ipairs(obj.webhooks or {}) do
  local client = webhook.clientConfig
  if client.service ~= nil and (client.caBundle or "") == "" then
    hs.status = "Progressing"
    hs.message = webhook.name .. " has no CA yet"
  end
end
return hs
{{- end }}

{{/* The API server cannot be selected by a NetworkPolicy: its ports to anywhere, before and after address translation. */}}
{{- define "argocd.apiServerEgress" -}}
- ports:
    {{- range .Values.global.apiServerPorts }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}

{{/* The context is [app.kubernetes.io/name, port]. */}}
{{- define "argocd.egressTo" -}}
- to:
    - podSelector:
        matchLabels: {app.kubernetes.io/name: {{ first . }}}
  ports:
    - {port: {{ last . }}, protocol: TCP}
{{- end }}
