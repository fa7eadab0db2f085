package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// MySQLSpec selects the MySQL server of a stack.
//
// +kubebuilder:validation:XValidation:rule="has(self.embedded) != has(self.external)",message="set exactly one of spec.mysql.embedded and spec.mysql.external, or omit spec.mysql for an embedded server"
// +kubebuilder:validation:XValidation:rule="has(self.embedded) == has(oldSelf.embedded)",message="spec.mysql cannot switch between embedded and external: create another stack and move the data"
type MySQLSpec struct {
	// embedded runs a MySQL server for this stack: one pod with one volume. Default:
	// embedded, if external is not set. A stack cannot switch between embedded and
	// external.
	// +optional
	Embedded *EmbeddedMySQL `json:"embedded,omitempty"`
	// external uses an existing MySQL or MariaDB server that you manage. Default: none.
	// A stack cannot switch between embedded and external.
	// +optional
	External *ExternalMySQL `json:"external,omitempty"`
}

// EmbeddedMySQL configures a MySQL server that runs in one pod.
type EmbeddedMySQL struct {
	// image is the image of the server, the official mysql image or a compatible one.
	// Default: the image that the operator was installed with. At most 512 characters.
	// It can be changed at any time; the pod is replaced.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$')",message="image must be an image reference such as registry.example/mysql:8.4"
	// +optional
	Image string `json:"image,omitempty"`
	// storage is the volume of the server. Default: 5Gi in the cluster's default
	// StorageClass. Its size can be raised.
	// +kubebuilder:default={size: "5Gi"}
	// +optional
	Storage StorageSpec `json:"storage,omitzero"`
	// resources are the CPU and memory of the server. Default: requests of 100m and
	// 384Mi, and a memory limit of 768Mi. They can be changed at any time; the pod is
	// replaced.
	// +optional
	Resources *ResourceSpec `json:"resources,omitempty"`
	// exporter runs mysqld_exporter beside the server, which exports metrics of the
	// server for Prometheus at port 9104. It has an account that can only connect from
	// the pod and only read the state of the server. Default: none; {} enables it. It
	// can be changed at any time; the pod is replaced.
	// +optional
	Exporter *MySQLExporterSpec `json:"exporter,omitempty"`
}

// MySQLExporterSpec configures mysqld_exporter.
type MySQLExporterSpec struct {
	// image is the image of the exporter, the official mysqld-exporter image or a
	// compatible one. Default: the image that the operator was installed with. At most
	// 512 characters. It can be changed at any time; the pod is replaced.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$')",message="image must be an image reference such as registry.example/mysql:8.4"
	// +optional
	Image string `json:"image,omitempty"`
	// resources are the CPU and memory of the exporter. Default: requests of 10m and
	// 24Mi, and a memory limit of 64Mi. They can be changed at any time; the pod is
	// replaced.
	// +optional
	Resources *ResourceSpec `json:"resources,omitempty"`
}

// StorageSpec configures a volume.
//
// +kubebuilder:validation:XValidation:rule="has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)",message="storage.className cannot be changed: the data is on the volume; create another stack and move the data"
// +kubebuilder:validation:XValidation:rule="quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0",message="storage.size cannot be lowered: keep it or raise it"
type StorageSpec struct {
	// size is the size of the volume, at least 256Mi. It can be raised where the
	// StorageClass allows the expansion of volumes, but not lowered.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('256Mi')) >= 0",message="storage.size must be at least 256Mi, such as 10Gi: a number without a unit is in bytes"
	// +required
	Size resource.Quantity `json:"size"`
	// className is the name of the volume's StorageClass. Default: the default class of
	// the cluster. At most 253 characters. It cannot be changed.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="storage.className must be the name of a StorageClass such as standard: lower-case letters, digits, dashes and dots"
	// +optional
	ClassName string `json:"className,omitempty"`
}

