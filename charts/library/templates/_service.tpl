{{/*
The objects of a stateless service, a template for each kind. A chart that includes
"ecommerce.deployment" defines "service.env" (its own environment) and
"service.volumes"/"service.mounts" (what it reads from files).
*/}}

{{/* Name of a Secret: the value, else <release>-<component>-<suffix>. */}}
{{- define "ecommerce.mysqlSecret" -}}
{{- .Values.mysql.secretName | default (printf "%s-mysql" (include "ecommerce.fullname" .)) -}}
{{- end -}}
{{- define "ecommerce.mysqlOwnerSecret" -}}
{{- .Values.mysql.ownerSecretName | default (printf "%s-mysql-owner" (include "ecommerce.fullname" .)) -}}
{{- end -}}
{{- define "ecommerce.rabbitmqSecret" -}}
{{- .Values.rabbitmq.secretName | default (printf "%s-rabbitmq" (include "ecommerce.fullname" .)) -}}
{{- end -}}
{{- define "ecommerce.jwtSecret" -}}
{{- .Values.jwt.secretName | default (printf "%s-jwks" .Release.Name) -}}
{{- end -}}
{{- define "ecommerce.issuer" -}}
{{- .Values.jwt.issuer | default (printf "urn:ecommerce-stack:%s:%s" .Release.Namespace .Release.Name) -}}
{{- end -}}

{{/* Sources of the volume with the certificates of private authorities. */}}
{{- define "ecommerce.authorities" -}}
{{- range $server := list "mysql" "rabbitmq" }}
{{- with index $.Values $server }}
{{- with .caSecretName }}
- secret: {name: {{ . }}, items: [{key: ca.crt, path: {{ $server }}.crt}]}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
The service reads the public authorities from a file of its image, and others from the
folder SSL_CERT_DIR (https://pkg.go.dev/crypto/x509#SystemCertPool).
*/}}
{{- define "ecommerce.authoritiesEnv" -}}
{{- if include "ecommerce.authorities" . }}
- name: SSL_CERT_DIR
  value: /etc/ecommerce/authorities
{{- end }}
{{- end -}}
{{- define "ecommerce.authoritiesMount" -}}
{{- if include "ecommerce.authorities" . }}
- {name: authorities, mountPath: /etc/ecommerce/authorities, readOnly: true}
{{- end }}
{{- end -}}

