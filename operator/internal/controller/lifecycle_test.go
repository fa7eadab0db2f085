package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

func TestRetainKeepsDataForSuccessor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	schema := f.stack.Spec.MySQL.External.SchemaPrefix + "users_auth_service"
	f.exec(t, "CREATE TABLE "+schema+".precious (id INT)")
	password, key := f.value(t, "auth-mysql", "password"), f.value(t, "auth-jwt", "active")
	f.deleteStack(t)
	if n := f.count(t, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = 'precious'", schema); n != 1 {
		t.Fatal("the data was lost")
	}
	f.stack = f.recreated()
	f.makeReady(t)
	if f.value(t, "auth-mysql", "password") != password || f.value(t, "auth-jwt", "active") != key {
		t.Error("the stack did not reuse the retained credentials")
	}
}

func TestDeletePolicyDestroysData(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stack.Spec.DeletionPolicy = v1alpha1.DeletionDelete
	f.makeReady(t)
	f.deleteStack(t)
	prefix := f.stack.Spec.MySQL.External.SchemaPrefix
	if n := f.count(t, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE ?", prefix+"%"); n != 0 {
		t.Errorf("%d schemas left, want none", n)
	}
	if n := f.count(t, "SELECT COUNT(*) FROM mysql.user WHERE User LIKE ?", prefix+"%"); n != 0 {
		t.Errorf("%d accounts left, want none", n)
	}
	if _, err := f.broker.GetVhost(f.namespace + ".demo"); err == nil {
		t.Error("the virtual host is still there")
	}
	for object := range f.managed(t) {
		if strings.HasPrefix(object, "Secret/demo-") || strings.HasPrefix(object, "Deployment/") {
			t.Errorf("%s is still there", object)
		}
	}
}

func (f *fixture) deleteStack(t *testing.T) {
	t.Helper()
	if err := api.Delete(context.Background(), f.stack); err != nil {
		t.Fatal(err)
	}
	f.eventuallyGone(t, f.stack.DeepCopy())
}

// recreated returns a new stack with the same name and spec.
func (f *fixture) recreated() *v1alpha1.ECommerceStack {
	return &v1alpha1.ECommerceStack{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: f.stack.Name}, Spec: f.stack.Spec,
	}
}

func TestDeletionWaitsForUnreachableServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	reachable := f.stack.Spec.MySQL.External.Port
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.MySQL.External.Port = 1 })
	if err := api.Delete(context.Background(), f.stack); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, func(context.Context) error {
		if phase := f.live(t).Status.Phase; !strings.Contains(phase, "connect to MySQL") || !strings.Contains(phase, v1alpha1.ForceDeleteAnnotation) {
			return errors.New("phase " + phase + ", want one that names the server and the annotation")
		}
		return nil
	})
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.MySQL.External.Port = reachable })
	f.eventuallyGone(t, f.stack.DeepCopy())
}

func TestForceDeleteAnnotationSkipsCleanup(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	f.update(t, func(stack *v1alpha1.ECommerceStack) {
		stack.Spec.MySQL.External.Port = 1
		stack.Annotations = map[string]string{v1alpha1.ForceDeleteAnnotation: "true"}
	})
	f.deleteStack(t)
	f.waitForEvent(t, "ForceDeleted", "not cleaned up")
	f.adoptAndDelete(t)
}

// adoptAndDelete cleans up after a forced deletion, which leaves a marker that a later
// stack must adopt.
func (f *fixture) adoptAndDelete(t *testing.T) {
	t.Helper()
	f.stack = f.recreated()
	f.apply(t)
	f.waitFor(t, v1alpha1.ConditionStalled, metav1.ConditionTrue)
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Adopt = true })
	f.waitFor(t, v1alpha1.ConditionDatabaseReady, metav1.ConditionTrue)
}

