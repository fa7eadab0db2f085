{{/* Fields that the server's container and its init container share. */}}
{{- define "mysql.container" -}}
image: {{ .Values.image | quote }}
imagePullPolicy: {{ .Values.imagePullPolicy }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
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

{{- define "mysql.exporterSecret" -}}
{{- .Values.metrics.secretName | default (printf "%s-exporter" (include "ecommerce.fullname" .)) -}}
{{- end -}}

{{/*
mysqld_exporter reads the status and the variables of the server and the counters of
InnoDB, such as those of deadlocks. The server has no replicas, so their state is not read.
*/}}
{{- define "mysql.exporter" -}}
- name: exporter
  image: {{ .Values.metrics.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  args:
    - --mysqld.address=127.0.0.1:3306
    - --mysqld.username=exporter
    - --web.listen-address=:9104
    - --collect.info_schema.innodb_metrics
    - --no-collect.slave_status
  env:
    {{- include "ecommerce.secretEnv" (dict "name" "MYSQLD_EXPORTER_PASSWORD" "secret" (include "mysql.exporterSecret" .) "key" "password") | nindent 4 }}
  ports:
    - {name: metrics, containerPort: 9104, protocol: TCP}
  # They check the exporter and not the server, which has its own.
  startupProbe:
    tcpSocket: {port: metrics}
    periodSeconds: 1
    failureThreshold: 60
  livenessProbe:
    tcpSocket: {port: metrics}
    periodSeconds: 15
    timeoutSeconds: 10
    failureThreshold: 4
  readinessProbe:
    tcpSocket: {port: metrics}
    periodSeconds: 5
    timeoutSeconds: 5
  resources:
    {{- toYaml .Values.metrics.resources | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext:
    {{- include "ecommerce.containerSecurity" . | nindent 4 }}
{{- end -}}
