{{- define "tidegate.labels" -}}
app.kubernetes.io/name: tidegate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "tidegate.selector" -}}
app.kubernetes.io/name: tidegate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Those resources that are Secrets, or those that are not, as one file: (list RESOURCES BOOL). */}}
{{- define "tidegate.file" -}}
{{- range index . 0 }}
{{- if eq (eq .kind "Secret") (index $ 1) }}
---
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}