func TestSecondStackStallsOnClaimedSchema(t *testing.T) {
	t.Parallel()
	first := newFixture(t)
	first.makeReady(t)
	second := newFixture(t)
	second.stack.Spec.MySQL.External.SchemaPrefix = first.stack.Spec.MySQL.External.SchemaPrefix
	second.apply(t)
	message := second.waitFor(t, v1alpha1.ConditionStalled, metav1.ConditionTrue)
	if want := first.namespace + "/demo"; !strings.Contains(message, want) {
		t.Errorf("message %q does not name %s", message, want)
	}
	second.waitForEvent(t, reasonNotOwned, first.namespace+"/demo")
}

func TestUnmanagedSecretIsNotModifiedUntilAdopted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	theirs := f.secret("demo-jwks", "them", "theirs")
	f.create(t, theirs)
	f.apply(t)
	if message := f.waitFor(t, v1alpha1.ConditionKeysReady, metav1.ConditionFalse); !strings.Contains(message, "spec.adopt") {
		t.Errorf("message %q does not contain a resolution", message)
	}
	f.waitFor(t, v1alpha1.ConditionStalled, metav1.ConditionTrue)
	if got := f.value(t, "jwks", "password"); got != "theirs" {
		t.Errorf("the password was changed to %q", got)
	}
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Adopt = true })
	f.waitFor(t, v1alpha1.ConditionKeysReady, metav1.ConditionTrue)
}

// TestStacksShareNoObject runs two stacks whose names could be confused, demo and demo-auth.
func TestStacksShareNoObject(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	keys := f.value(t, "auth-jwt", "jwks.json")
	owners := f.owners(t)
	second := f.recreated()
	second.Name = "demo-auth"
	second.Spec.MySQL.External.SchemaPrefix += "2_"
	second.ResourceVersion, second.UID = "", ""
	first := f.stack
	f.stack = second
	f.makeReady(t)
	f.stack = first
	if f.value(t, "auth-jwt", "jwks.json") != keys {
		t.Error("the second stack replaced the keys of the first one")
	}
	for object, owner := range owners {
		if now := f.owners(t)[object]; now != owner {
			t.Errorf("%s belongs to %q, and before to %q", object, now, owner)
		}
	}
}

// owners returns the stacks that the managed objects belong to.
func (f *fixture) owners(t *testing.T) map[string]string {
	t.Helper()
	owners := map[string]string{}
	for _, kind := range append(apply.Kinds, corev1.SchemeGroupVersion.WithKind("Secret")) {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := api.List(t.Context(), list, client.InNamespace(f.namespace), client.MatchingLabelsSelector{Selector: apply.ManagedSelector}); err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			owners[kind.Kind+"/"+item.Name] = item.Labels[apply.InstanceLabel]
		}
	}
	return owners
}

func TestObjectsOfAnotherStackStallAStack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	yes := true
	foreign := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "demo-stock", Labels: apply.Labels("other", "stock"),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind, Name: "other", UID: "4711", Controller: &yes}}},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}},
	}
	f.create(t, foreign)
	secret := f.secret("demo-sales-mysql", "them", "theirs")
	secret.Labels = apply.Labels("other", "sales")
	f.create(t, secret)
	f.stack.Spec.Adopt = true // It does not take from a stack, either.
	f.apply(t)
	if message := f.waitFor(t, v1alpha1.ConditionDatabaseReady, metav1.ConditionFalse); !strings.Contains(message, "demo-sales-mysql belongs to stack other") {
		t.Errorf("DatabaseReady is %q, want that the Secret belongs to stack other", message)
	}
	f.waitFor(t, v1alpha1.ConditionStalled, metav1.ConditionTrue)
	if got := f.value(t, "sales-mysql", "password"); got != "theirs" {
		t.Errorf("the password was changed to %q", got)
	}
	if err := api.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, func(context.Context) error {
		message := f.waitFor(t, v1alpha1.ConditionWorkloadsReady, metav1.ConditionFalse)
		if !strings.Contains(message, "demo-stock belongs to stack other") {
			return errors.New(message)
		}
		return nil
	})
	if err := api.Delete(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func TestPausedStackIsNotChanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Paused = true })
	f.eventually(t, func(context.Context) error {
		if phase := f.live(t).Status.Phase; !strings.HasPrefix(phase, "Paused") {
			return errors.New("phase " + phase)
		}
		return nil
	})
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "demo-stock"}}
	if err := api.Delete(context.Background(), service); err != nil {
		t.Fatal(err)
	}
	if err := api.Delete(context.Background(), f.stack); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, func(context.Context) error {
		if phase := f.live(t).Status.Phase; !strings.Contains(phase, "deletion waits") {
			return errors.New("phase " + phase)
		}
		return nil
	})
	if err := api.Get(context.Background(), client.ObjectKeyFromObject(service), service); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the deleted Service: %v, want it not to be recreated", err)
	}
}

