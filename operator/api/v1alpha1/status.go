package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Condition types of a stack. Reconciling and Stalled follow kstatus: both are False for a
// stack that is in the desired state.
const (
	// ConditionReady reports whether all phases succeeded and all pods have the
	// revision that was applied and are ready.
	ConditionReady = "Ready"
	// ConditionDatabaseReady reports whether schemas, accounts and grants match the
	// spec.
	ConditionDatabaseReady = "DatabaseReady"
	// ConditionBrokerReady reports whether virtual host, users and topology match the
	// spec.
	ConditionBrokerReady = "BrokerReady"
	// ConditionKeysReady reports whether the Secrets hold the JWT signing keys and the
	// manager's credentials.
	ConditionKeysReady = "KeysReady"
	// ConditionWorkloadsReady reports whether the objects of the services are applied
	// and their pods are ready.
	ConditionWorkloadsReady = "WorkloadsReady"
	// ConditionClientAddressKnown reports whether the gateway can determine the
	// addresses of clients. It does not affect Ready. While it is False, all clients
	// behind a proxy share one rate limit.
	ConditionClientAddressKnown = "ClientAddressKnown"
	// ConditionHTTPRouteApplied reports whether spec.gateway.httpRoute is applied. It
	// exists only while the field is set, and does not affect Ready.
	ConditionHTTPRouteApplied = "HTTPRouteApplied"
	// ConditionPodMonitorsApplied reports whether the stack's PodMonitors are applied.
	// It exists only while spec.observability.podMonitors is true, and does not affect
	// Ready.
	ConditionPodMonitorsApplied = "PodMonitorsApplied"
	// ConditionEndpointReady reports whether the operator reached the gateway at the
	// address that clients use: the Ingress, the load balancer, or the Service. It does
	// not affect Ready.
	ConditionEndpointReady = "EndpointReady"
	// ConditionReconciling reports whether the operator is still working toward the
	// desired state or waits for something to become ready.
	ConditionReconciling = "Reconciling"
	// ConditionStalled reports whether reconciliation cannot proceed until a person
	// changes something. The message says what to change.
	ConditionStalled = "Stalled"
)

// ECommerceStackStatus is the most recently observed state of a stack.
type ECommerceStackStatus struct {
	// conditions are the conditions Ready, DatabaseReady, BrokerReady, KeysReady,
	// WorkloadsReady, EndpointReady, ClientAddressKnown, HTTPRouteApplied (only while
	// spec.gateway.httpRoute is set), PodMonitorsApplied (only while
	// spec.observability.podMonitors is true), Reconciling and Stalled.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// adoptedTime is when the stack became ready with spec.adopt, which ended the
	// adoption. It is absent while spec.adopt is false.
	// +optional
	AdoptedTime *metav1.Time `json:"adoptedTime,omitempty"`
	// phase is a sentence for people that summarizes the conditions. Programs should
	// read the conditions.
	// +optional
	Phase string `json:"phase,omitempty"`
	// endpoint is the URL at which the operator reached the gateway: the Ingress host,
	// else the address of the load balancer, else the name of the Service within the
	// cluster. It is empty if none responded; the condition EndpointReady says why.
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
	// version is the image tag of the services that run, of the last completed rollout, or
	// "mixed" if they have several: see components for the image of each.
	// +optional
	Version string `json:"version,omitempty"`
	// components lists the gateway, the services and the embedded servers with their
	// pods.
	// +listType=map
	// +listMapKey=name
	// +optional
	Components []ComponentStatus `json:"components,omitempty"`
	// jwt describes the keys that sign access tokens.
	// +optional
	JWT *JWTStatus `json:"jwt,omitempty"`
	// credentials describes the accounts at MySQL and RabbitMQ.
	// +optional
	Credentials *CredentialsStatus `json:"credentials,omitempty"`
	// manager describes the account of the first manager. It is missing before the first
	// restoration.
	// +optional
	Manager *ManagerStatus `json:"manager,omitempty"`
	// inventory lists the objects that the operator applied from its charts.
	// +listType=atomic
	// +optional
	Inventory []ObjectReference `json:"inventory,omitempty"`
}

// ComponentStatus is the observed state of one component.
type ComponentStatus struct {
	// name is the name of the component: gateway, auth, sales, stock, mysql or
	// rabbitmq.
	// +required
	Name string `json:"name"`
	// ready is the number of pods that are ready.
	// +required
	Ready int32 `json:"ready"`
	// desired is the number of pods that the component should have.
	// +required
	Desired int32 `json:"desired"`
	// image is the image of the main container in the last completed rollout. It is
	// empty before the first.
	// +required
	Image string `json:"image"`
}

// JWTStatus describes the JWT signing keys in use.
type JWTStatus struct {
	// activeKeyID is the ID of the key that signs new access tokens.
	// +required
	ActiveKeyID string `json:"activeKeyID"`
	// lastRotation is when that key began to sign. It is missing before the first rotation.
	// +optional
	LastRotation *metav1.Time `json:"lastRotation,omitempty"`
	// nextRotation is when a new key is due. It is missing without
	// spec.jwt.rotationInterval.
	// +optional
	NextRotation *metav1.Time `json:"nextRotation,omitempty"`
}

// CredentialsStatus describes the accounts at MySQL and RabbitMQ.
type CredentialsStatus struct {
	// lastRotation is when an account was last replaced. It is missing before the first
	// rotation.
	// +optional
	LastRotation *metav1.Time `json:"lastRotation,omitempty"`
	// nextRotation is when the oldest credential is due. It is missing without
	// spec.credentials.rotationInterval.
	// +optional
	NextRotation *metav1.Time `json:"nextRotation,omitempty"`
}

// ManagerStatus describes the account of the first manager.
type ManagerStatus struct {
	// restoreRequest is the ID of the last request that was fulfilled, a hash of the value of
	// the annotation ecommerce-stack.dev/restore-manager.
	// +required
	RestoreRequest string `json:"restoreRequest"`
	// lastRestoration is when the operator learned that the account was restored.
	// +optional
	LastRestoration *metav1.Time `json:"lastRestoration,omitempty"`
}

// ObjectReference identifies an object in the stack's namespace.
type ObjectReference struct {
	// apiVersion is the API group and version of the object, such as apps/v1.
	// +required
	APIVersion string `json:"apiVersion"`
	// kind is the kind of the object.
	// +required
	Kind string `json:"kind"`
	// name is the name of the object.
	// +required
	Name string `json:"name"`
}
