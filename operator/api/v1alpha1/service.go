package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ImageSpec says where the images auth, sales, stock and gateway come from.
type ImageSpec struct {
	// Registry and path before the image's name, such as registry.example/shop. Default:
	// what the operator was installed with.
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$')",message="spec.image.registry must be a registry and path without scheme or trailing slash, such as registry.example/shop"
	// +optional
	Registry string `json:"registry,omitempty"`
	// Tag of the images. Default: the operator's own version.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][A-Za-z0-9._-]*$')",message="spec.image.tag must be an image tag: letters, digits, dots, dashes and underscores"
	// +optional
	Tag string `json:"tag,omitempty"`
	// When the node pulls the images: IfNotPresent (default), Always or Never.
	// +kubebuilder:default=IfNotPresent
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +optional
	PullPolicy corev1.PullPolicy `json:"pullPolicy,omitempty"`
	// Secrets of the stack's namespace that hold registry credentials.
	// +kubebuilder:validation:MaxItems=8
	// +listType=map
	// +listMapKey=name
	// +optional
	PullSecrets []SecretReference `json:"pullSecrets,omitempty"`
}

// SecretReference names a Secret of the stack's namespace.
type SecretReference struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// ServiceSpec says how one service runs.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.replicas) && has(self.autoscaling))",message="replicas and autoscaling exclude each other: remove replicas, the autoscaler sets them between minReplicas and maxReplicas"
type ServiceSpec struct {
	// Number of pods, 0 to 100; 1 when neither this nor autoscaling is given. Updates
	// never go below it. Two or more keep serving when a node is lost.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// Lets a HorizontalPodAutoscaler set the number of pods by CPU use.
	// +optional
	Autoscaling *AutoscalingSpec `json:"autoscaling,omitempty"`
	// CPU and memory of the service's container. Default: requests of 50m and 64Mi, a
	// memory limit of 256Mi.
	// +optional
	Resources *ResourceSpec `json:"resources,omitempty"`
	// Further environment variables, such as LOG_LEVEL. What the operator itself sets
	// cannot be overridden here.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(e, !(e.name in ['HTTP_ADDR','METRICS_ADDR','MYSQL_DSN','AMQP_URL','JWT_ISSUER','JWT_AUDIENCE','JWT_KEYS_FILE','JWT_SIGNING_FILE','JWT_ACTIVE_FILE','ACCESS_TOKEN_TTL','REFRESH_TOKEN_TTL','MANAGER_EMAIL','MANAGER_PASSWORD','CURRENCY','HOLD_TTL','AUTH_URL','SALES_URL','STOCK_URL','RATE_LIMIT_RPS','RATE_LIMIT_BURST','LOGIN_RATE_PER_MINUTE','CACHE_TTL','CORS_ORIGINS','TRUSTED_PROXIES','TLS_CERT_FILE','TLS_KEY_FILE','SHUTDOWN_DELAY','SHUTDOWN_TIMEOUT']))",message="env sets a variable that the operator owns: remove it, and use the field of the spec that stands for it"
	// +listType=map
	// +listMapKey=name
	// +optional
	Env []EnvVar `json:"env,omitempty"`
	// Labels that a node must have.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Taints the pods tolerate.
	// +listType=atomic
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// Where pods are scheduled, beside the default spread over nodes.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
}

// EnvVar is an environment variable.
type EnvVar struct {
	// Name of the variable: capital letters, digits and underscores.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Z_][A-Z0-9_]*$`
	Name string `json:"name"`
	// Value of the variable. Secrets do not belong here.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Value string `json:"value,omitempty"`
}

// AutoscalingSpec bounds an autoscaler.
//
// +kubebuilder:validation:XValidation:rule="self.minReplicas <= self.maxReplicas",message="autoscaling.minReplicas must not exceed autoscaling.maxReplicas: raise maxReplicas or lower minReplicas"
type AutoscalingSpec struct {
	// Fewest pods, 1 to 100.
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	MinReplicas int32 `json:"minReplicas,omitempty"`
	// Most pods, 1 to 100.
	// +kubebuilder:default=6
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	MaxReplicas int32 `json:"maxReplicas,omitempty"`
	// CPU use that the autoscaler aims at, in percent of the requested CPU, 10 to 100.
	// +kubebuilder:default=75
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=100
	// +optional
	TargetCPU int32 `json:"targetCPU,omitempty"`
}