func TestManagerSecretIsValidated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stack.Spec.Manager = v1alpha1.ManagerSpec{SecretRef: &v1alpha1.SecretReference{Name: "boss"}}
	f.apply(t)
	message := f.waitFor(t, v1alpha1.ConditionKeysReady, metav1.ConditionFalse)
	for _, want := range []string{"spec.manager.secretRef", "boss", "email"} {
		if !strings.Contains(message, want) {
			t.Errorf("message %q does not mention %s", message, want)
		}
	}
	f.create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "boss"},
		StringData: map[string]string{"email": "boss@shop.example", "password": "long-enough-password"},
	})
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

// TestAdoptionHappensOnceAndNotFromAnExistingStack runs two stacks that claim the same schemas.
func TestAdoptionHappensOnceAndNotFromAnExistingStack(t *testing.T) {
	t.Parallel()
	first, second := newFixture(t), newFixture(t)
	first.makeReady(t)
	schema := first.stack.Spec.MySQL.External.SchemaPrefix + "users_auth_service"
	second.stack.Spec.MySQL.External.SchemaPrefix, second.stack.Spec.Adopt = first.stack.Spec.MySQL.External.SchemaPrefix, true
	second.apply(t)
	if message := second.waitFor(t, v1alpha1.ConditionStalled, metav1.ConditionTrue); !strings.Contains(message, first.namespace+"/demo: delete that stack") {
		t.Errorf("message %q does not say to delete the other stack", message)
	}
	if n := first.count(t, "SELECT COUNT(*) FROM `"+schema+"`.ecommerce_stack_owner WHERE uid = ?", string(first.stack.UID)); n != 1 {
		t.Fatal("the schema was taken from a stack that exists")
	}
	first.deleteStack(t)
	second.runPods(t)
	second.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	if second.live(t).Status.AdoptedTime == nil {
		t.Error("the status does not record the adoption")
	}
	second.exec(t, "UPDATE `"+schema+"`.ecommerce_stack_owner SET uid = 'other', name = 'other'")
	second.waitFor(t, v1alpha1.ConditionStalled, metav1.ConditionTrue)
	second.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Adopt = false })
	second.eventually(t, func(context.Context) error {
		if second.live(t).Status.AdoptedTime != nil {
			return errors.New("the status still records the adoption")
		}
		return nil
	})
	second.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Adopt = true })
	second.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

// TestOtherServerWithoutDataIsRefused uses a second name of the server.
func TestOtherServerWithoutDataIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	external := f.stack.Spec.MySQL.External
	schema := external.SchemaPrefix + "sales_micro_service"
	port := strconv.Itoa(int(external.Port))
	redirects.redirect(net.JoinHostPort(f.namespace+".example", port), net.JoinHostPort(external.Host, port))
	setHost := func(host string) {
		f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.MySQL.External.Host, stack.Spec.Paused = host, false })
	}
	setHost(f.namespace + ".example")
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionDatabaseReady, metav1.ConditionTrue)

	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Paused = true })
	f.eventually(t, func(context.Context) error {
		if phase := f.live(t).Status.Phase; !strings.HasPrefix(phase, "Paused") {
			return errors.New("phase " + phase)
		}
		return nil
	})
	f.exec(t, "DROP DATABASE "+schema)
	setHost(external.Host)
	message := f.waitFor(t, v1alpha1.ConditionStalled, metav1.ConditionTrue)
	for _, want := range []string{external.Host, f.namespace + ".example", schema} {
		if !strings.Contains(message, want) {
			t.Errorf("message %q does not mention %s", message, want)
		}
	}
	if n := f.count(t, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", schema); n != 0 {
		t.Error("an empty schema was created at the other server")
	}
	setHost(f.namespace + ".example")
	f.waitFor(t, v1alpha1.ConditionDatabaseReady, metav1.ConditionTrue)
}

