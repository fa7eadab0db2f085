package controller

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// Reasons of the condition EndpointReady.
const (
	reasonReached             = "Reached"
	reasonNotProbed           = "NotProbed"
	reasonNoIngressClass      = "NoIngressClass"
	reasonNoTLSSecret         = "NoTLSSecret"
	reasonLoadBalancerPending = "LoadBalancerPending"
)

const (
	// probePath responds without credentials and without a request to another service.
	probePath = "/livez"
	// probeTimeout limits one probe.
	probeTimeout = 5 * time.Second
	// maxProbes is the number of probes that run at the same time, of all stacks.
	maxProbes = 8
)

// endpoints probes the URLs of gateways. Probes run beside the reconciliations, which use
// the last results, so that an address that does not respond delays nothing. It is safe for
// concurrent use.
type endpoints struct {
	client   *http.Client
	interval time.Duration
	running  chan struct{}
	// changed receives the stacks whose endpoint has become reachable or unreachable.
	changed chan event.GenericEvent

	mu     sync.Mutex
	probes map[types.UID]map[string]*probe
}

// probe is the state of the probes of one URL.
type probe struct {
	active, done bool
	// problem is why the last probe failed, or "".
	problem  string
	next     time.Time
	failures int
}

// newEndpoints returns endpoints that probes a URL again after the interval; after a
// failure, after 5 s, which doubles up to the interval.
func newEndpoints(interval time.Duration, dial func(ctx context.Context, network, address string) (net.Conn, error)) *endpoints {
	return &endpoints{
		client: &http.Client{
			Timeout: probeTimeout,
			// A redirect is a response of the gateway or of its Ingress.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext: dial, DisableKeepAlives: true,
				// The certificate may be of a private authority, and for the name that clients
				// use. A probe sends no secret and uses nothing of the response but its status.
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // see above
			},
		},
		interval: interval, running: make(chan struct{}, maxProbes), changed: make(chan event.GenericEvent, 1024),
		probes: map[types.UID]map[string]*probe{},
	}
}

// result returns the result of the last probe of a URL, and starts the next if it is due.
// done is false until the first has ended.
func (e *endpoints) result(stack *v1alpha1.ECommerceStack, url string) (problem string, done bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.probes[stack.UID] == nil {
		e.probes[stack.UID] = map[string]*probe{}
	}
	p := e.probes[stack.UID][url]
	if p == nil {
		p = &probe{}
		e.probes[stack.UID][url] = p
	}
	if !p.active && !time.Now().Before(p.next) {
		select {
		case e.running <- struct{}{}:
			p.active = true
			go e.run(&v1alpha1.ECommerceStack{ObjectMeta: metav1.ObjectMeta{Namespace: stack.Namespace, Name: stack.Name}}, p, url)
		default: // The next reconciliation tries again.
		}
	}
	return p.problem, p.done
}

func (e *endpoints) run(stack *v1alpha1.ECommerceStack, p *probe, url string) {
	problem := e.probe(url)
	<-e.running
	e.mu.Lock()
	defer e.mu.Unlock()
	changed := !p.done || p.problem != problem
	p.active, p.done, p.problem = false, true, problem
	delay := e.interval
	if problem == "" {
		p.failures = 0
	} else {
		delay = min(e.interval, 5*time.Second<<min(p.failures, 10))
		p.failures++
	}
	p.next = time.Now().Add(delay)
	if changed {
		select {
		case e.changed <- event.GenericEvent{Object: stack}:
		default: // The next resync reads the result.
		}
	}
}

// probe returns why a gateway did not respond at the URL, or "".
func (e *endpoints) probe(url string) string {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+probePath, nil)
	if err != nil {
		return err.Error()
	}
	response, err := e.client.Do(request)
	if err != nil {
		return probeProblem(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Sprintf("the response has status %d", response.StatusCode)
	}
	return ""
}

// probeProblem returns the message of an error without what differs between two attempts.
func probeProblem(err error) string {
	var lookup *net.DNSError
	var operation *net.OpError
	switch {
	case errors.As(err, &lookup):
		return "the host name " + lookup.Name + " cannot be resolved"
	case errors.As(err, &operation) && operation.Err != nil && !operation.Timeout():
		return operation.Err.Error()
	}
	return "no response within " + probeTimeout.String()
}

// forget removes the probes of a stack.
func (e *endpoints) forget(stack types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.probes, stack)
}

// retain removes the probes of addresses that the stack does not have any more.
func (e *endpoints) retain(stack types.UID, addresses []address) {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.probes[stack], func(url string, _ *probe) bool {
		return !slices.ContainsFunc(addresses, func(a address) bool { return a.url == url })
	})
}

// next returns the time until a probe of the stack is due.
func (e *endpoints) next(stack types.UID) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	delay := e.interval
	for _, p := range e.probes[stack] {
		delay = min(delay, max(time.Until(p.next), time.Second))
	}
	return delay
}

// address is an address of the gateway.
type address struct {
	// url is "" if the address is not known yet.
	url string
	// reason and problem are what is known to be wrong with the address.
	reason, problem string
	// broken reports whether the address is wrong even if something responds there.
	broken bool
}

