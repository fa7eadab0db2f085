{{/*
Scraping of metrics and export of traces.
*/}}

{{/*
Annotations of a Service with which a Prometheus that reads annotations scrapes its pods,
unless they have a PodMonitor: include "ecommerce.scrapeAnnotations" (list . 9090 "/metrics").
They are on the Service and not on the pods, so that a change replaces no pod.
*/}}
{{- define "ecommerce.scrapeAnnotations" -}}
{{- if not (index . 0).Values.metrics.podMonitor.enabled -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ index . 1 | quote }}
prometheus.io/path: {{ index . 2 }}
{{- end -}}
{{- end -}}

{{/* Target labels that the dashboards and alerts expect, as relabelings of a PodMonitor. */}}
{{- define "ecommerce.relabelings" -}}
- {action: replace, sourceLabels: [__meta_kubernetes_namespace], targetLabel: namespace}
- {action: replace, sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_instance], targetLabel: stack}
- {action: replace, sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_name], targetLabel: service}
- {action: replace, sourceLabels: [__meta_kubernetes_pod_name], targetLabel: pod}
{{- end -}}

{{/* PodMonitor of the port metrics: include "ecommerce.podmonitor" (list . "/metrics"). */}}
{{- define "ecommerce.podmonitor" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.metrics.podMonitor.enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "ecommerce.metadata" $root | nindent 2 }}
    {{- with $root.Values.metrics.podMonitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "ecommerce.selectorLabels" $root | nindent 6 }}
  podMetricsEndpoints:
    - port: metrics
      path: {{ index . 1 }}
      relabelings:
        {{- include "ecommerce.relabelings" $root | nindent 8 }}
{{- end -}}
{{- end -}}

{{/* Environment of the OpenTelemetry SDK; none without a collector. */}}
{{- define "ecommerce.tracingEnv" -}}
{{- if .Values.tracing.endpoint -}}
{{- $attributes := printf "service.namespace=%s,k8s.namespace.name=%s,k8s.pod.name=$(POD_NAME)" .Release.Name .Release.Namespace -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- range $variable := list
    (list "OTEL_EXPORTER_OTLP_ENDPOINT" .Values.tracing.endpoint)
    (list "OTEL_TRACES_SAMPLER" "parentbased_traceidratio")
    (list "OTEL_TRACES_SAMPLER_ARG" .Values.tracing.samplingRatio)
    (list "OTEL_SERVICE_NAME" .Chart.Name)
    (list "OTEL_RESOURCE_ATTRIBUTES" $attributes) }}
- name: {{ index $variable 0 }}
  value: {{ index $variable 1 | quote }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Port of the collector, from its URL. */}}
{{- define "ecommerce.tracingPort" -}}
{{- $url := urlParse .Values.tracing.endpoint -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}