// TestOtherBrokerWithoutVirtualHostIsRefused uses a second name of the broker.
func TestOtherBrokerWithoutVirtualHostIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	host, vhost := f.stack.Spec.RabbitMQ.External.Host, f.namespace+".demo"
	setHost := func(host string) {
		f.update(t, func(stack *v1alpha1.ECommerceStack) {
			stack.Spec.RabbitMQ.External.Host, stack.Spec.Paused = host, false
		})
	}
	setHost(f.namespace + ".example")
	f.waitFor(t, v1alpha1.ConditionBrokerReady, metav1.ConditionTrue)

	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Paused = true })
	f.eventually(t, func(context.Context) error {
		if phase := f.live(t).Status.Phase; !strings.HasPrefix(phase, "Paused") {
			return errors.New("phase " + phase)
		}
		return nil
	})
	response, err := f.broker.DeleteVhost(vhost)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	setHost(host)
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, reasonInvalidInput,
		"has no virtual host "+vhost+" of the stack, but its events are at "+f.namespace+".example", metav1.ConditionTrue)
	if _, err := f.broker.GetVhost(vhost); err == nil {
		t.Error("an empty virtual host was created at the other broker")
	}
	setHost(f.namespace + ".example")
	f.waitFor(t, v1alpha1.ConditionBrokerReady, metav1.ConditionTrue)
}

// TestSecretsOutliveTheDataOfTheirNamespace deletes what the namespace controller deletes, in
// the order that is the worst one: the Secrets before the stack.
func TestSecretsOutliveTheDataOfTheirNamespace(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	schema := f.stack.Spec.MySQL.External.SchemaPrefix + "users_auth_service"
	if err := api.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mysql-admin", "rabbitmq-admin"} {
		if err := api.Delete(t.Context(), f.secret(name, "", "")); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.waitForReconciles(2); err != nil {
		t.Fatal(err)
	}
	admin := &corev1.Secret{}
	f.get(t, "mysql-admin", admin)
	f.deleteStack(t)
	f.eventuallyGone(t, admin)
	if n := f.count(t, "SELECT COUNT(*) FROM `"+schema+"`.ecommerce_stack_owner WHERE released"); n != 1 {
		t.Error("the schema is not released for a successor")
	}
	f.exec(t, "DROP DATABASE "+schema)
}

// TestRecreatedNamespaceClaimsTheDataOfItsPredecessor deletes the namespace while both servers
// are unreachable.
func TestRecreatedNamespaceClaimsTheDataOfItsPredecessor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	setReachable := f.redirectServers(t)
	f.makeReady(t)
	schema := f.stack.Spec.MySQL.External.SchemaPrefix + "users_auth_service"
	f.exec(t, "CREATE TABLE "+schema+".precious (id INT)")
	admins := []*corev1.Secret{{}, {}}
	f.get(t, "mysql-admin", admins[0])
	f.get(t, "rabbitmq-admin", admins[1])

	setReachable(false)
	f.deleteNamespace(t)
	f.eventually(t, func(context.Context) error {
		phase := f.live(t).Status.Phase
		for _, want := range []string{"connect to MySQL", "connect to the RabbitMQ management API", v1alpha1.ForceDeleteAnnotation} {
			if !strings.Contains(phase, want) {
				return fmt.Errorf("phase %q, want one that mentions %s", phase, want)
			}
		}
		return nil
	})
	for _, admin := range admins {
		if f.get(t, admin.Name, admin); admin.DeletionTimestamp == nil {
			t.Errorf("Secret %s is not deleted with its namespace", admin.Name)
		}
	}
	setReachable(true)
	f.eventuallyGone(t, f.stack.DeepCopy())
	f.recreateNamespace(t, admins)

	f.stack = f.recreated()
	f.makeReady(t)
	if n := f.count(t, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = 'precious'", schema); n != 1 {
		t.Error("the data was lost")
	}
	if n := f.count(t, "SELECT COUNT(*) FROM `"+schema+"`.ecommerce_stack_owner WHERE uid = ? AND NOT released", string(f.stack.UID)); n != 1 {
		t.Error("the schema does not belong to the new stack")
	}
}

