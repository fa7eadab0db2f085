package contract

import (
	"slices"
)

// rule of the contract that takes more than one call to prove.
type rule struct {
	name  string
	needs []need
	prove func(w *world)
}

func rules() []rule {
	return slices.Concat(wireRules(), limitRules(), listRules(), sessionRules(), productRules(), saleRules())
}