// ExternalMySQL configures the use of an existing MySQL or MariaDB server, which other
// stacks and applications may share.
type ExternalMySQL struct {
	// host is the host name or IPv4 address of the server, reachable from pods and from
	// the operator. At most 253 characters. It can be changed, for example after the
	// server moved.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$')",message="host must be a host name or IPv4 address without scheme and port; set the port in the field port, and the host such as db.example"
	// +required
	Host string `json:"host"`
	// port is the port of the server, 1 to 65535. Default: 3306. It can be changed at
	// any time.
	// +kubebuilder:default=3306
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int32 `json:"port,omitempty"`
	// adminSecretRef refers to a Secret with the keys username and password of an
	// account that may create schemas and accounts and grant privileges on them. It can
	// be changed at any time.
	// +required
	AdminSecretRef SecretReference `json:"adminSecretRef"`
	// tls configures the encryption of connections from the operator and the services.
	// Default: Disabled. It can be changed at any time.
	// +kubebuilder:default={}
	// +optional
	TLS MySQLTLS `json:"tls,omitzero"`
	// schemaPrefix is prepended to the name of each schema, so that several stacks can
	// share the server: a lower-case letter, followed by lower-case letters, digits and
	// underscores. Default: no prefix. At most 24 characters. It cannot be changed,
	// because the data is in the schemas with the old names.
	// +kubebuilder:default=""
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z][a-z0-9_]*$')",message="spec.mysql.external.schemaPrefix must be lower-case letters, digits and underscores, beginning with a letter, such as shop_"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.mysql.external.schemaPrefix cannot be changed: the data is in the schemas with this prefix; create another stack"
	// +optional
	SchemaPrefix string `json:"schemaPrefix"`
}

// MySQLTLS configures the encryption of connections to MySQL.
//
// +kubebuilder:validation:XValidation:rule="!has(self.caSecretRef) || self.mode == 'Verify'",message="spec.mysql.external.tls.caSecretRef is only used with mode Verify: set mode to Verify, or remove caSecretRef"
type MySQLTLS struct {
	// mode is Disabled, Verify or SkipVerify. Verify checks the server's certificate
	// against the public certificate authorities and those of caSecretRef. SkipVerify
	// encrypts, but does not authenticate the server. Default: Disabled. It can be
	// changed at any time.
	// +kubebuilder:default=Disabled
	// +kubebuilder:validation:Enum=Disabled;Verify;SkipVerify
	// +optional
	Mode string `json:"mode,omitempty"`
	// caSecretRef refers to a Secret with the key ca.crt, PEM certificates of private
	// authorities that may have signed the server's certificate. The services accept
	// them for all their TLS connections. Default: none. It can be changed at any time;
	// the pods are replaced when the certificates change.
	// +optional
	CASecretRef *SecretReference `json:"caSecretRef,omitempty"`
}

// RabbitMQSpec selects the RabbitMQ broker of a stack.
//
// +kubebuilder:validation:XValidation:rule="has(self.embedded) != has(self.external)",message="set exactly one of spec.rabbitmq.embedded and spec.rabbitmq.external, or omit spec.rabbitmq for an embedded broker"
// +kubebuilder:validation:XValidation:rule="has(self.embedded) == has(oldSelf.embedded)",message="spec.rabbitmq cannot switch between embedded and external: create another stack"
type RabbitMQSpec struct {
	// embedded runs a RabbitMQ broker for this stack: one pod, or a cluster of three.
	// Default: embedded, if external is not set. A stack cannot switch between embedded
	// and external.
	// +optional
	Embedded *EmbeddedRabbitMQ `json:"embedded,omitempty"`
	// external uses an existing RabbitMQ broker that you manage, version 3.10 or later,
	// with the management plugin. Default: none. A stack cannot switch between embedded
	// and external.
	// +optional
	External *ExternalRabbitMQ `json:"external,omitempty"`
}

