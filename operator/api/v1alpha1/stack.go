package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Helm keeps the definition, and so every stack, when the operator's release is removed.
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"

// ECommerceStack is a complete e-commerce backend: accounts (auth), orders (sales), catalog
// and inventory (stock) and a gateway in front of them, with their MySQL schemas, RabbitMQ
// virtual host and JWT keys. `spec: {}` is a working store; wait for it with `kubectl wait
// --for=condition=Ready estack/<name>`.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=ecommercestacks,singular=ecommercestack,shortName=estack,categories=all
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.status.endpoint`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name becomes part of Service and host names: use at most 40 lower-case letters, digits and dashes, beginning with a letter"
type ECommerceStack struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. The name is at most 40 characters,
	// because it becomes part of Service and host names.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the desired state of the stack. Default: every field at its default.
	// +kubebuilder:default={}
	// +optional
	Spec ECommerceStackSpec `json:"spec,omitzero"`
	// status is the most recently observed state of the stack.
	// +optional
	Status ECommerceStackStatus `json:"status,omitzero"`
}

// ECommerceStackList is a list of stacks.
//
// +kubebuilder:object:root=true
type ECommerceStackList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`
	// items is the list of stacks.
	// +required
	Items []ECommerceStack `json:"items"`
}

// ECommerceStackSpec is the desired state of a stack.
type ECommerceStackSpec struct {
	// image configures where the images of the four services come from. Default: the
	// registry and tag that the operator was installed with. It can be changed at any
	// time; the pods are replaced.
	// +kubebuilder:default={}
	// +optional
	Image ImageSpec `json:"image,omitzero"`

	// currency is the ISO 4217 code of every price and total, such as USD or EUR.
	// Default: USD. Three capital letters. It cannot be changed, because recorded
	// amounts would silently change their meaning.
	// +kubebuilder:default=USD
	// +kubebuilder:validation:MaxLength=3
	// +kubebuilder:validation:XValidation:rule="self in ['AED','AFN','ALL','AMD','AOA','ARS','AUD','AWG','AZN','BAM','BBD','BDT','BHD','BIF','BMD','BND','BOB','BRL','BSD','BTN','BWP','BYN','BZD','CAD','CDF','CHF','CLP','CNY','COP','CRC','CUP','CVE','CZK','DJF','DKK','DOP','DZD','EGP','ERN','ETB','EUR','FJD','FKP','GBP','GEL','GHS','GIP','GMD','GNF','GTQ','GYD','HKD','HNL','HTG','HUF','IDR','ILS','INR','IQD','IRR','ISK','JMD','JOD','JPY','KES','KGS','KHR','KMF','KPW','KRW','KWD','KYD','KZT','LAK','LBP','LKR','LRD','LSL','LYD','MAD','MDL','MGA','MKD','MMK','MNT','MOP','MRU','MUR','MVR','MWK','MXN','MYR','MZN','NAD','NGN','NIO','NOK','NPR','NZD','OMR','PAB','PEN','PGK','PHP','PKR','PLN','PYG','QAR','RON','RSD','RUB','RWF','SAR','SBD','SCR','SDG','SEK','SGD','SHP','SLE','SOS','SRD','SSP','STN','SVC','SYP','SZL','THB','TJS','TMT','TND','TOP','TRY','TTD','TWD','TZS','UAH','UGX','USD','UYU','UZS','VED','VES','VND','VUV','WST','XAF','XCD','XCG','XOF','XPF','YER','ZAR','ZMW','ZWG']",message="spec.currency must be an ISO 4217 code of a currency in use, three capital letters such as USD or EUR"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.currency cannot be changed: recorded amounts use it; create another stack"
	// +optional
	Currency string `json:"currency,omitempty"`

	// mysql selects the MySQL server: embedded (one pod with one volume), or external
	// (a server that you manage). Default: embedded. A stack cannot switch between the
	// two.
	// +kubebuilder:default={embedded: {}}
	// +optional
	MySQL MySQLSpec `json:"mysql,omitzero"`

	// rabbitmq selects the RabbitMQ broker: embedded (one or three pods), or external
	// (a broker that you manage). Default: embedded. A stack cannot switch between the
	// two.
	// +kubebuilder:default={embedded: {}}
	// +optional
	RabbitMQ RabbitMQSpec `json:"rabbitmq,omitzero"`

	// jwt configures how access tokens are signed and how long tokens are valid.
	// Default: HS256, access tokens for 15m and refresh tokens for 720h.
	// +kubebuilder:default={algorithm: HS256, accessTokenTTL: "15m", refreshTokenTTL: "720h"}
	// +optional
	JWT JWTSpec `json:"jwt,omitzero"`

	// credentials configures the rotation of the accounts at MySQL and RabbitMQ. Default:
	// no rotation. It can be changed at any time.
	// +kubebuilder:default={}
	// +optional
	Credentials CredentialsSpec `json:"credentials,omitzero"`

	// manager configures the first Manager account. Default: manager@example.com with a
	// generated password in the Secret <stack>-manager.
	// +kubebuilder:default={}
	// +optional
	Manager ManagerSpec `json:"manager,omitzero"`

	// gateway configures the gateway, the only component that clients connect to.
	// +kubebuilder:default={}
	// +optional
	Gateway GatewaySpec `json:"gateway,omitzero"`

	// auth configures the service that manages accounts and issues tokens.
	// +kubebuilder:default={}
	// +optional
	Auth ServiceSpec `json:"auth,omitzero"`

	// sales configures the service that processes orders.
	// +kubebuilder:default={}
	// +optional
	Sales SalesSpec `json:"sales,omitzero"`

	// stock configures the service that manages the catalog and the inventory.
	// +kubebuilder:default={}
	// +optional
	Stock ServiceSpec `json:"stock,omitzero"`

	// observability configures the scraping of metrics and the export of traces.
	// Default: PodMonitors in a cluster that serves them, and no traces. It can be
	// changed at any time.
	// +kubebuilder:default={}
	// +optional
	Observability ObservabilitySpec `json:"observability,omitzero"`

	// networkPolicies creates a NetworkPolicy for each component that denies all
	// traffic except the flows that the components need. It has an effect only if the
	// cluster's network plugin enforces NetworkPolicies. Default: true. It can be
	// changed at any time.
	// +kubebuilder:default=true
	// +optional
	NetworkPolicies *bool `json:"networkPolicies,omitempty"`

	// deletionPolicy is what happens to the data when the stack is deleted. Retain
	// keeps the schemas, the virtual host, the volumes and the credentials, and a new
	// stack of the same name and namespace uses them again. Delete destroys them
	// permanently. Default: Retain. It can be changed at any time.
	// +kubebuilder:default=Retain
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// adopt takes ownership of existing schemas, accounts, virtual hosts and Secrets
	// that are not marked as owned by this stack. While it is false, the stack stalls
	// on them and its status names their owner. It takes nothing from a stack that still
	// exists, and has no more effect once the stack was ready (status.adoptedTime), until
	// it is set to false and to true again. Default: false. It can be changed at any time.
	// +optional
	Adopt bool `json:"adopt,omitempty"`

	// paused stops reconciliation: the operator updates the status but makes no
	// changes, and a deletion waits. Default: false. It can be changed at any time.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// DeletionPolicy is what happens to a stack's data when the stack is deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

// The deletion policies.
const (
	// DeletionRetain keeps the data for a new stack of the same name and namespace.
	DeletionRetain DeletionPolicy = "Retain"
	// DeletionDelete destroys the data.
	DeletionDelete DeletionPolicy = "Delete"
)

// ForceDeleteAnnotation is the annotation that, set to "true", lets a stack be deleted while
// its external servers are unreachable. The schemas, accounts and virtual host on them remain.
const ForceDeleteAnnotation = "ecommerce-stack.dev/force-delete"

// Annotations that request a rotation. Each new value, such as the time, requests one.
const (
	// RotateCredentialsAnnotation requests new accounts at MySQL and RabbitMQ, and new
	// passwords of the administrators of embedded servers.
	RotateCredentialsAnnotation = "ecommerce-stack.dev/rotate-credentials"
	// RotateKeysAnnotation requests a new JWT key.
	RotateKeysAnnotation = "ecommerce-stack.dev/rotate-keys"
)

// RestoreManagerAnnotation requests that the account of the first manager is restored: it is created
// or enabled, gets the role Manager and the password in the manager's Secret, and its sessions end.
// Each new value, such as the time, requests that once.
const RestoreManagerAnnotation = "ecommerce-stack.dev/restore-manager"
