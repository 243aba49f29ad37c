{{- define "gitea.labels" -}}
app.kubernetes.io/name: gitea
platctl.dev/component: gitea
{{- end }}

{{/* The full name of an image: at its mirror and with its digest, where `global` has them. Takes a dict of global and image. */}}
{{- define "gitea.image" -}}
{{- $upstream := print .image.registry "/" .image.repository ":" .image.tag -}}
{{- $registry := get .global.imageRegistries .image.registry | default .global.imageRegistry | default .image.registry -}}
{{ $registry }}/{{ .image.repository }}:{{ .image.tag }}{{ with get .global.imageDigests $upstream }}@{{ . }}{{ end }}
{{- end }}

{{/* What both containers share: the same program on the same files. */}}
{{- define "gitea.container" -}}
image: {{ include "gitea.image" (dict "global" .Values.global "image" .Values.image) | quote }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources: {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - {name: data, mountPath: /var/lib/gitea}
  - {name: config, mountPath: /etc/gitea, readOnly: true}
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{/* The image's home and temporary directories are made by its entrypoint, which is not used. */}}
{{- define "gitea.directories" -}}
- name: HOME
  value: /var/lib/gitea
- name: TMPDIR
  value: /tmp
{{- end }}

{{/* Gitea's configuration. It cannot be written to, so every secret that Gitea would make for itself is given. */}}
{{- define "gitea.ini" -}}
APP_NAME = Gitea
RUN_MODE = prod
WORK_PATH = /var/lib/gitea

[server]
PROTOCOL = http
HTTP_PORT = 3000
DOMAIN = gitea-http.{{ .Release.Namespace }}.svc.cluster.local
ROOT_URL = http://gitea-http.{{ .Release.Namespace }}.svc.cluster.local:3000/
APP_TEMP_PATH = /tmp
OFFLINE_MODE = true
DISABLE_SSH = true
START_SSH_SERVER = false
LFS_START_SERVER = false

[database]
DB_TYPE = sqlite3
PATH = /var/lib/gitea/data/gitea.db

[security]
INSTALL_LOCK = true
SECRET_KEY_URI = file:/etc/gitea/SECRET_KEY
INTERNAL_TOKEN_URI = file:/etc/gitea/INTERNAL_TOKEN
DISABLE_WEBHOOKS = true

[oauth2]
ENABLED = false
JWT_SECRET_URI = file:/etc/gitea/JWT_SECRET

[service]
DISABLE_REGISTRATION = true
REQUIRE_SIGNIN_VIEW = true

[openid]
ENABLE_OPENID_SIGNIN = false
ENABLE_OPENID_SIGNUP = false

[repository]
ROOT = /var/lib/gitea/git/repositories
DEFAULT_BRANCH = main
DEFAULT_PRIVATE = private
DISABLE_MIGRATIONS = true

[indexer]
ISSUE_INDEXER_TYPE = db

[mirror]
ENABLED = false

[packages]
ENABLED = false

[actions]
ENABLED = false

[cron.update_checker]
ENABLED = false

[log]
MODE = console
LEVEL = Info
{{- end }}