// EmbeddedRabbitMQ configures a RabbitMQ broker that runs in the stack's namespace.
type EmbeddedRabbitMQ struct {
	// image is the image of the broker, the official rabbitmq image with the management
	// plugin or a compatible one. Default: the image that the operator was installed
	// with. At most 512 characters. It can be changed at any time; the pods are
	// replaced.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$')",message="image must be an image reference such as registry.example/mysql:8.4"
	// +optional
	Image string `json:"image,omitempty"`
	// replicas is the number of nodes: 1, or 3 for queues that survive the loss of a
	// node. Default: 1. It can be raised, but not lowered.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Enum=1;3
	// +kubebuilder:validation:XValidation:rule="self >= oldSelf",message="spec.rabbitmq.embedded.replicas cannot be lowered: queues would lose their majority; keep 3"
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
	// storage is the volume of each node. Default: 2Gi in the cluster's default
	// StorageClass. Its size can be raised.
	// +kubebuilder:default={size: "2Gi"}
	// +optional
	Storage StorageSpec `json:"storage,omitzero"`
	// resources are the CPU and memory of each node. Default: requests of 100m and
	// 256Mi, and a memory limit of 768Mi. The broker blocks publishers at 60% of the
	// memory limit. They can be changed at any time; the pods are replaced.
	// +optional
	Resources *ResourceSpec `json:"resources,omitempty"`
}

// ExternalRabbitMQ configures the use of an existing RabbitMQ broker, which other stacks
// and applications may share.
//
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || !has(self.tls.caSecretRef) || self.tls.mode == 'Verify' || self.managementURL.startsWith('https:')",message="spec.rabbitmq.external.tls.caSecretRef is only used with mode Verify or a managementURL of https: set one of them, or remove caSecretRef"
type ExternalRabbitMQ struct {
	// managementURL is the URL of the management API, such as
	// https://rabbitmq.example:15671. At most 512 characters, without credentials. It
	// can be changed at any time.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._/-]*)?$')",message="spec.rabbitmq.external.managementURL must be http:// or https:// with host and port, without user and password; put them into adminSecretRef"
	// +required
	ManagementURL string `json:"managementURL"`
	// host is the host name or IPv4 address of the broker, reachable from pods. At most
	// 253 characters. It can be changed at any time.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$')",message="host must be a host name or IPv4 address without scheme and port; set the port in the field port, and the host such as db.example"
	// +required
	Host string `json:"host"`
	// port is the AMQP port of the broker, 1 to 65535; usually 5671 with TLS. Default:
	// 5672. It can be changed at any time.
	// +kubebuilder:default=5672
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int32 `json:"port,omitempty"`
	// adminSecretRef refers to a Secret with the keys username and password of a user
	// that has the tag administrator. It can be changed at any time.
	// +required
	AdminSecretRef SecretReference `json:"adminSecretRef"`
	// tls configures the encryption of the services' AMQP connections. Default:
	// Disabled. It can be changed at any time.
	// +kubebuilder:default={}
	// +optional
	TLS RabbitMQTLS `json:"tls,omitzero"`
	// vhost is the name of the stack's virtual host: letters, digits, dots, dashes and
	// underscores. Default: <namespace>.<name> of the stack. At most 128 characters. It
	// cannot be changed, because the virtual host holds undelivered events.
	// +kubebuilder:default=""
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[A-Za-z0-9._-]+$')",message="spec.rabbitmq.external.vhost must be letters, digits, dots, dashes and underscores; omit it to use <namespace>.<name>"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.rabbitmq.external.vhost cannot be changed: it holds undelivered events; create another stack"
	// +optional
	VHost string `json:"vhost"`
}

// RabbitMQTLS configures the encryption of AMQP connections.
type RabbitMQTLS struct {
	// mode is Disabled or Verify. Verify uses AMQPS and checks the broker's certificate
	// against the public certificate authorities and those of caSecretRef. Default:
	// Disabled. It can be changed at any time.
	// +kubebuilder:default=Disabled
	// +kubebuilder:validation:Enum=Disabled;Verify
	// +optional
	Mode string `json:"mode,omitempty"`
	// caSecretRef refers to a Secret with the key ca.crt, PEM certificates of private
	// authorities that may have signed the certificates of the broker and of its
	// management API. The services accept them for all their TLS connections. Default:
	// none. It can be changed at any time; the pods are replaced when the certificates
	// change.
	// +optional
	CASecretRef *SecretReference `json:"caSecretRef,omitempty"`
}
