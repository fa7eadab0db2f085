{{- define "service.env" -}}
- name: AUTH_URL
  value: {{ .Values.upstreams.auth | default (printf "http://%s:5004" (include "ecommerce.componentName" (list . "auth"))) }}
- name: SALES_URL
  value: {{ .Values.upstreams.sales | default (printf "http://%s:5002" (include "ecommerce.componentName" (list . "sales"))) }}
- name: STOCK_URL
  value: {{ .Values.upstreams.stock | default (printf "http://%s:5003" (include "ecommerce.componentName" (list . "stock"))) }}
- name: RATE_LIMIT_RPS
  value: {{ .Values.rateLimit.requestsPerSecond | int | quote }}
- name: RATE_LIMIT_BURST
  value: {{ .Values.rateLimit.burst | int | quote }}
- name: LOGIN_RATE_PER_MINUTE
  value: {{ .Values.rateLimit.loginPerMinute | int | quote }}
- name: CACHE_TTL
  value: {{ .Values.cacheTTL }}
{{- with .Values.cors.origins }}
- name: CORS_ORIGINS
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.trustedProxies }}
- name: TRUSTED_PROXIES
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.connections.max }}
- name: MAX_CONNECTIONS
  value: {{ . | int | quote }}
{{- end }}
- name: MAX_CONNECTIONS_PER_ADDRESS
  value: {{ .Values.connections.perAddress | int | quote }}
{{- if .Values.tls.secretName }}
- name: TLS_CERT_FILE
  value: /etc/ecommerce/tls/tls.crt
- name: TLS_KEY_FILE
  value: /etc/ecommerce/tls/tls.key
{{- end }}
{{- if .Values.routes }}
- name: ROUTES_FILE
  value: /etc/ecommerce/routes/routes.yaml
{{- end }}
{{- end -}}

{{- define "service.mounts" -}}
{{- if .Values.routes }}
- {name: routes, mountPath: /etc/ecommerce/routes, readOnly: true}
{{- end }}
{{- if .Values.tls.secretName }}
- {name: tls, mountPath: /etc/ecommerce/tls, readOnly: true}
{{- end }}
{{- end -}}

{{- define "service.volumes" -}}
{{- if .Values.routes }}
- name: routes
  configMap: {name: {{ include "ecommerce.fullname" . }}}
{{- end }}
{{- with .Values.tls.secretName }}
- name: tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end -}}
