package rabbitmq_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	"github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/operator/internal/ownership"
	"ecommerce-stack.dev/operator/internal/rabbitmq"
	"ecommerce-stack.dev/services/event"
)

// fixture is a virtual host on the shared broker that no other test uses.
type fixture struct {
	admin *rabbitmq.Admin
	root  *rabbithole.Client
	vhost rabbitmq.VHost
	owner ownership.Owner
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	info := testenv.Broker(t)
	admin, err := rabbitmq.Connect(rabbitmq.Server{URL: info.ManagementURL, Username: info.Username, Password: info.Password})
	if err != nil {
		t.Fatal(err)
	}
	root, err := info.Management()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{admin: admin, root: root, owner: ownership.Owner{UID: rand.Text(), Namespace: "shop", Name: "demo"}}
	f.vhost.Name = "shop." + strings.ToLower(rand.Text()[:8])
	for _, service := range []string{"gateway", "sales", "stock"} {
		f.vhost.Users = append(f.vhost.Users, rabbitmq.User{
			Name: f.vhost.Name + "." + service, Password: rand.Text(), Permission: event.Permissions[service]})
	}
	t.Cleanup(func() {
		for _, user := range f.vhost.Users {
			_ = closeBody(root.DeleteUser(user.Name))
		}
		_ = closeBody(root.DeleteVhost(f.vhost.Name))
	})
	return f
}

