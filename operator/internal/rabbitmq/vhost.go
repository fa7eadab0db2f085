package rabbitmq

import (
	"fmt"
	"regexp"
	"slices"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"ecommerce-stack.dev/operator/internal/ownership"
	"ecommerce-stack.dev/services/event"
)

// VHost is the virtual host of a stack with its users.
type VHost struct {
	Name  string
	Users []User
	// Unused are the names of users of the stack that must not exist, such as those that a
	// rotation has replaced.
	Unused []string
}

// User is the account of a service.
type User struct {
	Name       string
	Password   string
	Permission event.Permission
}

// Ensure brings the virtual host, its users and its topology into the desired state, and
// returns descriptions of the changes that it made. It returns an *ownership.ConflictError if the
// virtual host or a user exists, is not the owner's, and is not adopted. It returns a *MismatchError if an exchange or queue has properties that cannot be changed.
func (a *Admin) Ensure(vhost VHost, owner ownership.Owner, adopt ownership.Adoption) ([]string, error) {
	changes, err := a.claim(vhost, owner, adopt)
	if err != nil {
		return changes, err
	}
	stepChanges, err := a.ensureUsersAndTopology(vhost)
	changes = append(changes, stepChanges...)
	// An exchange or a queue was deleted after it was listed, or while: the list is then cut off,
	// or its status is 500.
	if isNotFound(err) || isServerError(err) {
		stepChanges, err = a.ensureUsersAndTopology(vhost)
		changes = append(changes, stepChanges...)
	}
	if err != nil {
		return changes, fmt.Errorf("virtual host %s: %w", vhost.Name, err)
	}
	return changes, nil
}

func (a *Admin) ensureUsersAndTopology(vhost VHost) ([]string, error) {
	var changes []string
	for _, step := range []func(VHost) ([]string, error){
		a.ensureUsers, a.deleteUnusedUsers, a.removeForeignAccess, a.ensurePolicies, a.ensureExchanges, a.ensureQueues, a.ensureBindings,
	} {
		stepChanges, err := step(vhost)
		changes = append(changes, stepChanges...)
		if err != nil {
			return changes, err
		}
	}
	return changes, nil
}

// claim creates the virtual host if it does not exist. The marker in its description is set
// by the same request.
func (a *Admin) claim(vhost VHost, owner ownership.Owner, adopt ownership.Adoption) ([]string, error) {
	found, err := ignoreNotFound(a.client.GetVhost(vhost.Name))
	if err != nil {
		return nil, fmt.Errorf("read virtual host %s: %w", vhost.Name, err)
	}
	change := "create virtual host " + vhost.Name
	if found != nil {
		marker := parseMarker(found.Description)
		switch {
		case marker != nil && marker.UID == owner.UID && !marker.Released:
			return nil, nil
		case marker == nil || !marker.Admits(owner):
			adopted, err := adopt(marker)
			if err != nil {
				return nil, err
			}
			if !adopted {
				return nil, &ownership.ConflictError{What: fmt.Sprintf("virtual host %q", vhost.Name), Marker: marker}
			}
		}
		change = "adopt virtual host " + vhost.Name
	} else if adopted, err := adopt(nil); err != nil {
		return nil, err
	} else if !adopted {
		if err := a.checkUsersUnclaimed(vhost); err != nil {
			return nil, err
		}
	}
	if err := a.setMarker(vhost.Name, ownership.Marker{Owner: owner}); err != nil {
		return nil, err
	}
	// The creator of a virtual host has permissions in it. After an adoption they must
	// be granted.
	if err := closeBody(a.client.UpdatePermissionsIn(vhost.Name, a.username,
		rabbithole.Permissions{Configure: ".*", Write: ".*", Read: ".*"})); err != nil {
		return nil, fmt.Errorf("grant the administrator access to virtual host %s: %w", vhost.Name, err)
	}
	return []string{change}, nil
}

// Exists reports whether a virtual host exists.
func (a *Admin) Exists(vhost string) (bool, error) {
	found, err := ignoreNotFound(a.client.GetVhost(vhost))
	if err != nil {
		return false, fmt.Errorf("read virtual host %s: %w", vhost, err)
	}
	return found != nil, nil
}

func (a *Admin) checkUsersUnclaimed(vhost VHost) error {
	for _, user := range vhost.Users {
		found, err := ignoreNotFound(a.client.GetUser(user.Name))
		if err != nil {
			return fmt.Errorf("read user %s: %w", user.Name, err)
		}
		if found != nil && !hasPassword(found, user.Password) {
			return &ownership.ConflictError{What: fmt.Sprintf("user %q", user.Name)}
		}
	}
	for _, name := range vhost.Unused {
		found, err := ignoreNotFound(a.client.GetUser(name))
		if err != nil {
			return fmt.Errorf("read user %s: %w", name, err)
		}
		if found != nil {
			return &ownership.ConflictError{What: fmt.Sprintf("user %q", name)}
		}
	}
	return nil
}

func (a *Admin) setMarker(vhost string, marker ownership.Marker) error {
	if err := closeBody(a.client.PutVhost(vhost, rabbithole.VhostSettings{
		Description: formatMarker(marker), DefaultQueueType: "quorum",
	})); err != nil {
		return fmt.Errorf("mark virtual host %s: %w", vhost, err)
	}
	return nil
}

// Release lets a later stack with the owner's namespace and name claim the virtual host. It
// does nothing if the virtual host is not the owner's.
func (a *Admin) Release(vhost VHost, owner ownership.Owner) error {
	owned, err := a.owns(vhost, owner)
	if err != nil || !owned {
		return err
	}
	return a.setMarker(vhost.Name, ownership.Marker{Owner: owner, Released: true})
}

// Delete deletes the virtual host with its messages, and its users, if they are the
// owner's. The virtual host, which holds the marker, is deleted last, so that an
// interrupted deletion can be repeated.
func (a *Admin) Delete(vhost VHost, owner ownership.Owner) error {
	owned, err := a.owns(vhost, owner)
	if err != nil || !owned {
		return err
	}
	names := slices.Clone(vhost.Unused)
	for _, user := range vhost.Users {
		names = append(names, user.Name)
	}
	for _, name := range names {
		if err := a.deleteUser(name); err != nil {
			return err
		}
	}
	if err := closeBody(a.client.DeleteVhost(vhost.Name)); err != nil && !isNotFound(err) {
		return fmt.Errorf("delete virtual host %s: %w", vhost.Name, err)
	}
	return nil
}

func (a *Admin) owns(vhost VHost, owner ownership.Owner) (bool, error) {
	found, err := ignoreNotFound(a.client.GetVhost(vhost.Name))
	if err != nil || found == nil {
		return false, err
	}
	marker := parseMarker(found.Description)
	return marker != nil && marker.UID == owner.UID, nil
}

var markerPattern = regexp.MustCompile(`^ECommerceStack ([^/ ]+)/([^ ]+) \(uid ([^)]+)\)(, released)?$`)

func formatMarker(m ownership.Marker) string {
	text := fmt.Sprintf("ECommerceStack %s/%s (uid %s)", m.Namespace, m.Name, m.UID)
	if m.Released {
		text += ", released"
	}
	return text
}

func parseMarker(description string) *ownership.Marker {
	match := markerPattern.FindStringSubmatch(description)
	if match == nil {
		return nil
	}
	return &ownership.Marker{
		Owner:    ownership.Owner{Namespace: match[1], Name: match[2], UID: match[3]},
		Released: match[4] != "",
	}
}
