// Package v1alpha1 implements version v1alpha1 of the API group ecommerce-stack.dev. Its
// only kind is ECommerceStack, a complete e-commerce backend in one resource.
//
// Every field is optional or defaulted, so an empty spec is a working store. Limits and
// rules between fields are part of the CRD schema: the API server rejects a resource that
// violates them, with a message that says how to fix it. There is no webhook.
//
// +kubebuilder:object:generate=true
// +groupName=ecommerce-stack.dev
package v1alpha1

// The chart holds the only copy of the definition, because Helm and go:embed read no file
// outside a chart; config/crd links to it.
//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object crd:maxDescLen=1000 paths=. output:crd:dir=../../../charts/operator/files
