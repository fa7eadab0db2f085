{{- define "service.env" -}}
- name: REVOCATIONS_URL
  value: {{ .Values.revocationsURL | default (printf "http://%s:9090/revocations" (include "ecommerce.componentName" (list . "auth"))) }}
- name: RESERVATIONS_URL
  value: {{ .Values.reservationsURL | default (printf "http://%s:9090/reservations" (include "ecommerce.componentName" (list . "stock"))) }}
- name: CURRENCY
  value: {{ .Values.currency }}
- name: HOLD_TTL
  value: {{ .Values.holdTTL }}
{{- end -}}

{{- define "service.mounts" -}}{{- end -}}
{{- define "service.volumes" -}}{{- end -}}