// closeBody closes the body of a response.
func closeBody(response *http.Response, err error) error {
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func (f *fixture) ensure(t *testing.T, adopt ownership.Adoption) []string {
	t.Helper()
	changes, err := f.admin.Ensure(f.vhost, f.owner, adopt)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func TestEnsureProvisionsTopologyOnceAndIsIdempotent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if changes := f.ensure(t, ownership.Never); len(changes) == 0 {
		t.Fatal("the first call changed nothing")
	}
	if changes := f.ensure(t, ownership.Never); len(changes) > 0 {
		t.Errorf("a second call changed %q, want nothing", changes)
	}
	bindings, err := f.root.ListBindingsIn(f.vhost.Name)
	if err != nil {
		t.Fatal(err)
	}
	routes := map[string][]string{}
	for _, b := range bindings {
		if b.Source == event.Exchange {
			routes[b.Destination] = append(routes[b.Destination], b.RoutingKey)
		}
	}
	for _, q := range event.Queues {
		if len(routes[q.Name]) != len(q.Events) {
			t.Errorf("queue %s takes %v, want %v", q.Name, routes[q.Name], q.Events)
		}
	}
}

func TestEnsureCorrectsAndReportsDrift(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	sales := f.vhost.Users[1].Name
	stranger := f.foreignUser(t)
	cases := []struct {
		name, change string
		drift        func() error
	}{
		{"a queue was deleted", "create queue " + event.StockQueue + ".dead", func() error {
			return closeBody(f.root.DeleteQueue(f.vhost.Name, event.StockQueue+".dead"))
		}},
		{"permissions were widened", "set the permissions of user " + sales, func() error {
			return closeBody(f.root.UpdatePermissionsIn(f.vhost.Name, sales, rabbithole.Permissions{Configure: ".*", Write: ".*", Read: ".*"}))
		}},
		{"topic permissions were cleared", "set the topic permissions of user " + sales, func() error {
			return closeBody(f.root.ClearTopicPermissionsIn(f.vhost.Name, sales))
		}},
		{"a password was changed", "set the password and tags of user " + sales, func() error {
			return closeBody(f.root.PutUser(sales, rabbithole.UserSettings{Name: sales, Password: "other"}))
		}},
		{"a queue got other events", "unbind queue " + event.StockQueue + " from " + event.Exchange + " (#)", func() error {
			return closeBody(f.root.DeclareBinding(f.vhost.Name, rabbithole.BindingInfo{Source: event.Exchange,
				Destination: event.StockQueue, DestinationType: "queue", RoutingKey: "#"}))
		}},
		{"a policy expires messages", "delete policy expire", func() error {
			return closeBody(f.root.PutPolicy(f.vhost.Name, "expire", rabbithole.Policy{
				Pattern: ".*", ApplyTo: "queues", Definition: rabbithole.PolicyDefinition{"message-ttl": 1},
			}))
		}},
		{"a policy was deleted", "set policy " + event.StockQueue, func() error {
			return closeBody(f.root.DeletePolicy(f.vhost.Name, event.StockQueue))
		}},
		{"a policy matches other queues", "set policy " + event.SalesQueue + ".dead", func() error {
			return closeBody(f.root.PutPolicy(f.vhost.Name, event.SalesQueue+".dead", rabbithole.Policy{
				Pattern: ".*", ApplyTo: "queues", Definition: rabbithole.PolicyDefinition{"delivery-limit": 1_000_000_000},
			}))
		}},
		{"a user of others got permissions", "clear the permissions of user " + stranger, func() error {
			return closeBody(f.root.UpdatePermissionsIn(f.vhost.Name, stranger, rabbithole.Permissions{Read: ".*"}))
		}},
		{"a user of others got topic permissions", "clear the topic permissions of user " + stranger, func() error {
			return closeBody(f.root.UpdateTopicPermissionsIn(f.vhost.Name, stranger, rabbithole.TopicPermissions{Exchange: event.Exchange, Read: ".*"}))
		}},
		{"permissions elsewhere", "clear the permissions of user " + sales + " in /", func() error {
			return closeBody(f.root.UpdatePermissionsIn("/", sales, rabbithole.Permissions{Configure: ".*", Write: ".*", Read: ".*"}))
		}},
	}
	for _, c := range cases {
		if err := c.drift(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if changes := f.ensure(t, ownership.Never); !slices.Contains(changes, c.change) {
			t.Errorf("%s: changes %q, want %q", c.name, changes, c.change)
		}
		if changes := f.ensure(t, ownership.Never); len(changes) > 0 {
			t.Errorf("%s: a second call changed %q, want nothing", c.name, changes)
		}
	}
}

// foreignUser creates a user that is not the stack's, with permissions in another virtual
// host, and checks at the end that it still has these.
func (f *fixture) foreignUser(t *testing.T) string {
	t.Helper()
	name := "stranger-" + strings.ToLower(rand.Text()[:8])
	elsewhere := rabbithole.Permissions{Configure: "mine", Write: "mine", Read: "mine"}
	if err := errors.Join(
		closeBody(f.root.PutUser(name, rabbithole.UserSettings{Name: name, Password: rand.Text()})),
		closeBody(f.root.UpdatePermissionsIn("/", name, elsewhere)),
		closeBody(f.root.PutPolicy("/", name, rabbithole.Policy{Pattern: "^" + name, ApplyTo: "queues", Definition: rabbithole.PolicyDefinition{"max-length": 1}})),
	); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		found, err := f.root.GetPermissionsIn("/", name)
		if err != nil || found.Read != elsewhere.Read {
			t.Errorf("permissions elsewhere are %+v (%v), want them unchanged", found, err)
		}
		if _, err := f.root.GetPolicy("/", name); err != nil {
			t.Errorf("a policy elsewhere: %v", err)
		}
		if err := errors.Join(closeBody(f.root.DeletePolicy("/", name)), closeBody(f.root.DeleteUser(name))); err != nil {
			t.Error(err)
		}
	})
	return name
}

func TestDeletedVirtualHostIsRecreated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	if err := closeBody(f.root.DeleteVhost(f.vhost.Name)); err != nil {
		t.Fatal(err)
	}
	f.ensure(t, ownership.Never)
	if changes := f.ensure(t, ownership.Never); len(changes) > 0 {
		t.Errorf("a second call changed %q, want nothing", changes)
	}
}

func TestForeignResourcesAreRejectedUntilAdopted(t *testing.T) {
	t.Parallel()
	prepare := map[string]func(t *testing.T, f *fixture) error{
		"of another stack": func(t *testing.T, f *fixture) error {
			ours := f.owner
			f.owner = ownership.Owner{UID: "other", Namespace: "elsewhere", Name: "first"}
			f.ensure(t, ownership.Never)
			f.owner = ours
			return nil
		},
		"created manually": func(_ *testing.T, f *fixture) error {
			return closeBody(f.root.PutVhost(f.vhost.Name, rabbithole.VhostSettings{Description: "ours"}))
		},
		"a user created manually": func(_ *testing.T, f *fixture) error {
			return closeBody(f.root.PutUser(f.vhost.Users[0].Name, rabbithole.UserSettings{Password: "theirs"}))
		},
	}
	for name, prepare := range prepare {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			if err := prepare(t, f); err != nil {
				t.Fatal(err)
			}
			_, err := f.admin.Ensure(f.vhost, f.owner, ownership.Never)
			var conflict *ownership.ConflictError
			if !errors.As(err, &conflict) {
				t.Fatalf("error %v, want a conflict", err)
			}
			if conflict.Marker != nil && !strings.Contains(err.Error(), "elsewhere/first") {
				t.Errorf("error %q does not name the owner", err)
			}
			f.ensure(t, ownership.Always)
		})
	}
}

