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
type Conflict struct {
	// What is claimed, such as `schema "users_auth_service"`.
	What string
	// Marker of its owner, nil when it has none.
	Marker *Marker
}

// Error names the owner and the ways out.
func (c *Conflict) Error() string {
	if c.Marker == nil {
		return fmt.Sprintf("%s exists already and was not made by a stack: remove it, choose other names with "+
			"schemaPrefix or vhost, or set spec.adopt to take it over", c.What)
	}
	return fmt.Sprintf("%s belongs to ECommerceStack %s: delete that stack, choose other names with "+
		"schemaPrefix or vhost, or set spec.adopt to take it over", c.What, c.Marker.Owner)
}
