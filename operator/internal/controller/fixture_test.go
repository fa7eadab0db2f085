package controller

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

// eventuallyTimeout is how long a condition may take on a busy machine.
const eventuallyTimeout = 60 * time.Second

// fixture is a namespace with a stack on external servers.
type fixture struct {
	namespace string
	stack     *v1alpha1.ECommerceStack
	sql       *sql.DB
	broker    *rabbithole.Client
	rabbitmq  testenv.BrokerInfo
	// observations and changes count requests to the management API: how often the
	// broker was observed, and how often something on it was changed.
	observations, changes atomic.Int64
	// rewrites maps paths of the management API to functions that change the decoded
	// responses.
	rewrites sync.Map
}

// newFixture creates the namespace and the administrators' Secrets. It does not create the
// stack.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an API server and external servers; not part of a -short run")
	}
	dsn, err := driver.ParseDSN(testenv.MySQL(t))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{namespace: "t-" + strings.ToLower(rand.Text()[:10]), rabbitmq: testenv.Broker(t)}
	if f.broker, err = f.rabbitmq.Management(); err != nil {
		t.Fatal(err)
	}
	if f.sql, err = sql.Open("mysql", dsn.FormatDSN()); err != nil {
		t.Fatal(err)
	}
	f.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}})
	f.create(t, f.secret("mysql-admin", dsn.User, dsn.Passwd))
	f.create(t, f.secret("rabbitmq-admin", f.rabbitmq.Username, f.rabbitmq.Password))
	host, port, err := net.SplitHostPort(dsn.Addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	no := false
	f.stack = &v1alpha1.ECommerceStack{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "demo"},
		Spec: v1alpha1.ECommerceStackSpec{
			Observability: v1alpha1.ObservabilitySpec{PodMonitors: &no},
			MySQL: v1alpha1.MySQLSpec{External: &v1alpha1.ExternalMySQL{
				Host: host, Port: int32(number), AdminSecretRef: v1alpha1.SecretReference{Name: "mysql-admin"},
				SchemaPrefix: strings.ReplaceAll(f.namespace, "-", "") + "_",
			}},
			RabbitMQ: v1alpha1.RabbitMQSpec{External: &v1alpha1.ExternalRabbitMQ{
				Host: f.rabbitmq.Host, Port: int32(f.rabbitmq.Port), ManagementURL: f.countingProxy(t),
				AdminSecretRef: v1alpha1.SecretReference{Name: "rabbitmq-admin"},
			}},
		},
	}
	f.serveGateway(t, "demo-gateway."+f.namespace+".svc:5001", httptest.NewServer)
	t.Cleanup(func() { f.cleanUp(t) })
	return f
}