func TestQueueWithOtherPropertiesIsAMismatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	if err := closeBody(f.root.DeleteQueue(f.vhost.Name, event.SalesQueue)); err != nil {
		t.Fatal(err)
	}
	if err := closeBody(f.root.DeclareQueue(f.vhost.Name, event.SalesQueue, rabbithole.QueueSettings{
		Durable: true, Arguments: map[string]any{"x-queue-type": "classic"}})); err != nil {
		t.Fatal(err)
	}
	_, err := f.admin.Ensure(f.vhost, f.owner, ownership.Never)
	var mismatch *rabbitmq.MismatchError
	if !errors.As(err, &mismatch) {
		t.Fatalf("error %v, want a mismatch", err)
	}
}

// TestQueueOfFormerReleaseKeepsItsMessages upgrades a stack whose queues have all settings as
// arguments.
func TestQueueOfFormerReleaseKeepsItsMessages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	for _, q := range event.Queues {
		for name, arguments := range map[string]map[string]any{q.Name: q.FormerArguments(), q.DeadLetterQueue(): q.FormerDeadLetterArguments()} {
			if err := errors.Join(closeBody(f.root.DeleteQueue(f.vhost.Name, name)), closeBody(f.root.DeletePolicy(f.vhost.Name, name)),
				closeBody(f.root.DeclareQueue(f.vhost.Name, name, rabbithole.QueueSettings{Durable: true, Arguments: arguments}))); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.ensure(t, ownership.Never) // binds the queues
	ch := f.rootChannel(t)
	if err := ch.PublishWithContext(t.Context(), event.Exchange, event.SaleCreatedType, true, false,
		amqp091.Publishing{DeliveryMode: amqp091.Persistent, Body: []byte("order")}); err != nil {
		t.Fatal(err)
	}
	if changes := f.ensure(t, ownership.Never); len(changes) > 0 {
		t.Errorf("changes %q, want none", changes)
	}
	var message amqp091.Delivery
	testenv.Eventually(t, "the message is in the queue", func() bool {
		var found bool
		var err error
		if message, found, err = ch.Get(event.StockQueue, false); err != nil {
			t.Fatal(err)
		}
		return found
	})
	if string(message.Body) != "order" {
		t.Errorf("got the message %q", message.Body)
	}
}

// TestPolicyChangesQueueWithMessages changes a setting of a queue that has a message.
func TestPolicyChangesQueueWithMessages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	ch := f.rootChannel(t)
	policy := event.Queues[0].Policies()[0]
	former := rabbithole.Policy{Pattern: policy.Pattern, ApplyTo: "queues", Definition: rabbithole.PolicyDefinition{"delivery-limit": 1, "overflow": "reject-publish"}}
	if err := closeBody(f.root.PutPolicy(f.vhost.Name, policy.Name, former)); err != nil {
		t.Fatal(err)
	}
	if changes := f.ensure(t, ownership.Never); !slices.Equal(changes, []string{"set policy " + policy.Name}) {
		t.Errorf("changes %q, want the policy to be set", changes)
	}
	if err := ch.PublishWithContext(t.Context(), event.Exchange, event.SaleCreatedType, true, false, amqp091.Publishing{Body: []byte("order")}); err != nil {
		t.Fatal(err)
	}
	// The message is delivered more often than the previous limit allows.
	for range 5 {
		testenv.Eventually(t, "the message is delivered", func() bool {
			message, found, err := ch.Get(event.StockQueue, false)
			if err != nil {
				t.Fatal(err)
			}
			return found && message.Nack(false, true) == nil
		})
	}
	testenv.Eventually(t, "the queue has the policy", func() bool {
		queue, err := f.root.GetQueue(f.vhost.Name, event.StockQueue)
		return err == nil && queue.Policy == policy.Name
	})
}