// observeEndpoint sets status.endpoint to the first address at which the gateway responded,
// and the condition EndpointReady for the address that clients use.
func (r *reconciliation) observeEndpoint(ctx context.Context) error {
	addresses, err := r.gatewayAddresses(ctx)
	if err != nil {
		return err
	}
	r.endpoints.retain(r.stack.UID, addresses)
	reached := ""
	for i, a := range addresses {
		problem, done := "", true
		if a.url != "" {
			problem, done = r.endpoints.result(r.stack, a.url)
		}
		if done && a.url != "" && problem == "" && !a.broken && reached == "" {
			reached = a.url
		}
		// While the first probe of a new operator runs, the last result remains.
		if !done && reached == "" && r.original.Status.Endpoint == a.url {
			reached = a.url
		}
		if i == 0 {
			r.reportEndpoint(a, problem, done)
		}
	}
	r.stack.Status.Endpoint = reached
	return nil
}

func (r *reconciliation) reportEndpoint(a address, problem string, done bool) {
	switch {
	case !done && r.original.Status.Endpoint == a.url:
		return
	case !done:
		r.setCondition(v1alpha1.ConditionEndpointReady, metav1.ConditionUnknown, reasonNotProbed, "The gateway was not probed yet at "+a.url)
	case a.problem != "" && (a.broken || a.url == "" || problem != ""):
		r.setCondition(v1alpha1.ConditionEndpointReady, metav1.ConditionFalse, a.reason, a.problem)
	case problem != "":
		r.setCondition(v1alpha1.ConditionEndpointReady, metav1.ConditionFalse, reasonUnreachable, fmt.Sprintf(
			"The operator does not reach the gateway at %s: %s. If clients do, a network policy may deny the operator's connections", a.url+probePath, problem))
	default:
		r.setCondition(v1alpha1.ConditionEndpointReady, metav1.ConditionTrue, reasonReached, "The gateway responds at "+a.url)
	}
}

// gatewayAddresses returns the addresses of the gateway, that of clients first: the Ingress,
// else the load balancer; and the Service within the cluster.
func (r *reconciliation) gatewayAddresses(ctx context.Context) ([]address, error) {
	gateway := r.stack.Spec.Gateway
	scheme := "http"
	if gateway.TLS != nil {
		scheme = "https"
	}
	internal := address{url: fmt.Sprintf("%s://%s:%s", scheme, r.serviceHost(charts.Gateway), gatewayPort)}
	if gateway.Ingress != nil {
		external, err := r.ingressAddress(ctx, gateway.Ingress)
		return []address{external, internal}, err
	}
	if gateway.Service.Type != corev1.ServiceTypeLoadBalancer {
		return []address{internal}, nil
	}
	host, err := r.loadBalancerAddress(ctx)
	external := address{reason: reasonLoadBalancerPending, problem: "The cluster has not assigned an address to Service " +
		objectName(r.stack, charts.Gateway) + " of type LoadBalancer: check its Events, and that the cluster provides load balancers"}
	if host != "" {
		external = address{url: scheme + "://" + net.JoinHostPort(host, gatewayPort)}
	}
	return []address{external, internal}, err
}

func (r *reconciliation) ingressAddress(ctx context.Context, spec *v1alpha1.IngressSpec) (address, error) {
	result := address{url: "http://" + spec.Host}
	if spec.TLSSecretName != "" {
		result.url = "https://" + spec.Host
		secret := &metav1.PartialObjectMetadata{}
		secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		err := r.apiReader.Get(ctx, client.ObjectKey{Namespace: r.stack.Namespace, Name: spec.TLSSecretName}, secret)
		if err != nil && !apierrors.IsNotFound(err) {
			return result, fmt.Errorf("read Secret %s: %w", spec.TLSSecretName, err)
		}
		if apierrors.IsNotFound(err) {
			result.broken, result.reason = true, reasonNoTLSSecret
			result.problem = fmt.Sprintf("Secret %s of spec.gateway.ingress.tlsSecretName does not exist in namespace %s: create it with the keys %s and %s",
				spec.TLSSecretName, r.stack.Namespace, corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
			return result, nil
		}
	}
	var ingress networkingv1.Ingress
	found, err := r.gatewayObject(ctx, networkingv1.SchemeGroupVersion.WithKind("Ingress"), &ingress)
	switch {
	case err != nil || !found:
		return result, err
	case cmp.Or(ptr.Deref(ingress.Spec.IngressClassName, ""), ingress.Annotations["kubernetes.io/ingress.class"]) == "":
		result.reason = reasonNoIngressClass
		result.problem = "The cluster has no default IngressClass, so no controller serves the Ingress: set spec.gateway.ingress.className"
	case len(ingress.Status.LoadBalancer.Ingress) == 0:
		result.reason = reasonLoadBalancerPending
		result.problem = fmt.Sprintf("No controller has assigned an address to Ingress %s, and nothing responds at %s: check that a controller serves IngressClass %s",
			ingress.Name, result.url, ptr.Deref(ingress.Spec.IngressClassName, ""))
	}
	return result, nil
}

func (r *reconciliation) loadBalancerAddress(ctx context.Context) (string, error) {
	var service corev1.Service
	found, err := r.gatewayObject(ctx, corev1.SchemeGroupVersion.WithKind("Service"), &service)
	if err != nil || !found || len(service.Status.LoadBalancer.Ingress) == 0 {
		return "", err
	}
	first := service.Status.LoadBalancer.Ingress[0]
	return cmp.Or(first.Hostname, first.IP), nil
}

// gatewayObject reads an object of the gateway. It reports whether it exists.
func (r *reconciliation) gatewayObject(ctx context.Context, kind schema.GroupVersionKind, into any) (bool, error) {
	name := objectName(r.stack, charts.Gateway)
	object, err := r.applier.Get(ctx, kind, client.ObjectKey{Namespace: r.stack.Namespace, Name: name})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s %s: %w", kind.Kind, name, err)
	}
	return true, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
}
