package contract

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// internalError is the status of unexpected errors. It is documented, but no case can
// cause it.
const internalError = "500"

// Coverage records which documented responses the cases returned.
type Coverage struct {
	document *Document
	mu       sync.Mutex
	seen     map[string]bool
	cases    int
}

func newCoverage(d *Document) *Coverage { return &Coverage{document: d, seen: map[string]bool{}} }

// record records that a case returned its expected status.
func (c *Coverage) record(op string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cases++
	c.seen[op+"/"+strconv.Itoa(status)] = true
}

// Cases returns the number of cases that returned their expected status.
func (c *Coverage) Cases() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cases
}

// Documented returns the number of documented responses other than internalError.
func (c *Coverage) Documented() int {
	n := 0
	for _, op := range c.document.Operations {
		for status := range op.Responses {
			if status != internalError {
				n++
			}
		}
	}
	return n
}

// Missing returns the documented responses that no case returned, such as
// "GET /products/304".
func (c *Coverage) Missing() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var missing []string
	for name, op := range c.document.Operations {
		if len(op.Responses) == 0 {
			missing = append(missing, name+": no response is documented")
		}
		for status := range op.Responses {
			if at := fmt.Sprintf("%s/%s", name, status); status != internalError && !c.seen[at] {
				missing = append(missing, at)
			}
		}
	}
	slices.Sort(missing)
	return missing
}

// Operations returns the number of documented operations.
func (c *Coverage) Operations() int { return len(c.document.Operations) }
