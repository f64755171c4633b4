{{- define "crossdock.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 53 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "crossdock.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "crossdock.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "crossdock.selector" . }}
{{- end }}

{{- define "crossdock.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The port at the end of HOST:PORT. */}}
{{- define "crossdock.port" -}}
{{ regexFind "[0-9]+$" . }}
{{- end }}

{{/* Name of the port of the listener at an index. */}}
{{- define "crossdock.portName" -}}
{{ if . }}{{ printf "listen-%d" . }}{{ else }}registry{{ end }}
{{- end }}

{{- define "crossdock.hasAdmin" -}}
{{ if ne .Values.config.admin "off" }}yes{{ end }}
{{- end }}

{{/* A probe's request: the admin listener has neither TLS nor logins. */}}
{{- define "crossdock.health" -}}
{{- if include "crossdock.hasAdmin" . -}}
port: admin
{{- else -}}
{{- $first := first .Values.config.listen -}}
{{- if and $first.tls (($first.tls).clientCa) }}{{ fail "config.listen[0].tls.clientCa: probes have no certificate, so config.admin must not be off" }}{{ end -}}
port: registry
scheme: {{ if $first.tls }}HTTPS{{ else }}HTTP{{ end }}
{{- end -}}
{{- end }}
