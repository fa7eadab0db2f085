// Package v1alpha1 holds the ECommerceStack resource: a complete e-commerce
// backend as one object.
//
// Every field has a default, so that an empty spec is a working store. Limits and
// rules between fields are part of the schema, and the API server refuses what
// breaks them with a message that names the fix; there is no webhook.
//
// +kubebuilder:object:generate=true
// +groupName=ecommerce-stack.dev
package v1alpha1

// The chart holds the only copy of the definition, because Helm and go:embed read no file
// outside a chart; config/crd links to it.
//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object crd:maxDescLen=1000 paths=. output:crd:dir=../../../charts/operator/files