// redirectServers gives the servers host names of their own. The returned function sets
// whether they can be reached by these.
func (f *fixture) redirectServers(t *testing.T) (setReachable func(bool)) {
	t.Helper()
	database, broker := f.stack.Spec.MySQL.External, f.stack.Spec.RabbitMQ.External
	management, err := url.Parse(broker.ManagementURL)
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(int(database.Port))
	to := map[string]string{
		net.JoinHostPort("mysql."+f.namespace+".example", port):                 net.JoinHostPort(database.Host, port),
		net.JoinHostPort("rabbitmq."+f.namespace+".example", management.Port()): management.Host,
	}
	database.Host = "mysql." + f.namespace + ".example"
	broker.ManagementURL = "http://rabbitmq." + f.namespace + ".example:" + management.Port()
	setReachable = func(reachable bool) {
		for from, address := range to {
			if !reachable {
				address = "127.0.0.1:1"
			}
			redirects.redirect(from, address)
		}
	}
	setReachable(true)
	return setReachable
}

// deleteNamespace deletes the namespace and, as the namespace controller does, its content.
func (f *fixture) deleteNamespace(t *testing.T) {
	t.Helper()
	if err := api.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}); err != nil {
		t.Fatal(err)
	}
	// The Secrets before the stack, which is the worst order.
	for _, object := range []client.Object{&corev1.Secret{}, &v1alpha1.ECommerceStack{}} {
		if err := api.DeleteAllOf(t.Context(), object, client.InNamespace(f.namespace)); err != nil {
			t.Fatal(err)
		}
	}
}

// recreateNamespace ends the deletion of a namespace whose content is gone, and creates it
// again with the Secrets of the administrators.
func (f *fixture) recreateNamespace(t *testing.T, admins []*corev1.Secret) {
	t.Helper()
	for _, admin := range admins {
		f.eventuallyGone(t, admin.DeepCopy())
	}
	namespace := &corev1.Namespace{}
	f.eventually(t, func(ctx context.Context) error {
		if err := api.Get(ctx, client.ObjectKey{Name: f.namespace}, namespace); err != nil {
			return err
		}
		namespace.Spec.Finalizers = nil
		return api.SubResource("finalize").Update(ctx, namespace)
	})
	f.eventuallyGone(t, namespace)
	f.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}})
	for _, admin := range admins {
		f.create(t, f.secret(admin.Name, string(admin.Data["username"]), string(admin.Data["password"])))
	}
}

func TestSecretThatIsReplacedIsReleased(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	before := &corev1.Secret{}
	f.get(t, "mysql-admin", before)
	other := f.secret("mysql-admin-2", string(before.Data["username"]), string(before.Data["password"]))
	f.create(t, other)
	if err := api.Delete(t.Context(), before.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	f.eventuallyGone(t, before)
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.MySQL.External.AdminSecretRef.Name = other.Name })
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	if f.get(t, other.Name, other); len(other.Finalizers) != 1 {
		t.Errorf("finalizers %q, want one", other.Finalizers)
	}
	third := f.secret("mysql-admin-3", string(before.Data["username"]), string(before.Data["password"]))
	f.create(t, third)
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.MySQL.External.AdminSecretRef.Name = third.Name })
	f.eventually(t, func(context.Context) error {
		if f.get(t, other.Name, other); len(other.Finalizers) != 0 {
			return errors.New("the Secret that is no longer used has a finalizer")
		}
		return nil
	})
}
