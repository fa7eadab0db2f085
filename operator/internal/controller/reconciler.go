// Package controller implements the reconciler of ECommerceStacks.
//
// A reconciliation runs the phases database, broker, keys and workloads, which have one
// file each. A phase observes, changes only what differs from the desired state, and sets
// one condition. A failed phase does not stop the others: errors are aggregated, and one
// status patch ends the reconciliation. Reconciling a stack that is in the desired state
// writes nothing to the API server, to MySQL or to RabbitMQ.
package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/chart"
	"ecommerce-stack.dev/operator/internal/ownership"
)

const (
	// reconcileTimeout limits one reconciliation, including the calls to external
	// servers.
	reconcileTimeout = 2 * time.Minute
	// requeueInterval is the delay before a stack that is not ready is reconciled
	// again, if the resync interval is not shorter. A watch event usually comes first,
	// but pods are not watched.
	requeueInterval = 5 * time.Second
)

// Options configures the reconciler. The images are the defaults for stacks that name none.
type Options struct {
	// ImageRegistry and ImageTag are the registry and tag of the services' images.
	ImageRegistry, ImageTag string
	// MySQLImage and RabbitMQImage are the images of embedded servers, and
	// MySQLExporterImage that of mysqld_exporter.
	MySQLImage, RabbitMQImage, MySQLExporterImage string
	// MonitoringLabels are labels of PodMonitors, by which a Prometheus selects them.
	MonitoringLabels map[string]string
	// Namespace is the namespace of the operator. OptionalObjects are names of
	// ConfigMaps in it; see optionalObjects.
	Namespace       string
	OptionalObjects []string
	// Resync is the interval at which external state is observed, with a jitter of 10%.
	Resync time.Duration
	// Dial replaces the default dialer for connections to MySQL and RabbitMQ unless it
	// is nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Reconciler reconciles ECommerceStacks. It is safe for concurrent use.
type Reconciler struct {
	client       client.Client
	apiReader    client.Reader
	recorder     events.EventRecorder
	applier      *apply.Applier
	charts       chart.Charts
	observations *observations
	certificates *certificates
	causes       *causes
	endpoints    *endpoints
	options      Options
	// lastWarnings maps a stack's name to the last warning about client addresses. It
	// prevents duplicate Events, because the cached status may be older than the last
	// one written.
	lastWarnings sync.Map
}

// reconciliation is one reconciliation of one stack.
type reconciliation struct {
	*Reconciler
	stack *v1alpha1.ECommerceStack
	// original is the stack as it was when the reconciliation began.
	original *v1alpha1.ECommerceStack
	owner    ownership.Owner
	// inventory lists the objects that the phases applied.
	inventory   []v1alpha1.ObjectReference
	podMonitors podMonitors
	// workloads holds the workloads that were observed, by component.
	workloads map[string]workloadStatus
	// stalled lists the failures that only a person can correct.
	stalled []failure
	// unapplied lists the changes that a paused stack lacks.
	unapplied []apply.Change
	// changes collects what is reported in one Event for each kind of change.
	changes map[changeKind][]string
	// recheck is the time after which a rotation continues; 0 without one.
	recheck time.Duration
	// rotated are the Secrets with credentials that are rotated together, and admins those of
	// embedded servers among them, by system.
	rotated []*corev1.Secret
	admins  map[string]*corev1.Secret
	// authorities are the PEM certificates of the private authorities of external servers, by
	// component.
	authorities map[string][]byte
}

// phase is one step of a reconciliation, with one condition.
type phase struct {
	name      string
	condition string
	run       func(*reconciliation, context.Context) (phaseResult, error)
}

// phaseResult is the result of a phase that did not fail.
type phaseResult struct {
	waiting bool
	// reason is the reason of the condition of a phase that waits. Default:
	// reasonWaiting.
	reason string
	// message describes the observed state, or what the phase waits for.
	message string
	// failures are the known causes why the phase has to wait.
	failures []failure
}

func phaseReady(format string, args ...any) (phaseResult, error) {
	return phaseResult{message: fmt.Sprintf(format, args...)}, nil
}

func phaseWaiting(format string, args ...any) (phaseResult, error) {
	return phaseResult{waiting: true, message: fmt.Sprintf(format, args...)}, nil
}

// phases lists the phases in the order in which they run.
var phases = []phase{
	{"database", v1alpha1.ConditionDatabaseReady, (*reconciliation).reconcileDatabase},
	{"broker", v1alpha1.ConditionBrokerReady, (*reconciliation).reconcileBroker},
	{"keys", v1alpha1.ConditionKeysReady, (*reconciliation).reconcileKeys},
	{"workloads", v1alpha1.ConditionWorkloadsReady, (*reconciliation).reconcileWorkloads},
}

// Reconcile reconciles the requested stack. It implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	stack := &v1alpha1.ECommerceStack{}
	if err := r.client.Get(ctx, request.NamespacedName, stack); err != nil {
		r.lastWarnings.Delete(request.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	rec := &reconciliation{
		Reconciler: r, stack: stack, original: stack.DeepCopy(),
		owner:     ownership.Owner{UID: string(stack.UID), Namespace: stack.Namespace, Name: stack.Name},
		workloads: map[string]workloadStatus{}, changes: map[changeKind][]string{}, admins: map[string]*corev1.Secret{}, authorities: map[string][]byte{},
	}
	result, err := rec.run(ctx)
	rec.recordChanges()
	if err = errors.Join(err, rec.patchStatus(ctx)); err == nil {
		return result, nil
	}
	if apierrors.IsConflict(err) {
		// The object was modified concurrently. The watch delivers the new version.
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	if isTerminal(err) {
		log.FromContext(ctx).Info("stack stalled", "error", err.Error())
		return ctrl.Result{RequeueAfter: r.resyncDelay()}, nil
	}
	return ctrl.Result{}, err
}

func (r *reconciliation) run(ctx context.Context) (ctrl.Result, error) {
	switch {
	case r.stack.Spec.Paused:
		return ctrl.Result{RequeueAfter: r.resyncDelay()}, r.reconcilePaused(ctx)
	case !r.stack.DeletionTimestamp.IsZero():
		return r.reconcileDeletion(ctx)
	case controllerutil.AddFinalizer(r.stack, finalizer):
		if err := r.client.Patch(ctx, r.stack, client.MergeFromWithOptions(r.original, client.MergeFromWithOptimisticLock{})); err != nil {
			return ctrl.Result{}, fmt.Errorf("add the finalizer: %w", err)
		}
		r.original = r.stack.DeepCopy()
	}
	return r.runPhases(ctx)
}

func (r *reconciliation) runPhases(ctx context.Context) (ctrl.Result, error) {
	if err := r.checkRetained(ctx); err != nil {
		r.refuse(err)
		return ctrl.Result{RequeueAfter: r.requeueDelay()}, err
	}
	var errs []error
	if r.stack.Status.ObservedGeneration != r.stack.Generation { // Another Secret may be referred to.
		if err := r.releaseSecrets(ctx, heldSecretNames(r.stack)...); err != nil {
			errs = append(errs, err)
		}
	}
	r.observePodMonitors(ctx)
	for _, phase := range phases {
		started := time.Now()
		result, err := phase.run(r, ctx)
		observePhase(phase.name, started, err)
		r.setPhaseCondition(phase.condition, result, err)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", phase.name, err))
		}
	}
	r.reportClientAddress()
	r.reportPodMonitors()
	r.reportCredentials()
	r.observeCertificates(ctx)
	if err := r.observeHealth(ctx); err != nil {
		errs = append(errs, fmt.Errorf("health: %w", err))
	}
	r.summarize(errs)
	r.recordAdoption()
	if !r.isTrue(v1alpha1.ConditionReady) {
		return ctrl.Result{RequeueAfter: r.requeueDelay()}, errors.Join(errs...)
	}
	delay := r.resyncDelay()
	if !r.isTrue(v1alpha1.ConditionEndpointReady) {
		delay = min(delay, r.endpoints.next(r.stack.UID))
	}
	if r.recheck > 0 {
		delay = min(delay, r.recheck)
	}
	return ctrl.Result{RequeueAfter: delay}, nil
}

// requeueDelay returns the delay before a stack that is not ready is reconciled again.
func (r *Reconciler) requeueDelay() time.Duration { return min(requeueInterval, r.options.Resync) }

// resyncDelay returns the resync interval with a jitter of 10%, which spreads the load of
// many stacks.
func (r *Reconciler) resyncDelay() time.Duration {
	tenth := int64(r.options.Resync / 10)
	return r.options.Resync + time.Duration(rand.Int64N(2*tenth+1)-tenth)
}
