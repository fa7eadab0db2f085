package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ImageSpec configures the images of auth, sales, stock and gateway.
type ImageSpec struct {
	// registry is the registry and path that precede the name of each image, such as
	// registry.example/shop. Default: the registry that the operator was installed
	// with. At most 255 characters, without scheme. It can be changed at any time; the
	// pods are replaced.
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$')",message="spec.image.registry must be a registry and path without scheme or trailing slash, such as registry.example/shop"
	// +optional
	Registry string `json:"registry,omitempty"`
	// tag is the tag of the images. Default: the version of the operator. At most 128
	// characters. It can be changed at any time; the pods are replaced.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][A-Za-z0-9._-]*$')",message="spec.image.tag must be an image tag: letters, digits, dots, dashes and underscores"
	// +optional
	Tag string `json:"tag,omitempty"`
	// pullPolicy is IfNotPresent, Always or Never: when nodes pull the images. Default:
	// IfNotPresent. It can be changed at any time.
	// +kubebuilder:default=IfNotPresent
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +optional
	PullPolicy corev1.PullPolicy `json:"pullPolicy,omitempty"`
	// pullSecrets lists Secrets in the stack's namespace that hold registry
	// credentials. Default: empty. At most 8. It can be changed at any time.
	// +kubebuilder:validation:MaxItems=8
	// +listType=map
	// +listMapKey=name
	// +optional
	PullSecrets []SecretReference `json:"pullSecrets,omitempty"`
}

// SecretReference identifies a Secret in the stack's namespace.
type SecretReference struct {
	// name is the name of the Secret, 1 to 253 characters.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="name must be the name of a Secret such as shop-credentials: lower-case letters, digits, dashes and dots"
	// +required
	Name string `json:"name"`
}

// ServiceSpec configures one service.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.replicas) && has(self.autoscaling))",message="replicas and autoscaling are mutually exclusive: remove replicas, the autoscaler sets them between minReplicas and maxReplicas"
type ServiceSpec struct {
	// image is the full reference of the service's image, with a tag or a digest, such as
	// registry.example/shop/stock:1.2.3. Use it for development, or to try a version of one
	// service. Default: the image that spec.image selects. At most 512 characters. It can be
	// changed at any time; the pods are replaced.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?/)?[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?@sha256:[a-f0-9]{64})$')",message="image must be a full reference with a tag or a digest, such as registry.example/shop/stock:1.2.3 or registry.example/shop/stock@sha256: and 64 hexadecimal digits"
	// +optional
	Image string `json:"image,omitempty"`
	// replicas is the number of pods, 0 to 100. Rolling updates never go below it. Two
	// or more keep the service available when a node fails. Default: 1, if autoscaling
	// is not set. It is mutually exclusive with autoscaling. It can be changed at any
	// time.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// autoscaling creates a HorizontalPodAutoscaler that sets the number of pods by CPU
	// usage. Default: none. It is mutually exclusive with replicas. It can be changed
	// at any time.
	// +optional
	Autoscaling *AutoscalingSpec `json:"autoscaling,omitempty"`
	// resources are the CPU and memory of the service's container. Default: requests of
	// 50m and 64Mi, and a memory limit of 256Mi. They can be changed at any time; the
	// pods are replaced.
	// +optional
	Resources *ResourceSpec `json:"resources,omitempty"`
	// env lists additional environment variables, such as LOG_LEVEL. Variables that the
	// operator sets are rejected. Default: empty. At most 32. It can be changed at any
	// time; the pods are replaced.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(e, !(e.name in ['HTTP_ADDR','METRICS_ADDR','MYSQL_DSN','AMQP_URL','JWT_ISSUER','JWT_AUDIENCE','JWT_KEYS_FILE','JWT_SIGNING_FILE','JWT_ACTIVE_FILE','ACCESS_TOKEN_TTL','REFRESH_TOKEN_TTL','MANAGER_EMAIL','MANAGER_PASSWORD','MANAGER_RESTORE','CURRENCY','HOLD_TTL','REVOCATIONS_URL','RESERVATIONS_URL','AUTH_URL','SALES_URL','STOCK_URL','RATE_LIMIT_RPS','RATE_LIMIT_BURST','LOGIN_RATE_PER_MINUTE','CACHE_TTL','CORS_ORIGINS','TRUSTED_PROXIES','TLS_CERT_FILE','TLS_KEY_FILE','SHUTDOWN_DELAY','SHUTDOWN_TIMEOUT']))",message="env sets a variable that the operator manages: remove it and set the corresponding field of the spec"
	// +listType=map
	// +listMapKey=name
	// +optional
	Env []EnvVar `json:"env,omitempty"`
	// nodeSelector is the set of labels that a node must have to run the pods. Default:
	// empty. It can be changed at any time.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// tolerations lists the node taints that the pods tolerate. Default: empty. It can
	// be changed at any time.
	// +listType=atomic
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// affinity constrains the scheduling of the pods, in addition to the default spread
	// over nodes. Default: none. It can be changed at any time.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
}

