package contract

import (
	"slices"
)

// rule is a rule of the contract that needs more than one request to test.
type rule struct {
	name  string
	needs []requirement
	test  func(w *testContext)
}

func rules() []rule {
	return slices.Concat(httpRules(), limitRules(), listRules(), sessionRules(), productRules(), saleRules())
}
