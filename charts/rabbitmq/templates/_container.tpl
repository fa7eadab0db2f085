{{/* Fields that the broker's container and its init container share. */}}
{{- define "rabbitmq.container" -}}
image: {{ .Values.image | quote }}
imagePullPolicy: {{ .Values.imagePullPolicy }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "ecommerce.containerSecurity" . | nindent 2 }}
{{- end -}}

{{- define "rabbitmq.mounts" -}}
- {name: config, mountPath: /etc/ecommerce/rabbitmq, readOnly: true}
- {name: data, mountPath: /var/lib/rabbitmq}
- {name: run, mountPath: /run/rabbitmq}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "rabbitmq.env" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
# A short name: the pod's own resolves without DNS, the others' by the search domain.
- {name: RABBITMQ_NODENAME, value: rabbit@$(POD_NAME)}
- {name: HOME, value: /run/rabbitmq}
- {name: RABBITMQ_CONFIG_FILE, value: /run/rabbitmq/rabbitmq.conf}
- {name: RABBITMQ_ENABLED_PLUGINS_FILE, value: /run/rabbitmq/enabled_plugins}
- {name: RABBITMQ_CONF_ENV_FILE, value: /dev/null}
- {name: RABBITMQ_MNESIA_BASE, value: /var/lib/rabbitmq/mnesia}
- {name: RABBITMQ_LOG_BASE, value: /var/lib/rabbitmq/log}
- {name: RABBITMQ_LOGS, value: "-"}
- {name: RABBITMQ_DIST_PORT, value: "25672"}
# Two schedulers that do not spin while they wait.
- {name: RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS, value: +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none}
# The start script becomes the broker instead of watching it, so signals reach it.
- {name: RUNNING_UNDER_SYSTEMD, value: "true"}
{{- end -}}

{{- define "rabbitmq.config" -}}
{{ tpl (.Files.Get "files/rabbitmq.conf") . }}{{ .Files.Get "files/enabled_plugins" }}{{ .Files.Get "files/init.sh" }}{{ .Files.Get "files/start.sh" }}
{{- end -}}
