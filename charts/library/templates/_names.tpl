{{/*
Names and labels. A chart's name is the component it installs.
*/}}

{{/* Name of the component's objects: <release>-<component>. */}}
{{- define "ecommerce.fullname" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of the objects of another component of the same release: include "ecommerce.componentName" (list . "mysql"). */}}
{{- define "ecommerce.componentName" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" $root.Release.Name (index . 1) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "ecommerce.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "ecommerce.fullname" .) -}}
{{- end -}}

{{/* Labels that select the component's pods; they never change. */}}
{{- define "ecommerce.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ecommerce.version" -}}
{{- regexReplaceAll "[^A-Za-z0-9_.-]" (include "ecommerce.tag" .) "_" | trunc 63 | trimAll "-_." -}}
{{- end -}}

{{/* Tag of the image, of charts whose image is a registry and tag or a reference: of a reference without a tag, its digest. */}}
{{- define "ecommerce.tag" -}}
{{- if not (kindIs "map" .Values.image) -}}
{{- .Chart.AppVersion -}}
{{- else if .Values.image.reference -}}
{{- $parts := splitList "@" .Values.image.reference -}}
{{- regexFind "[^:]+$" (ternary (first $parts | base) (last $parts) (contains ":" (first $parts | base))) -}}
{{- else -}}
{{- .Values.image.tag | default .Chart.AppVersion -}}
{{- end -}}
{{- end -}}

{{- define "ecommerce.image" -}}
{{- .Values.image.reference | default (printf "%s/%s:%s" .Values.image.registry .Chart.Name (include "ecommerce.tag" .)) -}}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "ecommerce.labels" -}}
{{ include "ecommerce.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Values.managedBy | default .Release.Service }}
app.kubernetes.io/part-of: ecommerce-stack
{{- with include "ecommerce.version" . }}
app.kubernetes.io/version: {{ . | quote }}
{{- end }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Metadata of an object: include "ecommerce.metadata" . */}}
{{- define "ecommerce.metadata" -}}
name: {{ include "ecommerce.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "ecommerce.labels" . | nindent 2 }}
{{- end -}}

{{/* Labels of the pods. */}}
{{- define "ecommerce.podLabels" -}}
{{ include "ecommerce.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Values.managedBy | default .Release.Service }}
app.kubernetes.io/part-of: ecommerce-stack
{{- end -}}