// ResourceSpec is the CPU and memory that a container asks for and may use.
type ResourceSpec struct {
	// What the scheduler sets aside, by resource name (cpu, memory).
	// +optional
	Requests corev1.ResourceList `json:"requests,omitempty"`
	// What the container may use at most, by resource name (cpu, memory).
	// +optional
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// SalesSpec says how the sales service runs.
type SalesSpec struct {
	ServiceSpec `json:",inline"`
	// How long a held sale keeps its stock before it is cancelled, 1s to 720h.
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="spec.sales.holdTTL must be between 1s and 720h"
	// +optional
	HoldTTL metav1.Duration `json:"holdTTL,omitzero"`
}

// GatewaySpec says how the gateway runs and how it is reached.
type GatewaySpec struct {
	ServiceSpec `json:",inline"`
	// How many requests a caller may make.
	// +kubebuilder:default={requestsPerSecond: 100, burst: 200, loginPerMinute: 60}
	// +optional
	RateLimit *RateLimitSpec `json:"rateLimit,omitempty"`
	// How long answers of public reads are kept, 0s (not at all) to 24h.
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="spec.gateway.cacheTTL must be between 0s (no cache) and 24h"
	// +optional
	CacheTTL *metav1.Duration `json:"cacheTTL,omitempty"`
	// The Service in front of the gateway.
	// +kubebuilder:default={}
	// +optional
	Service GatewayServiceSpec `json:"service,omitzero"`
	// Makes an Ingress to the gateway.
	// +optional
	Ingress *IngressSpec `json:"ingress,omitempty"`
	// httpRoute creates an HTTPRoute of the Gateway API to the gateway. Default: none. It
	// can be changed at any time.
	// +optional
	HTTPRoute *HTTPRouteSpec `json:"httpRoute,omitempty"`
	// trustedProxies is the list of CIDRs whose X-Forwarded-For header names the client.
	// Set it when an Ingress, a Gateway or another proxy is in front of the gateway, to
	// the addresses from which that proxy connects; otherwise all clients share the
	// proxy's address and its rate limit. A client inside these ranges can claim any
	// address. Default: empty, the client is the peer of the connection. At most 64
	// CIDRs. It can be changed at any time; the gateway's pods are replaced.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(p, isCIDR(p))",message="spec.gateway.trustedProxies must be CIDRs such as 10.0.0.0/8 or fd00::/8: write a single address as 192.0.2.1/32 or 2001:db8::1/128"
	// +listType=set
	// +optional
	TrustedProxies []string `json:"trustedProxies,omitempty"`
	// tls makes the gateway serve HTTPS in place of HTTP. Default: plain HTTP. It can be
	// changed at any time, but clients and proxies must change their scheme as well.
	// +optional
	TLS *GatewayTLSSpec `json:"tls,omitempty"`
	// Which web origins may call the gateway from a browser.
	// +optional
	CORS *CORSSpec `json:"cors,omitempty"`
}

// GatewayTLSSpec names the certificate of the gateway.
type GatewayTLSSpec struct {
	// secretName is the name of a Secret in the stack's namespace with the keys tls.crt
	// and tls.key, of type kubernetes.io/tls, as cert-manager creates it. The gateway is
	// not changed until the Secret exists and holds a certificate and its key; a renewed
	// certificate is used without a restart. Most Ingress controllers speak HTTP to their
	// backends unless an annotation of their own says HTTPS (set it on the Ingress
	// <stack>-gateway, the operator keeps it), and a Gateway needs a BackendTLSPolicy. 1 to
	// 253 characters. It can be changed at any time.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="spec.gateway.tls.secretName must be the name of a Secret in the stack's namespace: lower-case letters, digits, dashes and dots"
	SecretName string `json:"secretName"`
}

// HTTPRouteSpec is an HTTPRoute (gateway.networking.k8s.io/v1) to the gateway. It is
// applied where the cluster has that resource; the condition HTTPRouteApplied reports it.
type HTTPRouteSpec struct {
	// parentRefs is the list of Gateways that the route attaches to, 1 to 8. Two entries
	// for one Gateway need different section names. It can be changed at any time.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(p, self.exists_one(q, p.name == q.name && (has(p.__namespace__) ? p.__namespace__ : '') == (has(q.__namespace__) ? q.__namespace__ : '') && (!has(p.sectionName) || !has(q.sectionName) || p.sectionName == q.sectionName)))",message="spec.gateway.httpRoute.parentRefs names a Gateway twice: remove one entry, or give each a different sectionName"
	// +listType=atomic
	ParentRefs []GatewayReference `json:"parentRefs"`
	// hostnames is the list of host names that the route accepts, such as shop.example or
	// *.shop.example. Default: every host name of the Gateway's listener. At most 16. It
	// can be changed at any time. status.endpoint does not follow it, because scheme and
	// port are the Gateway's.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(h, h.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$') && !isIP(h))",message="spec.gateway.httpRoute.hostnames must be host names in lower case such as shop.example or *.shop.example, without scheme, port or path"
	// +listType=set
	// +optional
	Hostnames []string `json:"hostnames,omitempty"`
}

// GatewayReference names a Gateway of the Gateway API.
type GatewayReference struct {
	// name is the name of the Gateway, 1 to 253 characters.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// namespace is the namespace of the Gateway, at most 63 characters. Default: the
	// stack's namespace. The Gateway's listener must allow routes of the stack's namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// sectionName is the name of one listener of the Gateway, at most 253 characters.
	// Default: all listeners that accept the route.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	SectionName string `json:"sectionName,omitempty"`
	// port is the port of the listener, 1 to 65535. Default: any port.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port *int32 `json:"port,omitempty"`
}

// RateLimitSpec bounds the requests of a caller: a signed-in user, else a client address.
//
// +kubebuilder:validation:XValidation:rule="self.requestsPerSecond == 0 || self.burst >= 1",message="spec.gateway.rateLimit.burst must be at least 1 while requestsPerSecond limits requests: raise burst, or set requestsPerSecond to 0"
type RateLimitSpec struct {
	// Requests a second in the long run; 0 switches the limit off.
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	RequestsPerSecond int32 `json:"requestsPerSecond"`
	// Requests at once.
	// +kubebuilder:default=200
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	Burst int32 `json:"burst"`
	// Registrations, logins and refreshes a minute and client address; 0 switches the limit off.
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	LoginPerMinute int32 `json:"loginPerMinute"`
}

// GatewayServiceSpec is the Service in front of the gateway, on port 5001.
//
// +kubebuilder:validation:XValidation:rule="!has(self.nodePort) || self.type != 'ClusterIP'",message="spec.gateway.service.nodePort needs spec.gateway.service.type NodePort or LoadBalancer"
// +kubebuilder:validation:XValidation:rule="!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",message="spec.gateway.service.externalTrafficPolicy needs spec.gateway.service.type NodePort or LoadBalancer: remove it, or change the type"
type GatewayServiceSpec struct {
	// Type of the Service: ClusterIP (default), NodePort or LoadBalancer.
	// +kubebuilder:default=ClusterIP
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	// +optional
	Type corev1.ServiceType `json:"type,omitempty"`
	// Port on every node, 1 to 65535 (most clusters allow 30000 to 32767). Default: the
	// cluster picks one.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	NodePort *int32 `json:"nodePort,omitempty"`
	// externalTrafficPolicy is Local or Cluster. Local keeps the client's address and
	// sends traffic to gateway pods of the node that received it; a node without one
	// refuses it, and load balancers skip that node. Cluster sends traffic to gateway pods
	// of any node and replaces the client's address by the node's. Default: Local for the
	// types NodePort and LoadBalancer; it cannot be set for ClusterIP. It can be changed
	// at any time.
	// +kubebuilder:validation:Enum=Local;Cluster
	// +optional
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`
}

// IngressSpec is an Ingress to the gateway.
type IngressSpec struct {
	// Class of the Ingress. Default: the cluster's default class.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ClassName string `json:"className,omitempty"`
	// Host name the store is reached by.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="spec.gateway.ingress.host must be a host name in lower case, without scheme, port or path"
	Host string `json:"host"`
	// Secret of type kubernetes.io/tls with the host's certificate. Default: plain HTTP.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	TLSSecretName string `json:"tlsSecretName,omitempty"`
}

// CORSSpec lists web origins.
type CORSSpec struct {
	// Origins such as https://shop.example, without a trailing slash.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(o, o.matches('^https?://[A-Za-z0-9.-]+(:[0-9]+)?$'))",message="spec.gateway.cors.origins must be origins such as https://shop.example: scheme and host, no path and no trailing slash"
	// +listType=set
	Origins []string `json:"origins"`
}

// JWTSpec says how tokens are signed and how long they live.
//
// +kubebuilder:validation:XValidation:rule="duration(self.accessTokenTTL) < duration(self.refreshTokenTTL)",message="spec.jwt.accessTokenTTL must be shorter than spec.jwt.refreshTokenTTL"
type JWTSpec struct {
	// HS256 (default): one symmetric key for auth and every verifier. EdDSA: auth holds
	// the private key and verifiers the public half only.
	// +kubebuilder:default=HS256
	// +kubebuilder:validation:Enum=HS256;EdDSA
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.jwt.algorithm cannot be changed: tokens in use would stop working; make another stack"
	// +optional
	Algorithm string `json:"algorithm,omitempty"`
	// How long an access token is valid, 1m to 24h.
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('24h')",message="spec.jwt.accessTokenTTL must be between 1m and 24h"
	// +optional
	AccessTokenTTL metav1.Duration `json:"accessTokenTTL,omitzero"`
	// How long a refresh token is valid, 5m to 8760h.
	// +kubebuilder:default="720h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5m') && duration(self) <= duration('8760h')",message="spec.jwt.refreshTokenTTL must be between 5m and 8760h"
	// +optional
	RefreshTokenTTL metav1.Duration `json:"refreshTokenTTL,omitzero"`
}

// ManagerSpec is the first Manager account.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.email) && has(self.secretRef))",message="spec.manager.email and spec.manager.secretRef exclude each other: remove email, the Secret's key email holds it"
type ManagerSpec struct {
	// Address the manager logs in with; manager@example.com when neither this nor
	// secretRef is given. The password is made and kept in the Secret <stack>-manager.
	// +kubebuilder:validation:MaxLength=254
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^@ ]+@[^@ ]+[.][^@ ]+$')",message="spec.manager.email must be an address such as manager@shop.example"
	// +optional
	Email string `json:"email,omitempty"`
	// Secret of one's own with the keys email and password (8 to 72 bytes).
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`
}
