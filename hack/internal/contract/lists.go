package contract

// page is a page of a list.
type page struct {
	Items      []map[string]any
	NextCursor string
	// IsLast reports whether the member nextCursor is absent.
	IsLast bool `json:"-"`
}

// list decodes the body as a page.
func (a *response) list(w *testContext) page {
	w.t.Helper()
	var p page
	a.into(w, &p)
	var members map[string]any
	a.into(w, &members)
	_, more := members["nextCursor"]
	p.IsLast = !more
	return p
}
