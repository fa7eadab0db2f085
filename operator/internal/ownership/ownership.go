// Package ownership implements the markers that record which stack owns a schema or a
// virtual host. The operator neither changes nor drops what another stack or a person
// created.
package ownership

import "fmt"

// Owner identifies a stack. A stack that is deleted and created again has a different UID.
type Owner struct {
	UID       string
	Namespace string
	Name      string
}

// String returns the namespace and name of the stack, separated by a slash.
func (o Owner) String() string { return o.Namespace + "/" + o.Name }

// Marker is the ownership record inside a schema or a virtual host.
type Marker struct {
	Owner
	// Released reports whether the owner was deleted and left its data to a successor
	// with the same namespace and name.
	Released bool
}

// Admits reports whether owner may use the marked object without adopting it.
func (m Marker) Admits(owner Owner) bool {
	return m.UID == owner.UID || m.Released && m.Namespace == owner.Namespace && m.Name == owner.Name
}

// Adoption reports whether a stack may take over what is marked as another stack's, or has no
// marker (nil) and was created by a person.
type Adoption func(current *Marker) (bool, error)

// Always adopts everything.
func Always(*Marker) (bool, error) { return true, nil }

// Never adopts nothing.
func Never(*Marker) (bool, error) { return false, nil }

// ConflictError is returned when an object exists that the stack does not own. Only a
// person can resolve it.
type ConflictError struct {
	// What describes the object, such as `schema "users_auth_service"`.
	What string
	// Marker is the marker of the current owner, or nil if there is none.
	Marker *Marker
}

// Error names the current owner and the possible resolutions.
func (e *ConflictError) Error() string {
	const resolution = "choose a different schemaPrefix or vhost, or set spec.adopt"
	if e.Marker == nil {
		return fmt.Sprintf("%s already exists and was not created by a stack: remove it, %s to adopt it", e.What, resolution)
	}
	return fmt.Sprintf("%s belongs to ECommerceStack %s: delete that stack, %s to adopt it when that stack no longer exists", e.What, e.Marker.Owner, resolution)
}
