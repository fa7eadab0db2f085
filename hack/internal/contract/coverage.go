package contract

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// unforeseen is the status of what nobody foresaw. It is documented, and no case can
// cause it.
const unforeseen = "500"

// Coverage is what the cases saw of a document.
type Coverage struct {
	document *Document
	mu       sync.Mutex
	seen     map[string]bool
	cases    int
}

func newCoverage(d *Document) *Coverage { return &Coverage{document: d, seen: map[string]bool{}} }

// saw notes that a case got the answer that it is about.
func (c *Coverage) saw(op string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cases++
	c.seen[op+"/"+strconv.Itoa(status)] = true
}

// Cases is how many cases got the answer that they are about.
func (c *Coverage) Cases() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cases
}

// Documented is how many answers the document has, other than the unforeseen.
func (c *Coverage) Documented() int {
	n := 0
	for _, op := range c.document.Operations {
		for status := range op.Responses {
			if status != unforeseen {
				n++
			}
		}
	}
	return n
}

// Missing are the documented answers, such as "GET /products/304", that no case saw.
func (c *Coverage) Missing() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var missing []string
	for name, op := range c.document.Operations {
		if len(op.Responses) == 0 {
			missing = append(missing, name+": no answer is documented")
		}
		for status := range op.Responses {
			if at := fmt.Sprintf("%s/%s", name, status); status != unforeseen && !c.seen[at] {
				missing = append(missing, at)
			}
		}
	}
	slices.Sort(missing)
	return missing
}

// Operations is how many there are.
func (c *Coverage) Operations() int { return len(c.document.Operations) }
