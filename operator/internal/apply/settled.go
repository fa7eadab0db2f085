package apply

import "sync"

// settled records differences that an apply could not remove, because the API server drops
// an empty value, or because an admission webhook changes every write. They are neither
// written nor reported again until the live object or the desired one changes. It is safe for
// concurrent use.
type settled struct{ states sync.Map }

// settledState is the fingerprint of the differences from the desired object with a hash.
type settledState struct{ hash, differences string }

// record stores the differences that remained after a write, or "" for none.
func (s *settled) record(id objectID, hash, differences string) {
	if differences == "" {
		s.states.Delete(id)
		return
	}
	s.states.Store(id, settledState{hash, differences})
}

func (s *settled) has(id objectID, hash, differences string) bool {
	last, found := s.states.Load(id)
	return found && last == settledState{hash, differences}
}
