{{/* Rights of the operator in the namespaces of stacks. */}}
{{- define "operator.rules" -}}
- apiGroups: [ecommerce-stack.dev]
  resources: [ecommercestacks]
  verbs: [get, list, watch, patch]
- apiGroups: [ecommerce-stack.dev]
  resources: [ecommercestacks/status]
  verbs: [patch]
- apiGroups: [ecommerce-stack.dev]
  resources: [ecommercestacks/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets, services, configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
# A Secret that is deleted with its namespace is kept until the data is released.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
# A deletion waits until no pod is left, and deletes volumes if deletionPolicy is Delete. A pod
# that blocks its StatefulSet is deleted, and volumes are expanded.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, patch, delete]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [get, list, watch, create, patch, delete]
# Read from the API server and not watched, because a cluster need not have the kind.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, list, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  # The Events of a StatefulSet say why it cannot create a pod.
  verbs: [list, create, patch]
{{- end -}}

{{/* Subject of the bindings. */}}
{{- define "operator.subject" -}}
- kind: ServiceAccount
  name: {{ include "ecommerce.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
