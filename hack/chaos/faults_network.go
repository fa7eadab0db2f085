package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// networkKinds are faults of the edges.
func networkKinds(edges []string) []kind {
	short, long := time.Second, 6*time.Second
	toxics := func(make func(random *rand.Rand) []toxic) func(context.Context, *round, fault) (func(context.Context) error, error) {
		return func(ctx context.Context, r *round, f fault) (func(context.Context) error, error) {
			remove, err := r.store.edges[f.Target].add(ctx, make(rand.New(rand.NewPCG(f.Seed, 3)))...)
			return func(context.Context) error { remove(); return nil }, err
		}
	}
	both := func(name string, attributes map[string]any) []toxic {
		return []toxic{{name, "upstream", attributes}, {name, "downstream", attributes}}
	}
	none := map[string]any{"timeout": 0}
	toDatabase := slices.DeleteFunc(slices.Clone(edges), func(name string) bool { return !strings.HasSuffix(name, "→"+mysqlServer) })
	commit := func(when moment) func(context.Context, *round, fault) (func(context.Context) error, error) {
		return func(_ context.Context, r *round, f fault) (func(context.Context) error, error) {
			random := rand.New(rand.NewPCG(f.Seed, 4))
			end := r.store.commits[f.Target].interrupt(when, func() bool { return random.IntN(3) == 0 })
			return func(context.Context) error { end(); return nil }, nil
		}
	}
	return []kind{
		{"cut before a commit", toDatabase, 2 * short, long, commit(beforeCommit)},
		{"cut after a commit", toDatabase, 2 * short, long, commit(afterCommit)},
		{"latency", edges, short, long, toxics(func(random *rand.Rand) []toxic {
			return both("latency", map[string]any{"latency": 20 + random.IntN(400), "jitter": random.IntN(200)})
		})},
		{"low bandwidth", edges, short, long, toxics(func(random *rand.Rand) []toxic {
			return both("bandwidth", map[string]any{"rate": 2 + random.IntN(30)})
		})},
		// Connections end with RST in the middle of a message.
		{"reset", edges, short, long, toxics(func(random *rand.Rand) []toxic {
			return []toxic{{"reset_peer", []string{"upstream", "downstream"}[random.IntN(2)], map[string]any{"timeout": random.IntN(300)}}}
		})},
		// Connections end in the middle of a message or of a confirmation.
		{"cut", edges, short, long, toxics(func(random *rand.Rand) []toxic {
			return []toxic{{"limit_data", []string{"upstream", "downstream"}[random.IntN(2)], map[string]any{"bytes": 500 + random.IntN(8000)}}}
		})},
		{"partition to the server", edges, 2 * short, 2 * long, toxics(func(*rand.Rand) []toxic {
			return []toxic{{"timeout", "upstream", none}}
		})},
		{"partition from the server", edges, 2 * short, 2 * long, toxics(func(*rand.Rand) []toxic {
			return []toxic{{"timeout", "downstream", none}}
		})},
		{"half-open", edges, 2 * short, 2 * long, toxics(func(*rand.Rand) []toxic { return both("timeout", none) })},
		{"refused", edges, short, 2 * long, func(_ context.Context, r *round, f fault) (func(context.Context) error, error) {
			e := r.store.edges[f.Target]
			e.proxy.Stop()
			return func(context.Context) error { return e.proxy.Start() }, nil
		}},
	}
}
