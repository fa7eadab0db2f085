package contract

// page of a list.
type page struct {
	Items      []map[string]any
	NextCursor string
	// Ended says that there is no nextCursor at all.
	Ended bool `json:"-"`
}

// list reads an answer as a page.
func (a *answer) list(w *world) page {
	w.t.Helper()
	var p page
	a.into(w, &p)
	var members map[string]any
	a.into(w, &members)
	_, more := members["nextCursor"]
	p.Ended = !more
	return p
}
