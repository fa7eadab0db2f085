package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/services/event"
)

// brokerKinds are faults of the broker.
func brokerKinds() []kind {
	target := []string{brokerName}
	return []kind{
		{"kill", target, 0, 2 * time.Second, killBroker},
		{"pause", target, time.Second, 12 * time.Second, pauseBroker},
		{"memory alarm of", target, 2 * time.Second, 8 * time.Second, memoryAlarm},
		{"delete queues of", target, 0, 3 * time.Second, deleteQueues},
		{"purge queues of", target, 2 * time.Second, 5 * time.Second, purgeQueues},
		{"lose the queue of", []string{stockConsumers, salesConsumers}, time.Second, 3 * time.Second, loseQueue},
		{"close connections of", target, 2 * time.Second, 5 * time.Second, closeConnections},
	}
}

func killBroker(_ context.Context, r *round, _ fault) (func(context.Context) error, error) {
	r.store.RabbitMQ.Kill()
	return r.store.RabbitMQ.Restart, nil
}

func pauseBroker(_ context.Context, r *round, _ fault) (func(context.Context) error, error) {
	return pause(r.store.RabbitMQ.PID)
}

// memoryAlarm makes the broker block the connections that publish.
func memoryAlarm(ctx context.Context, r *round, _ fault) (func(context.Context) error, error) {
	set := func(ctx context.Context, watermark string) error {
		return r.store.RabbitMQ.Control(ctx, "set_vm_memory_high_watermark", watermark)
	}
	return func(ctx context.Context) error { return set(ctx, "0.4") }, set(ctx, "0.000001")
}

// discard closes the body of a response.
func discard(res *http.Response, err error) error {
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// maxBrokerAttempts limits the attempts of an operation of the broker to about 10 s.
const maxBrokerAttempts = 50

// deleteQueues deletes a queue with its messages, and declares it again at the end. The broker
// responds with an error while it restarts the process that publishes dead letters, which ended
// with the queue; so the declaration is repeated, as the operator does.
func deleteQueues(_ context.Context, r *round, f fault) (func(context.Context) error, error) {
	management, err := r.management()
	if err != nil {
		return nil, err
	}
	r.loseMessages()
	queue := event.Queues[f.Seed%uint64(len(event.Queues))]
	if err := discard(management.DeleteQueue(local.VHost, queue.Name)); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		err := r.store.DeclareQueues()
		for attempt := 1; err != nil && attempt < maxBrokerAttempts && sleep(ctx, pollInterval); attempt++ {
			err = r.store.DeclareQueues()
		}
		if err != nil {
			return err
		}
		return r.awaitStranded(ctx)
	}, nil
}

// strandedWithin is the time after its declaration in which a queue ends that the broker cannot run.
const strandedWithin = 3 * time.Second

// awaitStranded restarts the broker if a queue ends that was just declared.
func (r *round) awaitStranded(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < strandedWithin && sleep(ctx, pollInterval); {
		if restarted, err := r.restartStrandedBroker(ctx); err != nil || restarted {
			return err
		}
	}
	return ctx.Err()
}

// restartStrandedBroker restarts the broker if it has a queue without processes, as the operator
// does. The process that supervises the publication of dead letters may end for good when a queue is
// deleted; then no queue with dead letters can run until the broker is started again
// (https://github.com/rabbitmq/rabbitmq-server/issues/16652).
func (r *round) restartStrandedBroker(ctx context.Context) (restarted bool, err error) {
	management, err := r.management()
	if err != nil {
		return false, err
	}
	// The statistics still contain a member that has ended.
	queues, err := management.ListQueuesWithParametersIn(local.VHost, url.Values{"disable_stats": {"true"}})
	if err != nil || !slices.ContainsFunc(queues, func(q rabbithole.QueueInfo) bool { return q.Type == "quorum" && len(q.Online) == 0 }) {
		return false, err
	}
	r.note(errors.New("a queue without processes: the broker was restarted"))
	r.store.RabbitMQ.Kill()
	return true, r.store.RabbitMQ.Restart(ctx)
}

// loseQueue kills all consumers of a queue, and deletes its messages before they start again. While they
// run, they have almost all messages, and a purge finds none.
func loseQueue(_ context.Context, r *round, f fault) (func(context.Context) error, error) {
	management, err := r.management()
	if err != nil {
		return nil, err
	}
	queue, processes := event.StockQueue, []string{"stock", "stock-2"}
	if f.Target == salesConsumers {
		queue, processes = event.SalesQueue, []string{"sales", "sales-2"}
	}
	for _, name := range processes {
		r.store.Kill(name)
	}
	return func(context.Context) error {
		r.loseMessages()
		errs := []error{discard(management.PurgeQueue(local.VHost, queue))}
		for _, name := range processes {
			errs = append(errs, r.store.StartService(name))
		}
		return errors.Join(errs...)
	}, nil
}

// purgeQueues deletes the messages of all queues of events, again and again.
func purgeQueues(ctx context.Context, r *round, f fault) (func(context.Context) error, error) {
	management, err := r.management()
	if err != nil {
		return nil, err
	}
	end := repeatedly(ctx, f, 100*time.Millisecond, func(context.Context, *rand.Rand) {
		for _, q := range event.Queues {
			_ = discard(management.PurgeQueue(local.VHost, q.Name))
		}
	})
	return func(ctx context.Context) error { defer r.loseMessages(); return end(ctx) }, nil
}

// closeConnections closes connections at the broker, as an administrator can.
func closeConnections(ctx context.Context, r *round, f fault) (func(context.Context) error, error) {
	management, err := r.management()
	if err != nil {
		return nil, err
	}
	return repeatedly(ctx, f, 800*time.Millisecond, func(_ context.Context, random *rand.Rand) {
		connections, err := management.ListConnections()
		if err != nil {
			return
		}
		for _, c := range connections {
			if random.IntN(2) == 0 {
				_ = discard(management.CloseConnection(c.Name))
			}
		}
	}), nil
}

// management returns a client of the management API that does not wait for a broker that is
// stopped.
func (r *round) management() (*rabbithole.Client, error) {
	c, err := r.store.RabbitMQ.Info.Management()
	if err != nil {
		return nil, err
	}
	c.SetTimeout(5 * time.Second)
	return c, nil
}
