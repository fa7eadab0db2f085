{{/* Names of the objects that the operator applies, comma separated. */}}
{{- define "operator.monitoringObjects" -}}
{{- if .Values.monitoring.podMonitor }}podmonitor,{{ end -}}
{{- if .Values.monitoring.alerts }}alerts{{ end -}}
{{- end -}}

{{- define "operator.monitoringMetadata" -}}
name: {{ include "ecommerce.fullname" . }}
labels:
  {{- include "ecommerce.selectorLabels" . | nindent 2 }}
  app.kubernetes.io/managed-by: ecommerce-operator
  app.kubernetes.io/part-of: ecommerce-stack
  {{- with .Values.monitoring.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "operator.podmonitor" -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "operator.monitoringMetadata" . | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "ecommerce.selectorLabels" . | nindent 6 }}
  podMetricsEndpoints:
    - port: metrics
      path: /metrics
      # The labels namespace and stack of a metric name the stack that it is about.
      honorLabels: true
      relabelings:
        {{- include "ecommerce.relabelings" . | nindent 8 }}
{{- end -}}

{{- define "operator.alerts" -}}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  {{- include "operator.monitoringMetadata" . | nindent 2 }}
spec:
  {{- .Files.Get "files/rules.yaml" | trim | nindent 2 }}
{{- end -}}
