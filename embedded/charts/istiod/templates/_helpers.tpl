{{/* Labels of every object of this chart. */}}
{{- define "istiod.labels" -}}
platctl.dev/component: istiod
app.kubernetes.io/name: istiod
{{- end -}}

{{/* The full name of an image: at its mirror and with its digest, where `global` has them. Takes a dict of global and image. */}}
{{- define "istiod.image" -}}
{{- $upstream := print .image.registry "/" .image.repository ":" .image.tag -}}
{{- $registry := get .global.imageRegistries .image.registry | default .global.imageRegistry | default .image.registry -}}
{{ $registry }}/{{ .image.repository }}:{{ .image.tag }}{{ with get .global.imageDigests $upstream }}@{{ . }}{{ end }}
{{- end -}}

{{/* The map `over` laid on the map `base`, key by key and as deep as both have maps. JSON. */}}
{{- define "istiod.overlay" -}}
{{- $result := .base -}}
{{- range $key, $value := .over -}}
{{- $old := get $.base $key -}}
{{- if and (kindIs "map" $value) (kindIs "map" $old) -}}
{{- $value = include "istiod.overlay" (dict "base" $old "over" $value) | fromJson -}}
{{- end -}}
{{- $result = set $result $key $value -}}
{{- end -}}
{{- toJson $result -}}
{{- end -}}

{{/*
MeshConfig as the chart wants it. Metrics have no default provider, so proxies are not asked for statistics; which destinations
outside the mesh a pod may reach is for its NetworkPolicy to say, which is why ALLOW_ANY is enough here.
*/}}
{{- define "istiod.mesh" -}}
rootNamespace: {{ .Release.Namespace }}
trustDomain: cluster.local
enableAutoMtls: true
accessLogFile: /dev/stdout
accessLogEncoding: JSON
outboundTrafficPolicy:
  mode: ALLOW_ANY
# Routes come from Gateway and VirtualService only, never from Kubernetes' Ingress.
ingressControllerMode: "OFF"
# Merged metrics would be served by the agent in plaintext.
enablePrometheusMerge: false
defaultConfig:
  discoveryAddress: istiod.{{ .Release.Namespace }}.svc:15012
  proxyMetadata:
    SECRET_TTL: {{ .Values.workloadCertificateTtl | quote }}
    # Without it an agent asks three clouds' metadata services at its start, which the NetworkPolicies drop, and waits 5 s.
    CLOUD_PLATFORM: none
{{- end -}}

{{/* istiod's environment, but for what comes from fields of its pod. */}}
{{- define "istiod.env" -}}
REVISION: default
CLUSTER_ID: Kubernetes
PILOT_CERT_PROVIDER: istiod
DEFAULT_WORKLOAD_CERT_TTL: {{ .Values.workloadCertificateTtl | quote }}
MAX_WORKLOAD_CERT_TTL: {{ .Values.workloadCertificateTtl | quote }}
# Always, instead of by the nodes' versions: platctl requires Kubernetes 1.33, and so does the sidecar template.
ENABLE_NATIVE_SIDECARS: "true"
# A Gateway configures only proxies of its own namespace, so that nobody else can open a port on the platform's gateway.
PILOT_SCOPE_GATEWAY_TO_NAMESPACE: "true"
# What the platform does not use. Each of these also needs rights that the ClusterRole does not give.
PILOT_ENABLE_GATEWAY_API: "false"
PILOT_ENABLE_GATEWAY_API_STATUS: "false"
PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER: "false"
PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER: "false"
PILOT_ENABLE_ANALYSIS: "false"
PILOT_ENABLE_IP_AUTOALLOCATE: "false"
PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION: "false"
PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS: "false"
PILOT_ENABLE_CA_CRL: "false"
{{- end -}}

{{/* What both entries of the injector's webhook have. */}}
{{- define "istiod.injector" -}}
clientConfig:
  service:
    name: istiod
    namespace: {{ .Release.Namespace }}
    path: /inject
    port: 443
rules:
  - apiGroups: [""]
    apiVersions: [v1]
    resources: [pods]
    operations: [CREATE]
# A pod without its sidecar would be outside the mesh and its policies: better no pod.
failurePolicy: Fail
sideEffects: None
reinvocationPolicy: Never
timeoutSeconds: 10
admissionReviewVersions: [v1]
{{- end -}}
