{{- define "service.env" -}}
- name: CURRENCY
  value: {{ .Values.currency }}
{{- end -}}

{{- define "service.mounts" -}}{{- end -}}
{{- define "service.volumes" -}}{{- end -}}
