{{- define "connect-care.labels" -}}
{{ include "connect-care.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "connect-care.selector" -}}
app.kubernetes.io/name: connect-care
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "connect-care.name" -}}
{{ printf "%s-connect-care" .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "connect-care.image" -}}
{{ .repository }}@{{ .digest }}
{{- end }}

{{/* What every container is held to. Both users are nobody's on the node; the group is the pod's own, which mounted
secrets and the proxy's socket are open to. */}}
{{- define "connect-care.held" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* settings.yaml: the user's own, and what the chart alone knows. */}}
{{- define "connect-care.settings" -}}
{{- $own := dict
  "profile" "production"
  "public_url" .Values.publicUrl
  "issuers" .Values.issuers
  "data_dir" "/tmp/connect-care"
  "key_file" "/run/keys/master_key"
  "checkpoint_key" "/run/keys/checkpoint_key"
  "database" .Values.database.url
  "database_password_file" "/run/database/password"
  "organisations_file" "/etc/connect-care/organisations.yaml"
  "certificate_proxies" (list "unix:/run/gateway/gateway.sock")
  "audit_repository" .Values.auditRepository
  "drain_seconds" .Values.ending.drain
  "finish_seconds" .Values.ending.finish
-}}
{{- if .Values.metrics.enabled }}
{{- $_ := set $own "metrics_port" .Values.metrics.port }}
{{- end }}
{{- range $name := keys .Values.settings }}
{{- if hasKey $own $name }}
{{- fail (printf "settings.%s is the chart's own: say it by the value for it (values.yaml), or leave it out." $name) }}
{{- end }}
{{- end }}
{{- $fair := deepCopy (get .Values.settings "fair_use" | default dict) }}
{{- if not (hasKey $fair "workers") }}
{{- $pods := ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled }}
{{- $_ := set $fair "workers" (mul $pods .Values.workers) }}
{{- end }}
{{- $_ := set $own "fair_use" $fair }}
{{- toYaml (merge $own .Values.settings) }}
{{- end }}

{{/* What the gateway and its migration read and write. */}}
{{- define "connect-care.mounts" -}}
- { name: configuration, mountPath: /etc/connect-care/settings.yaml, subPath: settings.yaml, readOnly: true }
- { name: configuration, mountPath: /etc/connect-care/organisations.yaml, subPath: organisations.yaml, readOnly: true }
- { name: keys, mountPath: /run/keys, readOnly: true }
- { name: database, mountPath: /run/database, readOnly: true }
{{- if .Values.secrets.connections }}
- { name: connections, mountPath: /run/connections, readOnly: true }
{{- end }}
- { name: temporary, mountPath: /tmp, subPath: gateway }
{{- end }}
