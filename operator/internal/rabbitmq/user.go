package rabbitmq

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"ecommerce-stack.dev/services/event"
)

func (a *Admin) ensureUsers(vhost VHost) ([]string, error) {
	var changes []string
	for _, user := range vhost.Users {
		for _, step := range []func(string, User) ([]string, error){
			a.ensureUser, a.ensurePermissions, a.ensureTopicPermissions,
		} {
			stepChanges, err := step(vhost.Name, user)
			changes = append(changes, stepChanges...)
			if err != nil {
				return changes, fmt.Errorf("user %s: %w", user.Name, err)
			}
		}
	}
	return changes, nil
}

// deleteUnusedUsers also closes the connections of the users that it deletes, because the
// broker does.
func (a *Admin) deleteUnusedUsers(vhost VHost) ([]string, error) {
	var changes []string
	for _, name := range vhost.Unused {
		found, err := ignoreNotFound(a.client.GetUser(name))
		if err != nil {
			return changes, fmt.Errorf("read user %s: %w", name, err)
		}
		if found == nil {
			continue
		}
		if err := a.deleteUser(name); err != nil {
			return changes, err
		}
		changes = append(changes, "delete user "+name)
	}
	return changes, nil
}

func (a *Admin) deleteUser(name string) error {
	if err := closeBody(a.client.DeleteUser(name)); err != nil && !isNotFound(err) {
		return fmt.Errorf("delete user %s: %w", name, err)
	}
	return nil
}

// ensureUser compares the password with the stored hash, which avoids a login attempt.
func (a *Admin) ensureUser(_ string, user User) ([]string, error) {
	found, err := ignoreNotFound(a.client.GetUser(user.Name))
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}
	change := "create user " + user.Name
	if found != nil {
		if hasPassword(found, user.Password) && len(found.Tags) == 0 {
			return nil, nil
		}
		change = "set the password and tags of user " + user.Name
	}
	if err := closeBody(a.client.PutUser(user.Name, rabbithole.UserSettings{
		Name: user.Name, Tags: rabbithole.UserTags{},
		PasswordHash:     rabbithole.Base64EncodedSaltedPasswordHashSHA256(user.Password),
		HashingAlgorithm: rabbithole.HashingAlgorithmSHA256,
	})); err != nil {
		return nil, fmt.Errorf("set its password: %w", err)
	}
	return []string{change}, nil
}

// hasPassword reports whether the user has the password. The stored value is four bytes of
// salt, followed by the hash of salt and password
// (https://www.rabbitmq.com/docs/passwords#algorithm).
func hasPassword(user *rabbithole.UserInfo, password string) bool {
	const salt = 4
	stored, err := base64.StdEncoding.DecodeString(user.PasswordHash)
	if err != nil || len(stored) < salt {
		return false
	}
	salted := append(bytes.Clone(stored[:salt]), password...)
	if user.HashingAlgorithm == rabbithole.HashingAlgorithmSHA512 {
		sum := sha512.Sum512(salted)
		return bytes.Equal(stored[salt:], sum[:])
	}
	sum := sha256.Sum256(salted)
	return bytes.Equal(stored[salt:], sum[:])
}

// ensurePermissions also removes the user's permissions in other virtual hosts.
func (a *Admin) ensurePermissions(vhost string, user User) ([]string, error) {
	observed, err := a.client.ListPermissionsOf(user.Name)
	if err != nil {
		return nil, fmt.Errorf("read its permissions: %w", err)
	}
	desired := rabbithole.Permissions{
		Configure: user.Permission.Configure, Write: user.Permission.Write, Read: user.Permission.Read,
	}
	var changes []string
	granted := false
	for _, p := range observed {
		if p.Vhost == vhost {
			granted = rabbithole.Permissions{Configure: p.Configure, Write: p.Write, Read: p.Read} == desired
			continue
		}
		if err := closeBody(a.client.ClearPermissionsIn(p.Vhost, user.Name)); err != nil {
			return changes, fmt.Errorf("clear its permissions in %s: %w", p.Vhost, err)
		}
		changes = append(changes, fmt.Sprintf("clear the permissions of user %s in %s", user.Name, p.Vhost))
	}
	if granted {
		return changes, nil
	}
	if err := closeBody(a.client.UpdatePermissionsIn(vhost, user.Name, desired)); err != nil {
		return changes, fmt.Errorf("set its permissions: %w", err)
	}
	return append(changes, "set the permissions of user "+user.Name), nil
}

func (a *Admin) ensureTopicPermissions(vhost string, user User) ([]string, error) {
	observed, err := a.client.GetTopicPermissionsIn(vhost, user.Name)
	if err != nil && !isNotFound(err) {
		return nil, fmt.Errorf("read its topic permissions: %w", err)
	}
	desired := rabbithole.TopicPermissions{
		Exchange: event.Exchange, Write: user.Permission.TopicWrite, Read: user.Permission.TopicRead,
	}
	for _, p := range observed {
		if (rabbithole.TopicPermissions{Exchange: p.Exchange, Write: p.Write, Read: p.Read}) == desired {
			return nil, nil
		}
	}
	if err := closeBody(a.client.UpdateTopicPermissionsIn(vhost, user.Name, desired)); err != nil {
		return nil, fmt.Errorf("set its topic permissions: %w", err)
	}
	return []string{"set the topic permissions of user " + user.Name}, nil
}
