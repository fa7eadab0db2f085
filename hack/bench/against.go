package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ecommerce-stack.dev/hack/bench/internal/edge"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/preflight"
	"ecommerce-stack.dev/hack/bench/internal/revision"
	"ecommerce-stack.dev/hack/bench/internal/shop"
	"ecommerce-stack.dev/hack/internal/local"
)

// past is an earlier revision with the system that is built from it.
type past struct {
	revision.Revision
	store
}

// resolve finds the revisions of --against, before anything is started.
func (b *bench) resolve(ctx context.Context) error {
	if len(b.options.Against) == 0 {
		return nil
	}
	if err := preflight.Installed(preflight.History); err != nil {
		return err
	}
	found, err := revision.Resolve(ctx, b.root, b.options.Against)
	if err != nil {
		return err
	}
	for _, r := range found {
		b.against = append(b.against, &past{Revision: r})
	}
	return nil
}

func (b *bench) revisions() []*revision.Revision {
	all := make([]*revision.Revision, len(b.against))
	for i, p := range b.against {
		all[i] = &p.Revision
	}
	return all
}

// withTwins puts the twins of a measurement right behind it, so that little time is
// between what is compared.
func (b *bench) withTwins(selected []measure.Measurement) []measure.Measurement {
	var all []measure.Measurement
	for _, m := range selected {
		all = append(all, m)
		for _, p := range b.against {
			if twin := b.twin(m, p); twin != nil {
				all = append(all, twin)
			}
		}
	}
	return all
}

// twin is the measurement of an earlier revision, nil if it does not measure what is built
// from the source tree under load.
func (b *bench) twin(m measure.Measurement, p *past) measure.Measurement {
	switch m := m.(type) {
	case edge.Target:
		if twin, ok := m.Twin(&p.Revision); ok {
			return twin
		}
	case shop.Measurement:
		return shop.Measurement{Shop: &p.shop, Scenario: m.Scenario, Commit: p.Commit}
	}
	return nil
}

// hasTwins says whether a group has one.
func hasTwins(selected []measure.Measurement, group string) bool {
	return slices.ContainsFunc(selected, func(m measure.Measurement) bool {
		_, commit := measure.Present(m.Name())
		return commit != "" && inGroup([]measure.Measurement{m}, group)
	})
}

// compared fails when nothing is measured that --against could compare.
func (b *bench) compared(selected []measure.Measurement) error {
	if len(b.against) == 0 || hasTwins(selected, "http") || hasTwins(selected, "shop") {
		return nil
	}
	return errors.New("--against compares the gateway and the scenarios, and nothing of them is measured: name one with --only, such as http/gateway-token or shop/uniform")
}

// extract brings the files of the earlier revisions.
func (b *bench) extract(ctx context.Context) error {
	for _, r := range b.revisions() {
		if err := r.Extract(ctx, b.root); err != nil {
			return err
		}
	}
	return nil
}

// startPast starts a complete system of each earlier revision.
func (b *bench) startPast(ctx context.Context) error {
	for _, p := range b.against {
		what := fmt.Sprintf("Start MariaDB, RabbitMQ and the services of %s, and stock them", p.Commit)
		err := b.show.Run(what, func(detail func(string)) error {
			if err := p.open(ctx, local.Options{Root: p.Root, Env: b.env(), Log: details(detail)}); err != nil {
				return err
			}
			return p.stock(ctx, b.taker)
		})
		if err != nil {
			return p.Old(err)
		}
	}
	return nil
}
