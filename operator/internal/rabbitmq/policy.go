package rabbitmq

import (
	"cmp"
	"fmt"
	"slices"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"ecommerce-stack.dev/services/event"
)

// ensurePolicies deletes foreign policies, which can expire, drop or reroute messages, and sets those
// of the queues. Operator policies are limits that the owner of the broker sets, and remain
// (https://www.rabbitmq.com/docs/policies#operator-policies).
func (a *Admin) ensurePolicies(vhost VHost) ([]string, error) {
	observed, err := a.client.ListPoliciesIn(vhost.Name)
	if err != nil {
		return nil, fmt.Errorf("list policies: %w", err)
	}
	slices.SortFunc(observed, func(x, y rabbithole.Policy) int { return cmp.Compare(x.Name, y.Name) })
	desired := map[string]rabbithole.Policy{}
	var names []string
	for _, q := range event.Queues {
		for _, p := range q.Policies() {
			desired[p.Name] = rabbithole.Policy{Pattern: p.Pattern, ApplyTo: "queues", Definition: p.Definition}
			names = append(names, p.Name)
		}
	}
	var changes []string
	for _, policy := range observed {
		want, wanted := desired[policy.Name]
		if wanted && equalPolicies(policy, want) {
			delete(desired, policy.Name)
		}
		if wanted {
			continue
		}
		if err := closeBody(a.client.DeletePolicy(vhost.Name, policy.Name)); err != nil {
			return changes, fmt.Errorf("delete policy %s: %w", policy.Name, err)
		}
		changes = append(changes, "delete policy "+policy.Name)
	}
	for _, name := range names {
		policy, missing := desired[name]
		if !missing {
			continue
		}
		if err := closeBody(a.client.PutPolicy(vhost.Name, name, policy)); err != nil {
			return changes, fmt.Errorf("set policy %s: %w", name, err)
		}
		changes = append(changes, "set policy "+name)
	}
	return changes, nil
}

func equalPolicies(observed, desired rabbithole.Policy) bool {
	return observed.Pattern == desired.Pattern && observed.ApplyTo == desired.ApplyTo && observed.Priority == desired.Priority &&
		equalArguments(observed.Definition, desired.Definition)
}
