// Package controller turns ECommerceStacks into stores and keeps them that way.
//
// A pass runs the phases database, broker, keys, workloads and health, one file each.
// Each observes, changes only the difference and reports one condition; errors are
// aggregated, and one status patch ends the pass. A pass over a stack that is as it
// should be writes nothing to the API server, to MySQL or to RabbitMQ.
package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

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
	// reconcileTimeout bounds a pass, external servers included.
	reconcileTimeout = 2 * time.Minute
	// requeueInterval is how soon a stack that waits is looked at again. Mostly a watch
	// comes first.
	requeueInterval = 5 * time.Second
)

// Options of the operator, for what stacks leave open.
type Options struct {
	// ImageRegistry and ImageTag of the services.
	ImageRegistry, ImageTag string
	// MySQLImage and RabbitMQImage of the embedded servers.
	MySQLImage, RabbitMQImage string
	// Resync is how often external state is observed; jittered by a tenth.
	Resync time.Duration
	// Dial replaces the network's own dialer for connections to MySQL and RabbitMQ.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Reconciler reconciles ECommerceStacks.
type Reconciler struct {
	client       client.Client
	apiReader    client.Reader
	recorder     events.EventRecorder
	applier      apply.Applier
	charts       chart.Charts
	observations *observations
	options      Options
	// warned has the last warning about client addresses of each stack, by its name. The
	// status that a pass begins with may be older than the one that the pass before wrote.
	lastWarnings sync.Map
}

// pass is one look at one stack.
type reconciliation struct {
	*Reconciler
	stack *v1alpha1.ECommerceStack
	// before is the stack as it was when the pass began.
	original *v1alpha1.ECommerceStack
	owner    ownership.Owner
	// inventory of what the phases applied.
	inventory []v1alpha1.ObjectReference
}

// phase does one part of the work and reports one condition.
type phase struct {
	name      string
	condition string
	run       func(*reconciliation, context.Context) (phaseResult, error)
}

// phaseResult of a phase that did not fail.
type phaseResult struct {
	waiting bool
	// message says what is there, or what is waited for.
	message string
}

func phaseReady(format string, args ...any) (phaseResult, error) {
	return phaseResult{message: fmt.Sprintf(format, args...)}, nil
}

func phaseWaiting(format string, args ...any) (phaseResult, error) {
	return phaseResult{waiting: true, message: fmt.Sprintf(format, args...)}, nil
}

// phases in their order. health follows and reports on all of them.
var phases = []phase{
	{"database", v1alpha1.ConditionDatabaseReady, (*reconciliation).reconcileDatabase},
	{"broker", v1alpha1.ConditionBrokerReady, (*reconciliation).reconcileBroker},
	{"keys", v1alpha1.ConditionKeysReady, (*reconciliation).reconcileKeys},
	{"workloads", v1alpha1.ConditionWorkloadsReady, (*reconciliation).reconcileWorkloads},
}

// Reconcile makes one pass.
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
		owner: ownership.Owner{UID: string(stack.UID), Namespace: stack.Namespace, Name: stack.Name},
	}
	result, err := rec.run(ctx)
	if err = errors.Join(err, rec.patchStatus(ctx)); err == nil {
		return result, nil
	}
	if apierrors.IsConflict(err) {
		// Someone was quicker; the watch brings what they wrote.
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
		return ctrl.Result{}, r.reconcilePaused(ctx)
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
	var errs []error
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
	if err := r.observeHealth(ctx); err != nil {
		errs = append(errs, fmt.Errorf("health: %w", err))
	}
	r.summarize(errs)
	if !r.isTrue(v1alpha1.ConditionReady) {
		return ctrl.Result{RequeueAfter: requeueInterval}, errors.Join(errs...)
	}
	return ctrl.Result{RequeueAfter: r.resyncDelay()}, nil
}

// paused reports on the pods and touches nothing.
func (r *reconciliation) reconcilePaused(ctx context.Context) error {
	err := r.observeHealth(ctx)
	message := "the operator makes no changes"
	if !r.stack.DeletionTimestamp.IsZero() {
		message = "deletion waits"
	}
	r.markPaused(message + " until spec.paused is false")
	return err
}

// jittered is the resync interval, a tenth more or less, so that stacks spread out.
func (r *Reconciler) resyncDelay() time.Duration {
	tenth := int64(r.options.Resync / 10)
	return r.options.Resync + time.Duration(rand.Int64N(2*tenth+1)-tenth)
}