// cleanUp deletes the stacks of the namespace with their data.
func (f *fixture) cleanUp(t *testing.T) {
	ctx := context.Background()
	stacks := &v1alpha1.ECommerceStackList{}
	if err := api.List(ctx, stacks, client.InNamespace(f.namespace)); err != nil {
		t.Error(err)
	}
	for i := range stacks.Items {
		stack := &stacks.Items[i]
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"ignored-by-suite":null}},"spec":{"deletionPolicy":"Delete","paused":false}}`))
		if err := errors.Join(api.Patch(ctx, stack, patch), api.Delete(ctx, stack)); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
		f.eventuallyGone(t, stack)
	}
	_ = f.sql.Close()
}

func (f *fixture) secret(name, username, password string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name},
		StringData: map[string]string{"username": username, "password": password},
	}
}

func (f *fixture) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := api.Create(context.Background(), object); err != nil {
		t.Fatal(err)
	}
}

// apply creates the stack or updates its spec.
func (f *fixture) apply(t *testing.T) {
	t.Helper()
	if f.stack.UID == "" {
		f.create(t, f.stack)
		return
	}
	f.update(t, func(live *v1alpha1.ECommerceStack) { f.stack.Spec.DeepCopyInto(&live.Spec) })
}

func (f *fixture) update(t *testing.T, change func(*v1alpha1.ECommerceStack)) {
	t.Helper()
	f.eventually(t, func(ctx context.Context) error {
		live := f.live(t)
		change(live)
		return api.Update(ctx, live)
	})
}

func (f *fixture) live(t *testing.T) *v1alpha1.ECommerceStack {
	t.Helper()
	stack := &v1alpha1.ECommerceStack{}
	if err := api.Get(context.Background(), client.ObjectKeyFromObject(f.stack), stack); err != nil {
		t.Fatal(err)
	}
	return stack
}

// eventually calls try until it returns nil, and fails with its last error.
func (f *fixture) eventually(t *testing.T, try func(context.Context) error) {
	t.Helper()
	var last error
	if err := wait.PollUntilContextTimeout(context.Background(), 50*time.Millisecond, eventuallyTimeout, true,
		func(ctx context.Context) (bool, error) {
			last = try(ctx)
			return last == nil, nil
		}); err != nil {
		t.Fatalf("not within %s: %v", eventuallyTimeout, last)
	}
}

func (f *fixture) eventuallyGone(t *testing.T, object client.Object) {
	t.Helper()
	f.eventually(t, func(ctx context.Context) error {
		err := api.Get(ctx, client.ObjectKeyFromObject(object), object)
		if err == nil {
			err = fmt.Errorf("%s is still there", object.GetName())
			if stack, ok := object.(*v1alpha1.ECommerceStack); ok {
				err = fmt.Errorf("%w: %s", err, stack.Status.Phase)
			}
			return err
		}
		return client.IgnoreNotFound(err)
	})
}

// waitFor waits until a condition of the stack has a status, and returns its message.
func (f *fixture) waitFor(t *testing.T, condition string, status metav1.ConditionStatus) string {
	t.Helper()
	var message string
	f.eventually(t, func(context.Context) error {
		live := f.live(t)
		found := meta.FindStatusCondition(live.Status.Conditions, condition)
		if found == nil || found.Status != status || found.ObservedGeneration != live.Generation {
			return fmt.Errorf("%s is %+v, want %s of generation %d; %s", condition, found, status, live.Generation, live.Status.Phase)
		}
		message = found.Message
		return nil
	})
	return message
}

// runPods simulates the Deployment controller and the kubelet.
func (f *fixture) runPods(t *testing.T) {
	t.Helper()
	for _, service := range services {
		f.runDeployment(t, service)
	}
}

func (f *fixture) runDeployment(t *testing.T, service string) {
	t.Helper()
	f.setDeploymentStatus(t, service, func(deployment *appsv1.Deployment) {
		n := *deployment.Spec.Replicas
		deployment.Status = appsv1.DeploymentStatus{
			ObservedGeneration: deployment.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
			Conditions: []appsv1.DeploymentCondition{
				{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable"},
				{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable"},
			},
		}
	})
}

func (f *fixture) setDeploymentStatus(t *testing.T, service string, set func(*appsv1.Deployment)) {
	t.Helper()
	f.eventually(t, func(ctx context.Context) error {
		deployment := &appsv1.Deployment{}
		if err := api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: f.stack.Name + "-" + service}, deployment); err != nil {
			return err
		}
		set(deployment)
		return api.Status().Update(ctx, deployment)
	})
}

// makeReady creates the stack and waits until it is ready.
func (f *fixture) makeReady(t *testing.T) {
	t.Helper()
	f.apply(t)
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

// value returns a value in a Secret of the stack.
func (f *fixture) value(t *testing.T, secretName, key string) string {
	t.Helper()
	secret := &corev1.Secret{}
	if err := api.Get(context.Background(), client.ObjectKey{Namespace: f.namespace, Name: f.stack.Name + "-" + secretName}, secret); err != nil {
		t.Fatal(err)
	}
	return string(secret.Data[key])
}

func (f *fixture) exec(t *testing.T, statement string) {
	t.Helper()
	if _, err := f.sql.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func (f *fixture) count(t *testing.T, query string, args ...any) int {
	t.Helper()
	var n int
	if err := f.sql.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// waitForEvent waits for an Event whose note contains a text.
func (f *fixture) waitForEvent(t *testing.T, reason, text string) {
	t.Helper()
	f.eventually(t, func(ctx context.Context) error {
		list := &eventsv1.EventList{}
		if err := api.List(ctx, list, client.InNamespace(f.namespace)); err != nil {
			return err
		}
		var seen []string
		for _, e := range list.Items {
			if e.Reason == reason && strings.Contains(e.Note, text) {
				return nil
			}
			seen = append(seen, e.Reason+": "+e.Note)
		}
		return fmt.Errorf("no Event %s with %q among %q", reason, text, seen)
	})
}

// managed returns the resource versions of the objects that the operator applied.
func (f *fixture) managed(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, kind := range append(apply.Kinds, corev1.SchemeGroupVersion.WithKind("Secret"),
		v1alpha1.GroupVersion.WithKind(v1alpha1.Kind)) {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := api.List(context.Background(), list, client.InNamespace(f.namespace)); err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			versions[kind.Kind+"/"+item.Name] = item.ResourceVersion
		}
	}
	return versions
}

// dialer redirects connections to host names that do not resolve outside a cluster.
type dialer struct {
	mu sync.Mutex
	to map[string]string
}

func (d *dialer) redirect(from, to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.to == nil {
		d.to = map[string]string{}
	}
	d.to[from] = to
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	if to, found := d.to[address]; found {
		address = to
	}
	d.mu.Unlock()
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
}

// countingProxy starts a proxy for the management API that counts requests.
func (f *fixture) countingProxy(t *testing.T) string {
	t.Helper()
	target, err := url.Parse(f.rabbitmq.ManagementURL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = f.rewrite
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			f.changes.Add(1)
		} else if r.URL.Path == "/api/whoami" {
			f.observations.Add(1)
		}
		r.Header.Del("Accept-Encoding") // The transport decompresses for itself.
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// rewrite changes a response of the management API.
func (f *fixture) rewrite(response *http.Response) error {
	change, found := f.rewrites.Load(response.Request.URL.Path)
	if !found || response.StatusCode != http.StatusOK {
		return nil
	}
	var body any
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		return err
	}
	change.(func(any))(body)
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(encoded)), int64(len(encoded))
	response.Header.Set("Content-Length", strconv.Itoa(len(encoded)))
	return nil
}
