{{- define "tidegate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Short enough for the longest name that is made of it. */}}
{{- define "tidegate.fullname" -}}
{{- $name := include "tidegate.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* For what has no namespace: two releases may have one name. */}}
{{- define "tidegate.clusterName" -}}
{{ include "tidegate.fullname" . }}-{{ .Release.Namespace }}
{{- end }}

{{- define "tidegate.selector" -}}
app.kubernetes.io/name: {{ include "tidegate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "tidegate.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "tidegate.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "tidegate.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* How long a pod has: what it takes to end gently, and ten seconds. */}}
{{- define "tidegate.gracePeriod" -}}
{{- $needed := add .Values.shutdownDelay .Values.drainTimeout | int }}
{{- $given := .Values.terminationGracePeriodSeconds | default (add $needed 10) | int }}
{{- if le $given $needed }}
{{- fail (printf "terminationGracePeriodSeconds (%d) has to be more than shutdownDelay and drainTimeout together (%d), or pods are killed while they drain" $given $needed) }}
{{- end }}
{{- $given }}
{{- end }}

{{/* YAML takes an unquoted off for false. */}}
{{- define "tidegate.accessLog" -}}
{{- if kindIs "bool" .Values.accessLog }}{{ ternary "-" "off" .Values.accessLog }}{{ else }}{{ .Values.accessLog }}{{ end }}
{{- end }}

{{- define "tidegate.updateStrategy" -}}
{{- if .Values.updateStrategy }}
{{- toYaml .Values.updateStrategy }}
{{- else if .Values.hostNetwork }}
# A node has its ports once, so a pod goes before its successor comes.
type: RollingUpdate
rollingUpdate: {maxUnavailable: 1, maxSurge: 0}
{{- else }}
# A pod is there before another drains.
type: RollingUpdate
rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
{{- end }}
{{- end }}

{{/* What the controller reads, wherever it looks: cluster-wide, or in each of watchNamespaces. */}}
{{- define "tidegate.watchRules" -}}
- apiGroups: [tidegate.dev]
  resources: [applicationgateways]
  verbs: [get, list, watch]
- apiGroups: [tidegate.dev]
  resources: [applicationgateways/status]
  verbs: [get, patch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [get, patch]
- apiGroups: [""]
  resources: [services, secrets, configmaps]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [referencegrants]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{- define "tidegate.subjects" -}}
- kind: ServiceAccount
  name: {{ include "tidegate.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
