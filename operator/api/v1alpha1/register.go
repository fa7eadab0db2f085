package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind of the resource.
const Kind = "ECommerceStack"

// GroupVersion of this package's types.
var GroupVersion = schema.GroupVersion{Group: "ecommerce-stack.dev", Version: "v1alpha1"}

// AddToScheme adds this package's types to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &ECommerceStack{}, &ECommerceStackList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