{{/* Name of the port: https where the chart has tls.secretName, else http. */}}
{{- define "ecommerce.scheme" -}}
{{- if (.Values.tls).secretName -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{- define "ecommerce.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}
{{- end -}}

{{/*
Environment of the service. A variable in env replaces the chart's of the same name in its
place: names must be unique, and a value may refer to variables before it.
*/}}
{{- define "ecommerce.env" -}}
{{- $own := include "ecommerce.ownEnv" . | fromYamlArray -}}
{{- $added := deepCopy .Values.env -}}
{{- range $variable := $own }}
{{- if hasKey $.Values.env .name }}
{{- $variable = dict "name" .name "value" (get $added .name | toString) }}
{{- $_ := unset $added .name }}
{{- end }}
{{ list $variable | toYaml }}
{{- end }}
{{- range $name, $value := $added }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* The variables that the chart sets. */}}
{{- define "ecommerce.ownEnv" -}}
- name: HTTP_ADDR
  value: ":{{ .Values.service.port | int }}"
- name: METRICS_ADDR
  value: ":9090"
- name: LOG_LEVEL
  value: {{ .Values.logLevel }}
- name: SHUTDOWN_DELAY
  value: {{ .Values.shutdown.delay }}
- name: SHUTDOWN_TIMEOUT
  value: {{ .Values.shutdown.timeout }}
- name: JWT_ISSUER
  value: {{ include "ecommerce.issuer" . | quote }}
- name: JWT_AUDIENCE
  value: {{ .Values.jwt.audience | default (printf "%s:api" (include "ecommerce.issuer" .)) | quote }}
- name: JWT_KEYS_FILE
  value: /etc/ecommerce/jwt/jwks.json
{{- if .Values.mysql }}
{{ include "ecommerce.secretEnv" (dict "name" "MYSQL_DSN" "secret" (include "ecommerce.mysqlSecret" .) "key" "dsn") }}
{{- end }}
{{- if .Values.rabbitmq }}
{{ include "ecommerce.secretEnv" (dict "name" "AMQP_URL" "secret" (include "ecommerce.rabbitmqSecret" .) "key" "url") }}
{{- end }}
{{- with include "service.env" . }}
{{ . }}
{{- end }}
{{- with include "ecommerce.tracingEnv" . }}
{{ . }}
{{- end }}
{{- include "ecommerce.authoritiesEnv" . }}
{{- end -}}

{{/* Migrations run as the schema's owner, before the service and once more after each change of image. */}}
{{- define "ecommerce.migrate" -}}
- name: migrate
  image: {{ include "ecommerce.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [/{{ .Chart.Name }}]
  args: [migrate]
  env:
    - name: LOG_LEVEL
      value: {{ .Values.env.LOG_LEVEL | default .Values.logLevel | quote }}
    {{- include "ecommerce.secretEnv" (dict "name" "MYSQL_DSN" "secret" (include "ecommerce.mysqlOwnerSecret" .) "key" "dsn") | nindent 4 }}
    {{- include "ecommerce.authoritiesEnv" . | indent 4 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext:
    {{- include "ecommerce.containerSecurity" . | nindent 4 }}
  {{- with include "ecommerce.authoritiesMount" . }}
  volumeMounts:
    {{- . | indent 4 }}
  {{- end }}
{{- end -}}

{{- define "ecommerce.probe" -}}
httpGet: {path: {{ index . 1 }}, port: {{ include "ecommerce.scheme" (index . 0) }}
{{- if eq (include "ecommerce.scheme" (index . 0)) "https" }}, scheme: HTTPS{{ end }}}
{{- end -}}

{{- define "ecommerce.probes" -}}
startupProbe:
  {{ include "ecommerce.probe" (list . "/livez") }}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  {{ include "ecommerce.probe" (list . "/livez") }}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  {{ include "ecommerce.probe" (list . "/readyz") }}
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{- define "ecommerce.container" -}}
- name: {{ .Chart.Name }}
  image: {{ include "ecommerce.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [/{{ .Chart.Name }}]
  args: [serve]
  ports:
    - {name: {{ include "ecommerce.scheme" . }}, containerPort: {{ .Values.service.port | int }}, protocol: TCP}
    - {name: metrics, containerPort: 9090, protocol: TCP}
  env:
    {{- include "ecommerce.env" . | nindent 4 }}
  {{- include "ecommerce.probes" . | nindent 2 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext:
    {{- include "ecommerce.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: jwt, mountPath: /etc/ecommerce/jwt, readOnly: true}
    {{- include "ecommerce.authoritiesMount" . | indent 4 }}
    {{- with include "service.mounts" . }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "ecommerce.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "ecommerce.metadata" . | nindent 2 }}
spec:
  {{- if not .Values.autoscaling.enabled }}
  replicas: {{ .Values.replicas | int }}
  {{- end }}
  revisionHistoryLimit: 3
  progressDeadlineSeconds: 300
  selector:
    matchLabels:
      {{- include "ecommerce.selectorLabels" . | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  template:
    metadata:
      {{- include "ecommerce.podMetadata" . | nindent 6 }}
    spec:
      {{- include "ecommerce.placement" . | nindent 6 }}
      # The service itself keeps accepting for shutdown.delay after SIGTERM and then
      # drains for shutdown.timeout, so no preStop hook is needed.
      terminationGracePeriodSeconds: {{ .Values.shutdown.gracePeriodSeconds | int }}
      securityContext:
        {{- include "ecommerce.podSecurity" 65532 | nindent 8 }}
      {{- if .Values.mysql }}
      {{- if .Values.mysql.migrate }}
      initContainers:
        {{- include "ecommerce.migrate" . | nindent 8 }}
      {{- end }}
      {{- end }}
      containers:
        {{- include "ecommerce.container" . | nindent 8 }}
      volumes:
        - name: jwt
          secret: {secretName: {{ include "ecommerce.jwtSecret" . }}, defaultMode: 0440}
        {{- with include "ecommerce.authorities" . }}
        - name: authorities
          projected:
            defaultMode: 0440
            sources:
              {{- . | indent 14 }}
        {{- end }}
        {{- with include "service.volumes" . }}
        {{- . | nindent 8 }}
        {{- end }}
{{- end -}}

{{/*
Metrics are never reachable from outside the cluster, so a Service that may be does not
have their port, but a second Service has.
*/}}
{{- define "ecommerce.separateMetrics" -}}
{{- if or (eq .Chart.Name "gateway") (ne .Values.service.type "ClusterIP") }}true{{ end -}}
{{- end -}}

{{- define "ecommerce.service" -}}
{{- $separate := include "ecommerce.separateMetrics" . -}}
{{- $scrape := include "ecommerce.scrapeAnnotations" (list . 9090 "/metrics") -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "ecommerce.metadata" . | nindent 2 }}
  {{- with merge (dict) .Values.service.annotations (ternary "" $scrape (ne $separate "") | fromYaml) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .Values.service.type }}
  {{- if ne .Values.service.type "ClusterIP" }}
  {{- with .Values.service.externalTrafficPolicy }}
  externalTrafficPolicy: {{ . }}
  {{- end }}
  {{- end }}
  selector:
    {{- include "ecommerce.selectorLabels" . | nindent 4 }}
  ports:
    - name: {{ include "ecommerce.scheme" . }}
      port: {{ .Values.service.port | int }}
      targetPort: {{ include "ecommerce.scheme" . }}
      protocol: TCP
      {{- if eq (include "ecommerce.scheme" .) "https" }}
      appProtocol: https
      {{- end }}
      {{- with .Values.service.nodePort }}
      nodePort: {{ . | int }}
      {{- end }}
    {{- if not $separate }}
    - {name: metrics, port: 9090, targetPort: metrics, protocol: TCP}
    {{- end }}
{{- if $separate }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "ecommerce.fullname" . | trunc 55 | trimSuffix "-" }}-metrics
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "ecommerce.labels" . | nindent 4 }}
  {{- with $scrape }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  type: ClusterIP
  selector:
    {{- include "ecommerce.selectorLabels" . | nindent 4 }}
  ports:
    - {name: metrics, port: 9090, targetPort: metrics, protocol: TCP}
{{- end }}
{{- end -}}

{{- define "ecommerce.horizontalpodautoscaler" -}}
{{- if .Values.autoscaling.enabled -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "ecommerce.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "ecommerce.fullname" . }}
  minReplicas: {{ .Values.autoscaling.minReplicas | int }}
  maxReplicas: {{ .Values.autoscaling.maxReplicas | int }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ .Values.autoscaling.targetCPU | int }}
{{- end -}}
{{- end -}}
