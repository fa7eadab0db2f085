{{/*
NetworkPolicies deny what they do not list.
*/}}

{{/* The peer that is a component of the same release: include "ecommerce.peer" (list . "gateway"). */}}
{{- define "ecommerce.peer" -}}
{{- $root := index . 0 -}}
podSelector:
  matchLabels:
    app.kubernetes.io/name: {{ index . 1 }}
    app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end -}}

{{/* The operator, in its namespace; in any one if networkPolicy.operatorNamespace is empty. */}}
{{- define "ecommerce.operatorPeer" -}}
{{- with .Values.networkPolicy.operatorNamespace -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ . }}
{{- else -}}
namespaceSelector: {}
{{- end }}
podSelector:
  matchLabels:
    app.kubernetes.io/name: operator
    app.kubernetes.io/part-of: ecommerce-stack
{{- end -}}

{{/* Name lookups may go to any address, because the DNS server of a cluster is not known. */}}
{{- define "ecommerce.dnsEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{/* Metrics may be read from every namespace. */}}
{{- define "ecommerce.metricsIngress" -}}
- from:
    - namespaceSelector: {}
  ports:
    - {port: {{ . }}, protocol: TCP}
{{- end -}}

{{/*
NetworkPolicy of a service: requests from the gateway (to the gateway: from
anywhere), metrics, name lookups, and what networkPolicy.egress lists. The
gateway also reaches the services of its release, and sales and stock
the revocations of auth, sales the reservations of stock.
*/}}
{{- define "ecommerce.networkpolicy" -}}
{{- if .Values.networkPolicy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "ecommerce.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "ecommerce.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports:
        - {port: {{ .Values.service.port | int }}, protocol: TCP}
      {{- if ne .Chart.Name "gateway" }}
      from:
        - {{- include "ecommerce.peer" (list . "gateway") | nindent 10 }}
      {{- end }}
    {{- include "ecommerce.metricsIngress" 9090 | nindent 4 }}
  egress:
    {{- include "ecommerce.dnsEgress" . | nindent 4 }}
    {{- if eq .Chart.Name "gateway" }}
    {{- range $name, $port := dict "auth" 5004 "sales" 5002 "stock" 5003 }}
    - to:
        - {{- include "ecommerce.peer" (list $ $name) | nindent 10 }}
      ports:
        - {port: {{ $port }}, protocol: TCP}
    {{- end }}
    {{- end }}
    {{- if has .Chart.Name (list "sales" "stock") }}
    - to:
        - {{- include "ecommerce.peer" (list . "auth") | nindent 10 }}
        {{- if eq .Chart.Name "sales" }}
        - {{- include "ecommerce.peer" (list . "stock") | nindent 10 }}
        {{- end }}
      ports:
        - {port: 9090, protocol: TCP}
    {{- end }}
    {{- if .Values.tracing.endpoint }}
    # A URL does not name the pods of the collector, so the port is open to any address.
    - ports:
        - {port: {{ include "ecommerce.tracingPort" . }}, protocol: TCP}
    {{- end }}
    {{- range .Values.networkPolicy.egress }}
    - ports:
        - {port: {{ .port | int }}, protocol: TCP}
      {{- with .to }}
      to:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
{{- end -}}
{{- end -}}
