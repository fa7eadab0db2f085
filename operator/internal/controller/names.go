package controller

import (
	"slices"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/mysql"
	"ecommerce-stack.dev/operator/internal/rabbitmq"
)

const (
	finalizer = "ecommerce-stack.dev/finalizer"
	// provisionedAnnotation is set on the Secret of an account that exists. Its value
	// changes when the schema or virtual host of the account was lost and created
	// again.
	provisionedAnnotation = "ecommerce-stack.dev/provisioned"
	// serverAnnotation is set on the Secret of an account at an external server, to the
	// address of the server that has the data or events.
	serverAnnotation = "ecommerce-stack.dev/server"
	// checksumAnnotation is set on pods that must be replaced when a Secret changes.
	checksumAnnotation = "ecommerce-stack.dev/secrets-checksum"
	// adminAnnotation is set on the pods of embedded servers, to the UID of the Secret of
	// their administrator.
	adminAnnotation = "ecommerce-stack.dev/admin-secret"
)

// services lists the services in the order in which they are applied and reported.
var services = append(slices.Clone(backends), charts.Gateway)

// backends lists the services behind the gateway.
var backends = []string{charts.Auth, charts.Stock, charts.Sales}

// schemas maps a service to the name of its schema, without prefix.
var schemas = map[string]string{
	charts.Auth:  "users_auth_service",
	charts.Sales: "sales_micro_service",
	charts.Stock: "stock_micro_service",
}

// schemaServices lists the services with a schema, and brokerServices those with a RabbitMQ
// user. The order is fixed, because it is part of a hash.
var (
	schemaServices = []string{charts.Auth, charts.Sales, charts.Stock}
	brokerServices = []string{charts.Gateway, charts.Sales, charts.Stock}
)

// verifierKeys is the suffix of the Secret with the keys of verifiers. No suffix ends with a
// hyphen and another one of the same kind, because stacks x and x-auth in one namespace would
// else share a name.
const verifierKeys = "jwks"

// managerCredential is the credential of the first Manager, unless the stack refers to a
// Secret that you manage.
const managerCredential = "manager"

// credentials lists the credentials that the operator generates, by the suffixes of their
// Secrets.
var credentials = []string{
	managerCredential, "auth-jwt",
	"auth-mysql", "auth-mysql-owner", "sales-mysql", "sales-mysql-owner", "stock-mysql", "stock-mysql-owner", "mysql-root", "mysql-exporter",
	"gateway-rabbitmq", "sales-rabbitmq", "stock-rabbitmq", "rabbitmq-admin",
}

const (
	mysqlPort           = 3306
	amqpPort            = 5672
	managementPort      = "15672"
	gatewayPort         = "5001"
	metricsPort         = "9090"
	defaultManagerEmail = "manager@example.com"
)

// objectName returns the name of an object of the stack.
func objectName(stack *v1alpha1.ECommerceStack, suffix string) string {
	return stack.Name + "-" + suffix
}

// managerSecretName returns the name of the Secret with the first Manager's credentials.
func managerSecretName(stack *v1alpha1.ECommerceStack) string {
	if ref := stack.Spec.Manager.SecretRef; ref != nil {
		return ref.Name
	}
	return objectName(stack, "manager")
}

// desiredSchema returns the schema of a service without accounts in use.
func desiredSchema(stack *v1alpha1.ECommerceStack, service string) mysql.Schema {
	schema := mysql.Schema{Name: schemas[service]}
	if external := stack.Spec.MySQL.External; external != nil {
		schema.Name = external.SchemaPrefix + schema.Name
	}
	for _, purpose := range schemaPurposes {
		schema.Unused = append(schema.Unused, purpose.accountNames(schema.Name)...)
	}
	return schema
}

// schemaPurpose is what an account of a schema is for.
type schemaPurpose struct {
	name       string
	secret     string // suffix of the Secret, after the name of the service
	privileges []string
}

// schemaPurposes lists the purposes: the owner migrates, and the other reads and writes rows.
var schemaPurposes = []schemaPurpose{
	{"owner", "mysql-owner", mysql.OwnerPrivileges},
	{"rw", "mysql", mysql.RowPrivileges},
}

// accountNames returns the names of the pair, and the name that the account had before
// there were pairs.
func (p schemaPurpose) accountNames(schema string) []string {
	pair := mysql.Pair(schema, p.name)
	return []string{pair[0], pair[1], mysql.AccountName(schema, p.name)}
}

// desiredVHost returns the virtual host of the stack without users in use.
func desiredVHost(stack *v1alpha1.ECommerceStack) rabbitmq.VHost {
	vhost := rabbitmq.VHost{Name: stack.Namespace + "." + stack.Name}
	if external := stack.Spec.RabbitMQ.External; external != nil && external.VHost != "" {
		vhost.Name = external.VHost
	}
	for _, service := range brokerServices {
		vhost.Unused = append(vhost.Unused, userNames(stack, service)...)
	}
	return vhost
}

// userNames returns the names of a service's pair of users, and the name that the user had
// before there were pairs.
func userNames(stack *v1alpha1.ECommerceStack, service string) []string {
	name := stack.Namespace + "." + stack.Name + "." + service
	return []string{name + "_a", name + "_b", name}
}
