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

// Mismatch says that an exchange or a queue exists with properties that cannot be
// changed. Only a person can settle it, because messages may be lost.
type Mismatch struct {
	VHost, What, Have, Want string
}

// Error says what differs and what to do.
func (m *Mismatch) Error() string {
	return fmt.Sprintf("%s in virtual host %s is %s, and must be %s: empty and delete it, the operator makes it anew",
		m.What, m.VHost, m.Have, m.Want)
}

func (a *Admin) ensureExchanges(vhost VHost) ([]string, error) {
	var changes []string
	for _, name := range slices.Sorted(maps.Keys(event.Exchanges)) {
		kind := event.Exchanges[name]
		found, err := orNil(a.client.GetExchange(vhost.Name, name))
		if err != nil {
			return changes, fmt.Errorf("look for exchange %s: %w", name, err)
		}
		if found != nil {
			if found.Type != kind || !found.Durable {
				return changes, &Mismatch{VHost: vhost.Name, What: "exchange " + name,
					Have: fmt.Sprintf("%s, durable %v", found.Type, found.Durable), Want: kind + ", durable true"}
			}
			continue
		}
		if err := call(a.client.DeclareExchange(vhost.Name, name,
			rabbithole.ExchangeSettings{Type: kind, Durable: true})); err != nil {
			return changes, fmt.Errorf("make exchange %s: %w", name, err)
		}
		changes = append(changes, "make exchange "+name)
	}
	return changes, nil
}

func (a *Admin) ensureQueues(vhost VHost) ([]string, error) {
	found, err := a.client.ListQueuesIn(vhost.Name)
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	have := map[string]map[string]any{}
	for _, q := range found {
		have[q.Name] = q.Arguments
	}
	var changes []string
	for _, q := range event.Queues {
		for _, want := range []struct {
			name      string
			arguments map[string]any
		}{{q.DeadLetterQueue(), q.DeadLetterArguments()}, {q.Name, q.Arguments()}} {
			arguments, exists := have[want.name]
			if exists {
				if !same(arguments, want.arguments) {
					return changes, &Mismatch{VHost: vhost.Name, What: "queue " + want.name,
						Have: fmt.Sprint(arguments), Want: fmt.Sprint(want.arguments)}
				}
				continue
			}
			if err := call(a.client.DeclareQueue(vhost.Name, want.name,
				rabbithole.QueueSettings{Durable: true, Arguments: want.arguments})); err != nil {
				return changes, fmt.Errorf("make queue %s: %w", want.name, err)
			}
			changes = append(changes, "make queue "+want.name)
		}
	}
	return changes, nil
}

// same compares arguments as JSON, which knows one kind of number.
func same(have, want map[string]any) bool {
	raw, err := json.Marshal(want)
	if err != nil {
		return false
	}
	var read map[string]any
	if err := json.Unmarshal(raw, &read); err != nil {
		return false
	}
	return reflect.DeepEqual(have, read)
}

// ensureBindings makes what is missing, then removes what brings a queue other events.
func (a *Admin) ensureBindings(vhost VHost) ([]string, error) {
	want := map[event.Binding]bool{}
	ours := map[string]bool{}
	for _, q := range event.Queues {
		ours[q.Name], ours[q.DeadLetterQueue()] = true, true
		for _, b := range q.Bindings() {
			want[b] = true
		}
	}
	found, err := a.client.ListBindingsIn(vhost.Name)
	if err != nil {
		return nil, fmt.Errorf("list bindings: %w", err)
	}
	have := map[event.Binding]bool{}
	var surplus []rabbithole.BindingInfo
	for _, b := range found {
		key := event.Binding{Exchange: b.Source, Queue: b.Destination, Key: b.RoutingKey}
		have[key] = true
		if b.Source != "" && ours[b.Destination] && !want[key] {
			surplus = append(surplus, b)
		}
	}
	changes, err := a.bindMissing(vhost.Name, want, have)
	if err != nil {
		return changes, err
	}
	for _, b := range surplus {
		if err := call(a.client.DeleteBinding(vhost.Name, b)); err != nil {
			return changes, fmt.Errorf("unbind %s from %s: %w", b.Destination, b.Source, err)
		}
		changes = append(changes, fmt.Sprintf("unbind queue %s from %s (%s)", b.Destination, b.Source, b.RoutingKey))
	}
	return changes, nil
}

func (a *Admin) bindMissing(vhost string, want, have map[event.Binding]bool) ([]string, error) {
	var changes []string
	for b := range want {
		if have[b] {
			continue
		}
		if err := call(a.client.DeclareBinding(vhost, rabbithole.BindingInfo{
			Source: b.Exchange, Destination: b.Queue, DestinationType: "queue", RoutingKey: b.Key,
		})); err != nil {
			return changes, fmt.Errorf("bind %s to %s: %w", b.Queue, b.Exchange, err)
		}
		changes = append(changes, fmt.Sprintf("bind queue %s to %s (%s)", b.Queue, b.Exchange, b.Key))
	}
	slices.Sort(changes)
	return changes, nil
}
