package rabbitmq

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"ecommerce-stack.dev/services/event"
)

// MismatchError is returned when an exchange or a queue exists with properties that cannot
// be changed. Only a person can resolve it, because deleting it may lose messages.
type MismatchError struct {
	VHost, What, Observed, Desired string
}

// Error describes the difference and how to resolve it.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s in virtual host %s is %s but must be %s: drain and delete it, then the operator creates it again",
		e.What, e.VHost, e.Observed, e.Desired)
}

func (a *Admin) ensureExchanges(vhost VHost) ([]string, error) {
	var changes []string
	for _, name := range slices.Sorted(maps.Keys(event.Exchanges)) {
		kind := event.Exchanges[name]
		found, err := ignoreNotFound(a.client.GetExchange(vhost.Name, name))
		if err != nil {
			return changes, fmt.Errorf("read exchange %s: %w", name, err)
		}
		if found != nil {
			if found.Type != kind || !found.Durable {
				return changes, &MismatchError{VHost: vhost.Name, What: "exchange " + name,
					Observed: fmt.Sprintf("%s, durable %v", found.Type, found.Durable), Desired: kind + ", durable true"}
			}
			continue
		}
		if err := closeBody(a.client.DeclareExchange(vhost.Name, name,
			rabbithole.ExchangeSettings{Type: kind, Durable: true})); err != nil {
			return changes, fmt.Errorf("create exchange %s: %w", name, err)
		}
		changes = append(changes, "create exchange "+name)
	}
	return changes, nil
}

func (a *Admin) ensureQueues(vhost VHost) ([]string, error) {
	found, err := a.client.ListQueuesIn(vhost.Name)
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	observed := map[string]map[string]any{}
	for _, q := range found {
		observed[q.Name] = q.Arguments
	}
	var changes []string
	for _, q := range event.Queues {
		for _, desired := range []struct {
			name              string
			arguments, former map[string]any
		}{{q.DeadLetterQueue(), q.DeadLetterArguments(), q.FormerDeadLetterArguments()}, {q.Name, q.Arguments(), q.FormerArguments()}} {
			arguments, exists := observed[desired.name]
			if exists {
				if !equalArguments(arguments, desired.arguments) && !equalArguments(arguments, desired.former) {
					return changes, &MismatchError{VHost: vhost.Name, What: "queue " + desired.name,
						Observed: fmt.Sprint(arguments), Desired: fmt.Sprint(desired.arguments)}
				}
				continue
			}
			if err := closeBody(a.client.DeclareQueue(vhost.Name, desired.name,
				rabbithole.QueueSettings{Durable: true, Arguments: desired.arguments})); err != nil {
				return changes, fmt.Errorf("create queue %s: %w", desired.name, err)
			}
			changes = append(changes, "create queue "+desired.name)
		}
	}
	return changes, nil
}

// equalArguments compares arguments by their JSON encoding, which has one type of number.
func equalArguments(observed, desired map[string]any) bool {
	raw, err := json.Marshal(desired)
	if err != nil {
		return false
	}
	var read map[string]any
	if err := json.Unmarshal(raw, &read); err != nil {
		return false
	}
	return reflect.DeepEqual(observed, read)
}

// ensureBindings creates missing bindings, then removes bindings that route other events to
// the stack's queues.
func (a *Admin) ensureBindings(vhost VHost) ([]string, error) {
	desired := map[event.Binding]bool{}
	owned := map[string]bool{}
	for _, q := range event.Queues {
		owned[q.Name], owned[q.DeadLetterQueue()] = true, true
		for _, b := range q.Bindings() {
			desired[b] = true
		}
	}
	found, err := a.client.ListBindingsIn(vhost.Name)
	if err != nil {
		return nil, fmt.Errorf("list bindings: %w", err)
	}
	observed := map[event.Binding]bool{}
	var surplus []rabbithole.BindingInfo
	for _, b := range found {
		key := event.Binding{Exchange: b.Source, Queue: b.Destination, Key: b.RoutingKey}
		observed[key] = true
		if b.Source != "" && owned[b.Destination] && !desired[key] {
			surplus = append(surplus, b)
		}
	}
	changes, err := a.createMissingBindings(vhost.Name, desired, observed)
	if err != nil {
		return changes, err
	}
	for _, b := range surplus {
		if err := closeBody(a.client.DeleteBinding(vhost.Name, b)); err != nil {
			return changes, fmt.Errorf("unbind %s from %s: %w", b.Destination, b.Source, err)
		}
		changes = append(changes, fmt.Sprintf("unbind queue %s from %s (%s)", b.Destination, b.Source, b.RoutingKey))
	}
	return changes, nil
}

func (a *Admin) createMissingBindings(vhost string, desired, observed map[event.Binding]bool) ([]string, error) {
	var changes []string
	for b := range desired {
		if observed[b] {
			continue
		}
		if err := closeBody(a.client.DeclareBinding(vhost, rabbithole.BindingInfo{
			Source: b.Exchange, Destination: b.Queue, DestinationType: "queue", RoutingKey: b.Key,
		})); err != nil {
			return changes, fmt.Errorf("bind %s to %s: %w", b.Queue, b.Exchange, err)
		}
		changes = append(changes, fmt.Sprintf("bind queue %s to %s (%s)", b.Queue, b.Exchange, b.Key))
	}
	slices.Sort(changes)
	return changes, nil
}
