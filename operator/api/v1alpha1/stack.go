package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Helm keeps the definition, and so every stack, when the operator's release is removed.
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"

// ECommerceStack is a complete e-commerce backend: accounts (auth), orders (sales),
// catalogue and inventory (stock) and a gateway in front of them, with their MySQL
// schemas, RabbitMQ virtual host and JWT keys. `spec: {}` is a working store; wait
// for it with `kubectl wait --for=condition=Ready estack/<name>`.
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
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// What the store should be. Everything is defaulted.
	// +kubebuilder:default={}
	// +optional
	Spec ECommerceStackSpec `json:"spec,omitzero"`
	// What the operator observed last.
	// +optional
	Status ECommerceStackStatus `json:"status,omitzero"`
}

// ECommerceStackList is a list of stacks.
//
// +kubebuilder:object:root=true
type ECommerceStackList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ECommerceStack `json:"items"`
}

// ECommerceStackSpec says what a store should be.
type ECommerceStackSpec struct {
	// Where the images of the four services come from.
	// +kubebuilder:default={}
	// +optional
	Image ImageSpec `json:"image,omitzero"`

	// Currency of every price and total, an ISO 4217 code such as USD or EUR. It
	// cannot be changed, because recorded prices would silently mean something else.
	// +kubebuilder:default=USD
	// +kubebuilder:validation:MaxLength=3
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z]{3}$')",message="spec.currency must be an ISO 4217 code of three capital letters, such as USD or EUR"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.currency cannot be changed: recorded prices are in it; make another stack"
	// +optional
	Currency string `json:"currency,omitempty"`

	// The MySQL server: embedded (one pod with one volume), or external (a server of
	// one's own). Embedded by default; a stack stays with what it began with.
	// +kubebuilder:default={embedded: {}}
	// +optional
	MySQL MySQLSpec `json:"mysql,omitzero"`

	// The RabbitMQ broker: embedded (one or three pods), or external. Embedded by
	// default; a stack stays with what it began with.
	// +kubebuilder:default={embedded: {}}
	// +optional
	RabbitMQ RabbitMQSpec `json:"rabbitmq,omitzero"`

	// How access tokens are signed, and how long tokens live.
	// +kubebuilder:default={algorithm: HS256, accessTokenTTL: "15m", refreshTokenTTL: "720h"}
	// +optional
	JWT JWTSpec `json:"jwt,omitzero"`

	// The first Manager account.
	// +kubebuilder:default={}
	// +optional
	Manager ManagerSpec `json:"manager,omitzero"`

	// The gateway, the store's only door.
	// +kubebuilder:default={}
	// +optional
	Gateway GatewaySpec `json:"gateway,omitzero"`

	// The service that keeps accounts and issues tokens.
	// +kubebuilder:default={}
	// +optional
	Auth ServiceSpec `json:"auth,omitzero"`

	// The service that takes orders.
	// +kubebuilder:default={}
	// +optional
	Sales SalesSpec `json:"sales,omitzero"`

	// The service that keeps the catalogue and the inventory.
	// +kubebuilder:default={}
	// +optional
	Stock ServiceSpec `json:"stock,omitzero"`

	// Makes a NetworkPolicy for every component that denies all but the flows of the
	// architecture. They have an effect only where the cluster's network enforces them.
	// +kubebuilder:default=true
	// +optional
	NetworkPolicies *bool `json:"networkPolicies,omitempty"`

	// What deleting the stack does to its data. Retain keeps schemas, virtual host,
	// volumes and credentials, and a stack of the same name and namespace picks them
	// up again. Delete destroys them for good.
	// +kubebuilder:default=Retain
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// Takes over schemas, accounts, virtual hosts and Secrets that exist already and
	// are not marked as this stack's. Without it the stack stalls and says whose they are.
	// +optional
	Adopt bool `json:"adopt,omitempty"`

	// While true the operator looks and reports, and changes nothing; a deletion waits.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// DeletionPolicy says what becomes of a stack's data when the stack is deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

// The deletion policies.
const (
	DeletionRetain DeletionPolicy = "Retain"
	DeletionDelete DeletionPolicy = "Delete"
)

// ForceDeleteAnnotation set to "true" lets a stack be deleted although its external
// servers cannot be reached; what is on them stays there.
const ForceDeleteAnnotation = "ecommerce-stack.dev/force-delete"
