package contract

import (
	"slices"
	"testing"
)

// rule of the contract that takes more than one call to prove.
type rule struct {
	name  string
	needs []need
	prove func(w *world)
}

func (s *suite) prove(t *testing.T, r rule) {
	needs(t, s.Target, r.needs)
	r.prove(s.world(t))
}

func rules() []rule {
	return slices.Concat(wireRules(), limitRules(), listRules(), sessionRules(), productRules(), saleRules())
}