// rootChannel returns a channel of the broker's administrator in the virtual host.
func (f *fixture) rootChannel(t *testing.T) *amqp091.Channel {
	t.Helper()
	info := testenv.Broker(t)
	if err := closeBody(f.root.UpdatePermissionsIn(f.vhost.Name, info.Username, rabbithole.Permissions{Configure: ".*", Write: ".*", Read: ".*"})); err != nil {
		t.Fatal(err)
	}
	return f.channel(t, rabbitmq.User{Name: info.Username, Password: info.Password}, f.vhost.Name)
}

func TestReleaseAndDeleteRequireOwnership(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	other := ownership.Owner{UID: "x", Namespace: "shop", Name: "other"}
	if err := f.admin.Delete(f.vhost, other); err != nil {
		t.Fatal(err)
	}
	if changes := f.ensure(t, ownership.Never); len(changes) > 0 {
		t.Errorf("a deletion by another owner left %q to correct, want nothing", changes)
	}
	if err := f.admin.Release(f.vhost, f.owner); err != nil {
		t.Fatal(err)
	}
	f.owner.UID = "successor"
	if diff := cmp.Diff([]string{"adopt virtual host " + f.vhost.Name}, f.ensure(t, ownership.Never)); diff != "" {
		t.Errorf("changes of the successor (-want +got):\n%s", diff)
	}
	if err := f.admin.Delete(f.vhost, f.owner); err != nil {
		t.Fatal(err)
	}
	if _, err := f.root.GetVhost(f.vhost.Name); err == nil {
		t.Error("the virtual host is still there")
	}
}

// onBindings runs a function once, before the bindings are listed.
type onBindings struct{ run func() error }

func (o *onBindings) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/api/bindings/") && o.run != nil {
		run := o.run
		o.run = nil
		if err := run(); err != nil {
			return nil, err
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestQueueDeletedDuringEnsureIsRecreated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	info := testenv.Broker(t)
	admin, err := rabbitmq.Connect(rabbitmq.Server{URL: info.ManagementURL, Username: info.Username, Password: info.Password,
		Transport: &onBindings{func() error { return closeBody(f.root.DeleteQueue(f.vhost.Name, event.SalesQueue)) }}})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := admin.Ensure(f.vhost, f.owner, ownership.Never)
	if err != nil || !slices.Contains(changes, "create queue "+event.SalesQueue) {
		t.Errorf("got %q, %v, want the queue to be created", changes, err)
	}
	if changes := f.ensure(t, ownership.Never); len(changes) > 0 {
		t.Errorf("another call changed %q, want nothing", changes)
	}
}

func TestUnusedUsersAreDeleted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.vhost.Users[0]
	second := first
	second.Name += "_b"
	f.vhost.Users = append(f.vhost.Users, second)
	f.ensure(t, ownership.Never)
	f.vhost.Users, f.vhost.Unused = f.vhost.Users[1:], []string{first.Name}
	if got, want := f.ensure(t, ownership.Never), []string{"delete user " + first.Name}; !cmp.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	if got := f.ensure(t, ownership.Never); len(got) != 0 {
		t.Errorf("changes %q, want none", got)
	}
}

func TestAdminPasswordIsReplaced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	server := rabbitmq.Server{URL: testenv.Broker(t).ManagementURL, Username: "admin" + rand.Text(),
		Password: "old-password", NextPassword: "new-password"}
	if err := closeBody(f.root.PutUser(server.Username, rabbithole.UserSettings{
		Name: server.Username, Password: server.Password, Tags: rabbithole.UserTags{"administrator"},
	})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closeBody(f.root.DeleteUser(server.Username)); err != nil {
			t.Error(err)
		}
	})
	// The second time is that after an interruption: the broker has the next password already.
	for range 2 {
		admin, err := rabbitmq.Connect(server)
		if err != nil {
			t.Fatal(err)
		}
		if err := admin.SetAdminPassword(server.NextPassword); err != nil {
			t.Fatal(err)
		}
	}
	server.NextPassword = ""
	if _, err := rabbitmq.Connect(server); err == nil {
		t.Error("the previous password is still accepted")
	}
}