// EnvVar is an environment variable.
type EnvVar struct {
	// name is the name of the variable: capital letters, digits and underscores, not
	// beginning with a digit. 1 to 64 characters.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z_][A-Z0-9_]*$')",message="env.name must be capital letters, digits and underscores such as LOG_LEVEL"
	// +required
	Name string `json:"name"`
	// value is the value of the variable. Do not put secrets here. Default: empty. At
	// most 1024 characters.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Value string `json:"value,omitempty"`
}

// AutoscalingSpec configures a HorizontalPodAutoscaler.
//
// +kubebuilder:validation:XValidation:rule="self.minReplicas <= self.maxReplicas",message="autoscaling.minReplicas must not exceed autoscaling.maxReplicas: raise maxReplicas or lower minReplicas"
type AutoscalingSpec struct {
	// minReplicas is the minimum number of pods, 1 to 100. Default: 2. It can be
	// changed at any time.
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	MinReplicas int32 `json:"minReplicas,omitempty"`
	// maxReplicas is the maximum number of pods, 1 to 100 and at least minReplicas.
	// Default: 6. It can be changed at any time.
	// +kubebuilder:default=6
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	MaxReplicas int32 `json:"maxReplicas,omitempty"`
	// targetCPU is the average CPU usage that the autoscaler maintains, in percent of
	// the requested CPU, 10 to 100. Default: 75. It can be changed at any time.
	// +kubebuilder:default=75
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=100
	// +optional
	TargetCPU int32 `json:"targetCPU,omitempty"`
}

