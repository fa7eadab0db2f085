package event

import "time"

// DeadLetter is a message that a consumer refused, as the broker handed it on. Its
// text may be anything.
type DeadLetter struct {
	// Queue it was refused from.
	Queue string
	// Reason is the broker's word for it: "rejected" or "delivery_limit".
	Reason string
	DiedAt time.Time

	MessageID, Type, Correlation, TraceParent, ContentType string

	Body []byte
}
