// Package ownership says whose a schema or a virtual host is. A marker inside it names
// the stack that made it; what another stack or a person made is neither changed nor
// dropped.
package ownership

import "fmt"

// Owner is a stack. A stack that was deleted and made again has another UID.
type Owner struct {
	UID       string
	Namespace string
	Name      string
}

// String names the owner as people know it.
func (o Owner) String() string { return o.Namespace + "/" + o.Name }

// Marker is what a schema or a virtual host says about its owner.
type Marker struct {
	Owner
	// Released by a stack that was deleted and left its data to a successor of the same
	// namespace and name.
	Released bool
}

// Admits says whether owner may use what bears the marker without adopting it.
func (m Marker) Admits(owner Owner) bool {
	return m.UID == owner.UID || m.Released && m.Namespace == owner.Namespace && m.Name == owner.Name
}

// Conflict says that something is not the stack's. Only a person can settle it.
type ConflictError struct {
	// What is claimed, such as `schema "users_auth_service"`.
	What string
	// Marker of its owner, nil when it has none.
	Marker *Marker
}

// Error names the owner and the possible resolutions.
func (e *ConflictError) Error() string {
	const resolution = "choose a different schemaPrefix or vhost, or set spec.adopt to adopt it"
	if e.Marker == nil {
		return fmt.Sprintf("%s already exists and was not created by a stack: remove it, %s", e.What, resolution)
	}
	return fmt.Sprintf("%s belongs to ECommerceStack %s: delete that stack, %s", e.What, e.Marker.Owner, resolution)
}
