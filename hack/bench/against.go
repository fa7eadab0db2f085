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

// earlierSystem is an earlier revision and the system that is built from it.
type earlierSystem struct {
	revision.Revision
	store
}

// resolveRevisions resolves the revisions of --against.
func (b *bench) resolveRevisions(ctx context.Context) error {
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
		b.against = append(b.against, &earlierSystem{Revision: r})
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

// withTwins inserts the twins of each measurement directly after it, so that compared
// measurements run at nearly the same time.
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

// twin returns the measurement of an earlier revision, or nil if the measurement does not
// depend on the source tree.
func (b *bench) twin(m measure.Measurement, p *earlierSystem) measure.Measurement {
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

// hasTwins reports whether a twin of the group is selected.
func hasTwins(selected []measure.Measurement, group string) bool {
	return slices.ContainsFunc(selected, func(m measure.Measurement) bool {
		_, commit := measure.Present(m.Name())
		return commit != "" && inGroup([]measure.Measurement{m}, group)
	})
}

// checkAgainst returns an error if --against is set but no selected measurement has a
// twin.
func (b *bench) checkAgainst(selected []measure.Measurement) error {
	if len(b.against) == 0 || hasTwins(selected, "http") || hasTwins(selected, "shop") {
		return nil
	}
	return errors.New("--against compares the gateway and the scenarios, but none of them is selected: select one with --only, such as http/gateway-token or shop/uniform")
}

// extractRevisions extracts the files of the earlier revisions.
func (b *bench) extractRevisions(ctx context.Context) error {
	for _, r := range b.revisions() {
		if err := r.Extract(ctx, b.root); err != nil {
			return err
		}
	}
	return nil
}

// startEarlierSystems starts a complete system of each earlier revision.
func (b *bench) startEarlierSystems(ctx context.Context) error {
	for _, p := range b.against {
		what := fmt.Sprintf("Start MariaDB, RabbitMQ and the services of %s, and add products", p.Commit)
		err := b.show.Run(what, func(detail func(string)) error {
			if err := p.open(ctx, local.Options{Root: p.Root, Env: b.env(), Log: details(detail)}); err != nil {
				return err
			}
			return p.stock(ctx, b.taker)
		})
		if err != nil {
			return p.Incompatible(err)
		}
	}
	return nil
}
