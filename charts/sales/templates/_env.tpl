{{- define "service.env" -}}
- name: CURRENCY
  value: {{ .Values.currency }}
- name: HOLD_TTL
  value: {{ .Values.holdTTL }}
{{- end -}}

{{- define "service.mounts" -}}{{- end -}}
{{- define "service.volumes" -}}{{- end -}}
