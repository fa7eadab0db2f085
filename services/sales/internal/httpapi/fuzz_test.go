package httpapi_test

import (
	"testing"

	"ecommerce-stack.dev/services/internal/server/servertest"
)

func FuzzOperations(f *testing.F) {
	d := open(f)
	servertest.Fuzz(f, d.serves, d.ann, d.manager)
}
