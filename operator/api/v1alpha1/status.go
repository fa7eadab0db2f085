package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Condition types of a stack. Reconciling and Stalled follow kstatus: a stack that is
// as it should be has neither.
const (
	// ConditionReady: every phase is done and every service has its pods.
	ConditionReady = "Ready"
	// ConditionDatabaseReady: schemas, accounts and grants are as they should be.
	ConditionDatabaseReady = "DatabaseReady"
	// ConditionBrokerReady: virtual host, users and topology are as they should be.
	ConditionBrokerReady = "BrokerReady"
	// ConditionKeysReady: signing keys and the manager's account are in their Secrets.
	ConditionKeysReady = "KeysReady"
	// ConditionWorkloadsReady: the services' objects are applied and their pods are ready.
	ConditionWorkloadsReady = "WorkloadsReady"
	// ConditionClientAddressKnown reports whether the gateway can know the addresses of
	// clients. A stack is ready without it, but rate limits count proxies, not clients.
	ConditionClientAddressKnown = "ClientAddressKnown"
	// ConditionHTTPRouteApplied reports whether spec.gateway.httpRoute is applied. It
	// exists only while the field is set. A stack is ready without it.
	ConditionHTTPRouteApplied = "HTTPRouteApplied"
	// ConditionReconciling: the operator is on its way, or waits for something.
	ConditionReconciling = "Reconciling"
	// ConditionStalled: someone must change something first; the message says what.
	ConditionStalled = "Stalled"
)

// ECommerceStackStatus is what the operator observed last.
type ECommerceStackStatus struct {
	// Generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready, DatabaseReady, BrokerReady, KeysReady, WorkloadsReady,
	// ClientAddressKnown, HTTPRouteApplied (with spec.gateway.httpRoute), Reconciling and
	// Stalled.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// What is going on, as a sentence.
	// +optional
	Phase string `json:"phase,omitempty"`
	// Where the gateway answers.
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
	// Image tag that the services run.
	// +optional
	Version string `json:"version,omitempty"`
	// The components and their pods.
	// +listType=map
	// +listMapKey=name
	// +optional
	Components []ComponentStatus `json:"components,omitempty"`
	// The keys that sign access tokens.
	// +optional
	JWT *JWTStatus `json:"jwt,omitempty"`
	// Objects that the operator applied from its charts.
	// +listType=atomic
	// +optional
	Inventory []ObjectReference `json:"inventory,omitempty"`
}

// ComponentStatus is the state of one component.
type ComponentStatus struct {
	// Name of the component: gateway, auth, sales, stock, mysql or rabbitmq.
	Name string `json:"name"`
	// Pods that are ready.
	Ready int32 `json:"ready"`
	// Pods that there should be.
	Desired int32 `json:"desired"`
	// Image of the component's main container.
	Image string `json:"image"`
}

// JWTStatus names the keys in use.
type JWTStatus struct {
	// Id of the key that signs.
	ActiveKeyID string `json:"activeKeyID"`
}

// ObjectReference names an object of the stack's namespace.
type ObjectReference struct {
	// API group and version, such as apps/v1.
	APIVersion string `json:"apiVersion"`
	// Kind of the object.
	Kind string `json:"kind"`
	// Name of the object.
	Name string `json:"name"`
}
