package rabbitmq

import (
	"fmt"
	"slices"
	"strings"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"ecommerce-stack.dev/services/event"
)

// removeForeignAccess clears the permissions that users of others have in the virtual host.
// The users remain, with their permissions in other virtual hosts. The administrator keeps
// its permissions, and so do consumers outside of the store that have no more than
// event.ConsumerPermission.
func (a *Admin) removeForeignAccess(vhost VHost) ([]string, error) {
	permissions, err := a.client.ListPermissions()
	if err != nil {
		return nil, fmt.Errorf("list permissions: %w", err)
	}
	topics, err := a.client.ListTopicPermissions()
	if err != nil {
		return nil, fmt.Errorf("list topic permissions: %w", err)
	}
	isForeign := func(in, user string) bool {
		return in == vhost.Name && user != a.username &&
			!slices.ContainsFunc(vhost.Users, func(own User) bool { return own.Name == user })
	}
	var changes []string
	for _, p := range permissions {
		if !isForeign(p.Vhost, p.User) || isConsumer(vhost.Name, p) {
			continue
		}
		if err := closeBody(a.client.ClearPermissionsIn(vhost.Name, p.User)); err != nil {
			return changes, fmt.Errorf("clear the permissions of user %s: %w", p.User, err)
		}
		changes = append(changes, "clear the permissions of user "+p.User)
	}
	keeps := map[string]bool{}
	for _, p := range permissions {
		keeps[p.User] = keeps[p.User] || isConsumer(vhost.Name, p)
	}
	cleared := map[string]bool{}
	for _, p := range topics {
		if !isForeign(p.Vhost, p.User) || keeps[p.User] || cleared[p.User] {
			continue
		}
		cleared[p.User] = true // A user may have permissions for several exchanges.
		if err := closeBody(a.client.ClearTopicPermissionsIn(vhost.Name, p.User)); err != nil {
			return changes, fmt.Errorf("clear the topic permissions of user %s: %w", p.User, err)
		}
		changes = append(changes, "clear the topic permissions of user "+p.User)
	}
	return changes, nil
}

// isConsumer reports whether permissions are those of a consumer outside of the store.
func isConsumer(vhost string, p rabbithole.PermissionInfo) bool {
	name, ok := strings.CutPrefix(p.User, vhost+"."+event.ConsumerPrefix)
	if !ok || p.Vhost != vhost {
		return false
	}
	want, ok := event.ConsumerPermission(name)
	return ok && p.Configure == want.Configure && p.Write == want.Write && p.Read == want.Read
}
