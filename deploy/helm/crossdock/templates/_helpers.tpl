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

{{/* Several pods; refused where the store is one pod's own. */}}
{{- define "crossdock.isMany" -}}
{{- if or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled -}}
{{- $store := .Values.config.store | default dict -}}
{{- if not (and (hasPrefix "postgres" ($store.catalog | default "")) (hasPrefix "s3://" ($store.blobs | default ""))) }}{{ fail "replicas, autoscaling: several pods need config.store.catalog on postgres:// and config.store.blobs on s3://" }}{{ end -}}
yes
{{- end -}}
{{- end }}

{{/* Port on which pods pass on to each other what they download; the chart's own unless config.replicas says something. */}}
{{- define "crossdock.replicasPort" -}}
{{- if include "crossdock.isMany" . -}}
{{- if .Values.config.replicas }}{{ with .Values.config.replicas.listen }}{{ include "crossdock.port" . }}{{ end }}{{ else }}5002{{ end -}}
{{- end -}}
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

{{/* Nothing; refused where a password would stand in the ConfigMap. A variable ("${NAME}") is none. */}}
{{- define "crossdock.noPasswords" -}}
{{- $catalog := ((.Values.config.store).catalog) | default "" -}}
{{- $bare := regexReplaceAll "[$][{][A-Za-z_][A-Za-z0-9_]*[}]" $catalog "" -}}
{{- if or (regexMatch "(?s)//[^/@]*:.+@" $bare) (regexMatch "[?&]password=[^&]" $bare) }}{{ fail "config.store.catalog: a password there would lie in a ConfigMap; leave it out and name in secrets.environment a Secret with the key PGPASSWORD, or write ${NAME} of one of its keys" }}{{ end -}}
{{- range $name, $upstream := .Values.config.upstreams | default dict -}}
{{- $password := ($upstream).password | default "" | toString -}}
{{- if and $password (not (regexMatch "^[$][{][A-Za-z_][A-Za-z0-9_]*[}]$" $password)) }}{{ fail (printf "config.upstreams.%s.password: would lie in a ConfigMap; name a file of secrets.create or secrets.existing in passwordFile, or write ${NAME} of a key of secrets.environment" $name) }}{{ end -}}
{{- end -}}
{{- end }}