// ResourceSpec is the CPU and memory that a container requests and its limits.
//
// +kubebuilder:validation:XValidation:rule="(!has(self.requests) || self.requests.all(k, k in ['cpu', 'memory'])) && (!has(self.limits) || self.limits.all(k, k in ['cpu', 'memory']))",message="resources have the keys cpu and memory, such as limits: {cpu: 500m, memory: 256Mi}"
// +kubebuilder:validation:XValidation:rule="(!has(self.requests) || !('memory' in self.requests) || !isQuantity(string(self.requests['memory'])) || quantity(string(self.requests['memory'])).compareTo(quantity('16Mi')) >= 0) && (!has(self.limits) || !('memory' in self.limits) || !isQuantity(string(self.limits['memory'])) || quantity(string(self.limits['memory'])).compareTo(quantity('16Mi')) >= 0)",message="memory must be at least 16Mi, such as 256Mi: a number without a unit is in bytes"
// +kubebuilder:validation:XValidation:rule="(!has(self.requests) || !('cpu' in self.requests) || !isQuantity(string(self.requests['cpu'])) || quantity(string(self.requests['cpu'])).compareTo(quantity('1m')) >= 0) && (!has(self.limits) || !('cpu' in self.limits) || !isQuantity(string(self.limits['cpu'])) || quantity(string(self.limits['cpu'])).compareTo(quantity('1m')) >= 0)",message="cpu must be at least 1m, such as 500m for half a CPU"
// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || ['cpu', 'memory'].all(k, !(k in self.requests) || !(k in self.limits) || !isQuantity(string(self.requests[k])) || !isQuantity(string(self.limits[k])) || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",message="requests must not exceed limits: lower the request or raise the limit, such as requests: {memory: 256Mi} and limits: {memory: 512Mi}"
type ResourceSpec struct {
	// requests are the amounts that the scheduler reserves, by resource name (cpu,
	// memory), at least 1m and 16Mi. The defaults do not apply to resources that are
	// left out.
	// +kubebuilder:validation:MaxProperties=8
	// +optional
	Requests corev1.ResourceList `json:"requests,omitempty"`
	// limits are the maximum amounts that the container may use, by resource name (cpu,
	// memory), at least 1m and 16Mi. The defaults do not apply to resources that are
	// left out.
	// +kubebuilder:validation:MaxProperties=8
	// +optional
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// SalesSpec configures the sales service.
type SalesSpec struct {
	ServiceSpec `json:",inline"`
	// holdTTL is how long a held sale keeps its reservation before it is canceled, 1s
	// to 720h. Default: 15m. It can be changed at any time and applies to new holds.
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="spec.sales.holdTTL must be between 1s and 720h, in hours, minutes and seconds such as 15m or 1h30m"
	// +optional
	HoldTTL metav1.Duration `json:"holdTTL,omitzero"`
}

// GatewaySpec configures the gateway and how clients reach it.
type GatewaySpec struct {
	ServiceSpec `json:",inline"`
	// rateLimit limits the requests of each caller. Default: 100 requests per second
	// with bursts of 200, and 60 logins per minute. It can be changed at any time; the
	// pods are replaced.
	// +kubebuilder:default={requestsPerSecond: 100, burst: 200, loginPerMinute: 60}
	// +optional
	RateLimit *RateLimitSpec `json:"rateLimit,omitempty"`
	// cacheTTL is how long responses to public reads are cached, 0s (no cache) to 24h.
	// Default: 30s. It can be changed at any time; the pods are replaced.
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="spec.gateway.cacheTTL must be between 0s (no cache) and 24h, in hours, minutes and seconds such as 30s or 1h30m"
	// +optional
	CacheTTL *metav1.Duration `json:"cacheTTL,omitempty"`
	// service configures the Service in front of the gateway. Default: type ClusterIP.
	// +kubebuilder:default={}
	// +optional
	Service GatewayServiceSpec `json:"service,omitzero"`
	// ingress creates an Ingress to the gateway. Default: none. It can be changed at
	// any time.
	// +optional
	Ingress *IngressSpec `json:"ingress,omitempty"`
	// httpRoute creates an HTTPRoute of the Gateway API to the gateway. Default: none.
	// It can be changed at any time.
	// +optional
	HTTPRoute *HTTPRouteSpec `json:"httpRoute,omitempty"`
	// trustedProxies is the list of CIDRs whose X-Forwarded-For header names the
	// client. Set it when an Ingress, a Gateway or another proxy is in front of the
	// gateway, to the addresses from which that proxy connects; otherwise all clients
	// share the proxy's address and its rate limit. A client inside these ranges can
	// claim any address. Default: empty, the client is the peer of the connection. At
	// most 64 CIDRs. It can be changed at any time; the pods are replaced.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(p, isCIDR(p))",message="spec.gateway.trustedProxies must be CIDRs such as 10.0.0.0/8 or fd00::/8: write a single address as 192.0.2.1/32 or 2001:db8::1/128"
	// +listType=set
	// +optional
	TrustedProxies []string `json:"trustedProxies,omitempty"`
	// tls makes the gateway serve HTTPS instead of HTTP. Default: plain HTTP. It can be
	// changed at any time, but clients and proxies must change their scheme as well.
	// +optional
	TLS *GatewayTLSSpec `json:"tls,omitempty"`
	// cors configures the web origins that may call the gateway from a browser.
	// Default: none. It can be changed at any time; the pods are replaced.
	// +optional
	CORS *CORSSpec `json:"cors,omitempty"`
}

// GatewayTLSSpec configures the certificate of the gateway.
type GatewayTLSSpec struct {
	// secretName is the name of a Secret in the stack's namespace with the keys tls.crt
	// and tls.key, of type kubernetes.io/tls, as cert-manager creates it. The gateway
	// is not changed until the Secret exists and holds a certificate and its key; a
	// renewed certificate is used without a restart. Most Ingress controllers speak
	// HTTP to their backends unless one of their annotations selects HTTPS (set it on
	// the Ingress <stack>-gateway, the operator keeps it), and a Gateway needs a
	// BackendTLSPolicy. 1 to 253 characters. It can be changed at any time.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="spec.gateway.tls.secretName must be the name of a Secret in the stack's namespace: lower-case letters, digits, dashes and dots, such as shop-tls"
	// +required
	SecretName string `json:"secretName"`
}

// HTTPRouteSpec configures an HTTPRoute (gateway.networking.k8s.io/v1) to the gateway. It
// is applied if the cluster serves that kind; the condition HTTPRouteApplied reports it.
type HTTPRouteSpec struct {
	// parentRefs is the list of Gateways that the route attaches to, 1 to 8. Two
	// entries for the same Gateway need different section names. It can be changed at
	// any time.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(p, self.exists_one(q, p.name == q.name && (has(p.__namespace__) ? p.__namespace__ : '') == (has(q.__namespace__) ? q.__namespace__ : '') && (!has(p.sectionName) || !has(q.sectionName) || p.sectionName == q.sectionName)))",message="spec.gateway.httpRoute.parentRefs lists a Gateway twice: remove one entry, or set a different sectionName in each"
	// +listType=atomic
	// +required
	ParentRefs []GatewayReference `json:"parentRefs"`
	// hostnames is the list of host names that the route accepts, such as shop.example
	// or *.shop.example. Default: every host name of the Gateway's listener. At most
	// 16. It can be changed at any time. status.endpoint does not follow it, because
	// the Gateway determines scheme and port.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(h, h.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$') && !isIP(h))",message="spec.gateway.httpRoute.hostnames must be host names in lower case such as shop.example or *.shop.example, without scheme, port or path"
	// +listType=set
	// +optional
	Hostnames []string `json:"hostnames,omitempty"`
}

// GatewayReference identifies a Gateway of the Gateway API.
type GatewayReference struct {
	// name is the name of the Gateway, 1 to 253 characters.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="parentRefs.name must be the name of a Gateway such as public: lower-case letters, digits, dashes and dots"
	// +required
	Name string `json:"name"`
	// namespace is the namespace of the Gateway, at most 63 characters. Default: the
	// stack's namespace. The Gateway's listener must allow routes from the stack's
	// namespace.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="parentRefs.namespace must be the name of a namespace such as infra: lower-case letters, digits and dashes"
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// sectionName is the name of one listener of the Gateway, at most 253 characters.
	// Default: all listeners that accept the route.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="parentRefs.sectionName must be the name of a listener such as https: lower-case letters, digits, dashes and dots"
	// +optional
	SectionName string `json:"sectionName,omitempty"`
	// port is the port of the listener, 1 to 65535. Default: any port.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port *int32 `json:"port,omitempty"`
}

// RateLimitSpec limits the requests of a caller: an authenticated user, or a client
// address.
//
// +kubebuilder:validation:XValidation:rule="self.requestsPerSecond == 0 || self.burst >= 1",message="spec.gateway.rateLimit.burst must be at least 1 while requestsPerSecond limits requests: raise burst, or set requestsPerSecond to 0"
type RateLimitSpec struct {
	// requestsPerSecond is the sustained rate, 0 (no limit) to 1000000 requests per
	// second. Default: 100. It can be changed at any time.
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	RequestsPerSecond int32 `json:"requestsPerSecond"`
	// burst is the number of requests that may arrive at once, 0 to 1000000. It is at
	// least 1 unless requestsPerSecond is 0. Default: 200. It can be changed at any
	// time.
	// +kubebuilder:default=200
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	Burst int32 `json:"burst"`
	// loginPerMinute is the number of registrations, logins and refreshes per minute
	// and client address, 0 (no limit) to 1000000. Default: 60. It can be changed at
	// any time.
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	LoginPerMinute int32 `json:"loginPerMinute"`
}

// GatewayServiceSpec configures the Service in front of the gateway. Its port is 5001.
//
// +kubebuilder:validation:XValidation:rule="!has(self.nodePort) || self.type != 'ClusterIP'",message="spec.gateway.service.nodePort needs spec.gateway.service.type NodePort or LoadBalancer"
// +kubebuilder:validation:XValidation:rule="!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",message="spec.gateway.service.externalTrafficPolicy needs spec.gateway.service.type NodePort or LoadBalancer: remove it, or change the type"
type GatewayServiceSpec struct {
	// type is the type of the Service: ClusterIP, NodePort or LoadBalancer. Default:
	// ClusterIP. It can be changed at any time.
	// +kubebuilder:default=ClusterIP
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	// +optional
	Type corev1.ServiceType `json:"type,omitempty"`
	// nodePort is the port on every node, 1 to 65535 (most clusters allow 30000 to
	// 32767). It requires type NodePort or LoadBalancer. Default: the cluster selects
	// one. It can be changed at any time.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	NodePort *int32 `json:"nodePort,omitempty"`
	// externalTrafficPolicy is Local or Cluster. Local preserves the client's address
	// and sends traffic only to gateway pods of the node that received it; a node
	// without one rejects it, and load balancers skip that node. Cluster sends traffic
	// to gateway pods of any node and replaces the client's address with the node's.
	// Default: Local for the types NodePort and LoadBalancer; it cannot be set for
	// ClusterIP. It can be changed at any time.
	// +kubebuilder:validation:Enum=Local;Cluster
	// +optional
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`
}

// IngressSpec configures an Ingress to the gateway.
type IngressSpec struct {
	// className is the name of the IngressClass. Default: the default class of the
	// cluster. At most 253 characters. It can be changed at any time.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="spec.gateway.ingress.className must be the name of an IngressClass such as nginx: lower-case letters, digits, dashes and dots"
	// +optional
	ClassName string `json:"className,omitempty"`
	// host is the host name of the store in lower case, at most 253 characters. It can
	// be changed at any time.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="spec.gateway.ingress.host must be a host name in lower case, without scheme, port or path, such as shop.example"
	// +required
	Host string `json:"host"`
	// tlsSecretName is the name of a Secret of type kubernetes.io/tls with the
	// certificate for the host. Default: plain HTTP. At most 253 characters. It can be
	// changed at any time.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="spec.gateway.ingress.tlsSecretName must be the name of a Secret such as shop-tls: lower-case letters, digits, dashes and dots"
	// +optional
	TLSSecretName string `json:"tlsSecretName,omitempty"`
}

// CORSSpec configures cross-origin requests of browsers.
type CORSSpec struct {
	// origins lists the allowed origins, such as https://shop.example, without a
	// trailing slash. At most 32. It can be changed at any time.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(o, o.matches('^https?://[A-Za-z0-9.-]+(:[0-9]+)?$'))",message="spec.gateway.cors.origins must be origins such as https://shop.example: scheme and host, no path and no trailing slash"
	// +listType=set
	// +required
	Origins []string `json:"origins"`
}

// JWTSpec configures how tokens are signed and how long they are valid.
//
// +kubebuilder:validation:XValidation:rule="!self.accessTokenTTL.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') || !self.refreshTokenTTL.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') || duration(self.accessTokenTTL) < duration(self.refreshTokenTTL)",message="spec.jwt.accessTokenTTL must be shorter than spec.jwt.refreshTokenTTL"
type JWTSpec struct {
	// algorithm is HS256 or EdDSA. With HS256, auth and all verifiers share a symmetric
	// key. With EdDSA, only auth holds the private key, which is better in production.
	// Default: HS256. A change rotates the key, and issued tokens remain valid.
	// +kubebuilder:default=HS256
	// +kubebuilder:validation:Enum=HS256;EdDSA
	// +optional
	Algorithm string `json:"algorithm,omitempty"`
	// accessTokenTTL is how long an access token is valid, 1m to 24h and less than
	// refreshTokenTTL. Default: 15m. It can be changed at any time and applies to new
	// tokens.
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') && duration(self) >= duration('1m') && duration(self) <= duration('24h')",message="spec.jwt.accessTokenTTL must be between 1m and 24h, in hours, minutes and seconds such as 15m or 1h30m"
	// +optional
	AccessTokenTTL metav1.Duration `json:"accessTokenTTL,omitzero"`
	// refreshTokenTTL is how long a refresh token is valid, 5m to 8760h. Default: 720h.
	// It can be changed at any time and applies to new tokens.
	// +kubebuilder:default="720h"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') && duration(self) >= duration('5m') && duration(self) <= duration('8760h')",message="spec.jwt.refreshTokenTTL must be between 5m and 8760h, in hours, minutes and seconds such as 720h or 1h30m"
	// +optional
	RefreshTokenTTL metav1.Duration `json:"refreshTokenTTL,omitzero"`
	// rotationInterval is the time after which a new key signs, 1h to 8760h, such as 720h.
	// The previous key verifies until its last token has expired, so that no token becomes
	// invalid. Default: no rotation. It can be changed at any time; the annotation
	// ecommerce-stack.dev/rotate-keys requests a rotation at once.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') && duration(self) >= duration('1h') && duration(self) <= duration('8760h')",message="spec.jwt.rotationInterval must be between 1h and 8760h, in hours, minutes and seconds such as 720h"
	// +optional
	RotationInterval metav1.Duration `json:"rotationInterval,omitzero"`
}

// CredentialsSpec configures the rotation of credentials.
type CredentialsSpec struct {
	// rotationInterval is the time after which the services get new accounts at MySQL and
	// RabbitMQ, and the administrators of embedded servers new passwords, 1h to 8760h,
	// such as 2160h. The pods are replaced one by one; no request fails. Default: no
	// rotation. It can be changed at any time; the annotation
	// ecommerce-stack.dev/rotate-credentials requests a rotation at once.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') && duration(self) >= duration('1h') && duration(self) <= duration('8760h')",message="spec.credentials.rotationInterval must be between 1h and 8760h, in hours, minutes and seconds such as 2160h"
	// +optional
	RotationInterval metav1.Duration `json:"rotationInterval,omitzero"`
}

// ManagerSpec configures the first Manager account.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.email) && has(self.secretRef))",message="spec.manager.email and spec.manager.secretRef are mutually exclusive: remove email, the key email of the Secret is used"
type ManagerSpec struct {
	// email is the email address that the manager logs in with. The operator generates
	// the password and stores both in the Secret <stack>-manager. The annotation
	// ecommerce-stack.dev/restore-manager restores the account. Default:
	// manager@example.com. At most 254 characters. It is mutually exclusive with
	// secretRef.
	// +kubebuilder:validation:MaxLength=254
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^@ ]+@[^@ ]+[.][^@ ]+$')",message="spec.manager.email must be an address such as manager@shop.example"
	// +optional
	Email string `json:"email,omitempty"`
	// secretRef refers to an existing Secret with the keys email and password (8 to 72
	// bytes). Default: none. It is mutually exclusive with email.
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`
}
