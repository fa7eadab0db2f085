package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// MySQLSpec chooses the MySQL server.
//
// +kubebuilder:validation:XValidation:rule="has(self.embedded) != has(self.external)",message="set exactly one of spec.mysql.embedded and spec.mysql.external, or leave spec.mysql out for an embedded server"
// +kubebuilder:validation:XValidation:rule="has(self.embedded) == has(oldSelf.embedded)",message="a stack stays with the MySQL it began with, embedded or external: make another stack and move the data"
type MySQLSpec struct {
	// A MySQL server of the stack's own: one pod with one volume.
	// +optional
	Embedded *EmbeddedMySQL `json:"embedded,omitempty"`
	// A MySQL or MariaDB server of one's own.
	// +optional
	External *ExternalMySQL `json:"external,omitempty"`
}

// EmbeddedMySQL is a MySQL server in one pod.
type EmbeddedMySQL struct {
	// Image of the server, the official mysql or one like it. Default: what the
	// operator was installed with.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Image string `json:"image,omitempty"`
	// The server's volume.
	// +kubebuilder:default={size: "5Gi"}
	// +optional
	Storage StorageSpec `json:"storage,omitzero"`
	// CPU and memory of the server. Default: requests of 100m and 384Mi, a memory limit of 768Mi.
	// +optional
	Resources *ResourceSpec `json:"resources,omitempty"`
}

// StorageSpec is a volume.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="storage cannot be changed after creation: grow the PersistentVolumeClaim itself where its StorageClass allows it"
type StorageSpec struct {
	// Size of the volume, at least 256Mi.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('256Mi')) >= 0",message="storage.size must be at least 256Mi"
	Size resource.Quantity `json:"size"`
	// StorageClass of the volume. Default: the cluster's default class.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ClassName string `json:"className,omitempty"`
}

// ExternalMySQL is a server that the stack shares with others or has for itself.
type ExternalMySQL struct {
	// Host name or address of the server, as pods and the operator reach it.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$')",message="host must be a host name or IPv4 address without scheme and port; the port has a field of its own"
	Host string `json:"host"`
	// Port of the server, 1 to 65535.
	// +kubebuilder:default=3306
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int32 `json:"port,omitempty"`
	// Secret with the keys username and password of an account that may create schemas
	// and accounts and grant privileges on them.
	AdminSecretRef SecretReference `json:"adminSecretRef"`
	// Encryption of the connections of the operator and the services.
	// +kubebuilder:default={}
	// +optional
	TLS MySQLTLS `json:"tls,omitzero"`
	// Put before the name of each schema, so that several stacks can share the server:
	// 1 to 24 lower-case letters, digits and underscores. It cannot be changed, or the
	// stack would begin with empty schemas.
	// +kubebuilder:default=""
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z][a-z0-9_]*$')",message="spec.mysql.external.schemaPrefix must be lower-case letters, digits and underscores, beginning with a letter"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.mysql.external.schemaPrefix cannot be changed: the data is in the schemas named by it; make another stack"
	// +optional
	SchemaPrefix string `json:"schemaPrefix"`
}

// MySQLTLS says how connections to MySQL are encrypted.
type MySQLTLS struct {
	// Disabled (default); Verify: the certificate is checked against the public
	// certificate authorities; SkipVerify: encrypted, but the server is not authenticated.
	// +kubebuilder:default=Disabled
	// +kubebuilder:validation:Enum=Disabled;Verify;SkipVerify
	// +optional
	Mode string `json:"mode,omitempty"`
}

// RabbitMQSpec chooses the RabbitMQ broker.
//
// +kubebuilder:validation:XValidation:rule="has(self.embedded) != has(self.external)",message="set exactly one of spec.rabbitmq.embedded and spec.rabbitmq.external, or leave spec.rabbitmq out for an embedded broker"
// +kubebuilder:validation:XValidation:rule="has(self.embedded) == has(oldSelf.embedded)",message="a stack stays with the RabbitMQ it began with, embedded or external: make another stack"
type RabbitMQSpec struct {
	// A broker of the stack's own: one pod, or a cluster of three.
	// +optional
	Embedded *EmbeddedRabbitMQ `json:"embedded,omitempty"`
	// A broker of one's own, version 4.0 or later, with the management plugin.
	// +optional
	External *ExternalRabbitMQ `json:"external,omitempty"`
}

// EmbeddedRabbitMQ is a broker of the stack's own.
type EmbeddedRabbitMQ struct {
	// Image of the broker, the official rabbitmq with management or one like it.
	// Default: what the operator was installed with.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Image string `json:"image,omitempty"`
	// Number of nodes: 1 (default), or 3 for queues that survive the loss of a node. It
	// can be raised, not lowered.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Enum=1;3
	// +kubebuilder:validation:XValidation:rule="self >= oldSelf",message="spec.rabbitmq.embedded.replicas cannot be lowered: queues would lose their majority; keep 3"
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
	// The volume of each node.
	// +kubebuilder:default={size: "2Gi"}
	// +optional
	Storage StorageSpec `json:"storage,omitzero"`
	// CPU and memory of each node. Default: requests of 100m and 256Mi, a memory limit of
	// 768Mi. Publishers are held back at 60 % of the memory limit.
	// +optional
	Resources *ResourceSpec `json:"resources,omitempty"`
}

// ExternalRabbitMQ is a broker that the stack shares with others or has for itself.
type ExternalRabbitMQ struct {
	// Address of the management API, such as https://rabbitmq.example:15671.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._/-]*)?$')",message="spec.rabbitmq.external.managementURL must be http:// or https:// with host and port, without user and password; they belong into adminSecretRef"
	ManagementURL string `json:"managementURL"`
	// Host name or address of the broker, as pods reach it.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$')",message="host must be a host name or IPv4 address without scheme and port; the port has a field of its own"
	Host string `json:"host"`
	// AMQP port of the broker, 1 to 65535; usually 5671 with TLS.
	// +kubebuilder:default=5672
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int32 `json:"port,omitempty"`
	// Secret with the keys username and password of a user with the tag administrator.
	AdminSecretRef SecretReference `json:"adminSecretRef"`
	// Encryption of the services' AMQP connections.
	// +kubebuilder:default={}
	// +optional
	TLS RabbitMQTLS `json:"tls,omitzero"`
	// Virtual host of the stack. Default: <namespace>.<name>.
	// +kubebuilder:default=""
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[A-Za-z0-9._-]+$')",message="spec.rabbitmq.external.vhost must be letters, digits, dots, dashes and underscores; leave it out, and the stack gets <namespace>.<name>"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.rabbitmq.external.vhost cannot be changed: undelivered events are in it; make another stack"
	// +optional
	VHost string `json:"vhost"`
}

// RabbitMQTLS says how AMQP connections are encrypted.
type RabbitMQTLS struct {
	// Disabled (default), or Verify: AMQPS, with the certificate checked against the
	// public certificate authorities.
	// +kubebuilder:default=Disabled
	// +kubebuilder:validation:Enum=Disabled;Verify
	// +optional
	Mode string `json:"mode,omitempty"`
}
