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
	// passTimeout bounds a pass, external servers included.
	passTimeout = 2 * time.Minute
	// waitInterval is how soon a stack that waits is looked at again. Mostly a watch
	// comes first.
	waitInterval = 5 * time.Second
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
	client   client.Client
	live     client.Reader
	recorder events.EventRecorder
	applier  apply.Applier
	charts   chart.Charts
	checks   *checks
	options  Options
	// warned has the last warning about client addresses of each stack, by its name. The
	// status that a pass begins with may be older than the one that the pass before wrote.
	warned sync.Map
}

// pass is one look at one stack.
type pass struct {
	*Reconciler
	stack *v1alpha1.ECommerceStack
	// before is the stack as it was when the pass began.
	before *v1alpha1.ECommerceStack
	owner  ownership.Owner
	// inventory of what the phases applied.
	inventory []v1alpha1.ObjectReference
}

// phase does one part of the work and reports one condition.
type phase struct {
	name      string
	condition string
	run       func(*pass, context.Context) (outcome, error)
}

// outcome of a phase that did not fail.
type outcome struct {
	waiting bool
	// message says what is there, or what is waited for.
	message string
}

func done(format string, args ...any) (outcome, error) {
	return outcome{message: fmt.Sprintf(format, args...)}, nil
}

func waiting(format string, args ...any) (outcome, error) {
	return outcome{waiting: true, message: fmt.Sprintf(format, args...)}, nil
}

// phases in their order. health follows and reports on all of them.
var phases = []phase{
	{"database", v1alpha1.ConditionDatabaseReady, (*pass).database},
	{"broker", v1alpha1.ConditionBrokerReady, (*pass).broker},
	{"keys", v1alpha1.ConditionKeysReady, (*pass).keys},
	{"workloads", v1alpha1.ConditionWorkloadsReady, (*pass).workloads},
}

// Reconcile makes one pass.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	stack := &v1alpha1.ECommerceStack{}
	if err := r.client.Get(ctx, request.NamespacedName, stack); err != nil {
		r.warned.Delete(request.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	p := &pass{
		Reconciler: r, stack: stack, before: stack.DeepCopy(),
		owner: ownership.Owner{UID: string(stack.UID), Namespace: stack.Namespace, Name: stack.Name},
	}
	result, err := p.run(ctx)
	if err = errors.Join(err, p.patchStatus(ctx)); err == nil {
		return result, nil
	}
	if apierrors.IsConflict(err) {
		// Someone was quicker; the watch brings what they wrote.
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	if terminal(err) {
		log.FromContext(ctx).Info("stalled", "error", err.Error())
		return ctrl.Result{RequeueAfter: r.jittered()}, nil
	}
	return ctrl.Result{}, err
}

func (p *pass) run(ctx context.Context) (ctrl.Result, error) {
	switch {
	case p.stack.Spec.Paused:
		return ctrl.Result{}, p.paused(ctx)
	case !p.stack.DeletionTimestamp.IsZero():
		return p.delete(ctx)
	case controllerutil.AddFinalizer(p.stack, finalizer):
		if err := p.client.Patch(ctx, p.stack, client.MergeFromWithOptions(p.before, client.MergeFromWithOptimisticLock{})); err != nil {
			return ctrl.Result{}, fmt.Errorf("add the finalizer: %w", err)
		}
		p.before = p.stack.DeepCopy()
	}
	return p.phases(ctx)
}

func (p *pass) phases(ctx context.Context) (ctrl.Result, error) {
	var errs []error
	for _, phase := range phases {
		started := time.Now()
		outcome, err := phase.run(p, ctx)
		observePhase(phase.name, started, err)
		p.report(phase.condition, outcome, err)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", phase.name, err))
		}
	}
	p.reportClientAddress()
	if err := p.health(ctx); err != nil {
		errs = append(errs, fmt.Errorf("health: %w", err))
	}
	p.summarize(errs)
	if !p.isTrue(v1alpha1.ConditionReady) {
		return ctrl.Result{RequeueAfter: waitInterval}, errors.Join(errs...)
	}
	return ctrl.Result{RequeueAfter: p.jittered()}, nil
}

// paused reports on the pods and touches nothing.
func (p *pass) paused(ctx context.Context) error {
	err := p.health(ctx)
	what := "the operator changes nothing"
	if !p.stack.DeletionTimestamp.IsZero() {
		what = "the deletion waits"
	}
	p.markPaused(what + " until spec.paused is false")
	return err
}

// jittered is the resync interval, a tenth more or less, so that stacks spread out.
func (r *Reconciler) jittered() time.Duration {
	tenth := int64(r.options.Resync / 10)
	return r.options.Resync + time.Duration(rand.Int64N(2*tenth+1)-tenth)
}
