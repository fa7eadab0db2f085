{{/* Fields that the server's container and its init container share. */}}
{{- define "mysql.container" -}}
image: {{ .Values.image | quote }}
imagePullPolicy: {{ .Values.imagePullPolicy }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- include "ecommerce.containerSecurity" . | nindent 2 }}
{{- end -}}

{{- define "mysql.mounts" -}}
- {name: config, mountPath: /etc/ecommerce/mysql, readOnly: true}
- {name: data, mountPath: /var/lib/mysql}
- {name: run, mountPath: /run/mysqld}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* Content of the configuration. Its checksum replaces the pod after a change. */}}
{{- define "mysql.config" -}}
{{ tpl (.Files.Get "files/my.cnf") . }}{{ .Files.Get "files/init.sh" }}{{ .Files.Get "files/start.sh" }}
{{- end -}}
