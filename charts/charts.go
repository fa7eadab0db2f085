// Package charts embeds the Helm charts of an ecommerce stack, the only source of its
// manifests: the four services, the two servers, the operator, and the library that
// they share.
//
// The charts use no hooks, lookups or random values, and refer to Secrets by name, so
// rendering the same values always gives the same objects.
package charts

import "embed"

//go:generate go run ./internal/generate

// Names of the charts that can be installed.
const (
	Auth     = "auth"
	Gateway  = "gateway"
	MySQL    = "mysql"
	Operator = "operator"
	RabbitMQ = "rabbitmq"
	Sales    = "sales"
	Stock    = "stock"
)

// Names lists the charts that can be installed.
var Names = []string{Auth, Gateway, MySQL, Operator, RabbitMQ, Sales, Stock}

// FS holds each chart in a folder of its name, beside the folder of the library that
// they depend on. It holds no archive of the library: those that `helm dependency
// build` writes into the checkout differ from one build to the next.
//
//go:embed */Chart.yaml */values.yaml */values.schema.json all:*/templates */files
var FS embed.FS
