{{- define "auth.signingSecret" -}}
{{- .Values.jwt.signingSecretName | default (printf "%s-jwt" (include "ecommerce.fullname" .)) -}}
{{- end -}}
{{- define "auth.managerSecret" -}}
{{- .Values.manager.secretName | default (include "ecommerce.componentName" (list . "manager")) -}}
{{- end -}}

{{- define "service.env" -}}
- name: JWT_SIGNING_FILE
  value: /etc/ecommerce/signing/jwks.json
- name: JWT_ACTIVE_FILE
  value: /etc/ecommerce/signing/active
- name: ACCESS_TOKEN_TTL
  value: {{ .Values.jwt.accessTokenTTL }}
- name: REFRESH_TOKEN_TTL
  value: {{ .Values.jwt.refreshTokenTTL }}
{{ include "ecommerce.secretEnv" (dict "name" "MANAGER_EMAIL" "secret" (include "auth.managerSecret" .) "key" "email") }}
{{ include "ecommerce.secretEnv" (dict "name" "MANAGER_PASSWORD" "secret" (include "auth.managerSecret" .) "key" "password") }}
{{- with .Values.manager.restore }}
- name: MANAGER_RESTORE
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "service.mounts" -}}
- {name: signing, mountPath: /etc/ecommerce/signing, readOnly: true}
{{- end -}}

{{- define "service.volumes" -}}
- name: signing
  secret: {secretName: {{ include "auth.signingSecret" . }}, defaultMode: 0440}
{{- end -}}
