package httpapi_test

import (
	"testing"

	"ecommerce-stack.dev/services/internal/server/servertest"
)

func FuzzOperations(f *testing.F) {
	s := open(f)
	servertest.Fuzz(f, s.serves, s.ann, s.manager)
}
