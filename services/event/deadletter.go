package event

import (
	"encoding/json"
	"time"
)

// DeadLetter is a message that a consumer rejected, as the broker dead-lettered it. The
// message may be malformed, so none of its properties is validated.
type DeadLetter struct {
	// Queue is the queue from which the message was dead-lettered.
	Queue string
	// Reason is the broker's reason: "rejected" or "delivery_limit".
	Reason string
	// DiedAt is the time at which the broker dead-lettered the message.
	DiedAt time.Time

	// MessageID, Type, Correlation and ContentType are AMQP properties of the message,
	// TraceParent is its header traceparent. Each may be empty.
	MessageID, Type, Correlation, TraceParent, ContentType string

	Body []byte
	// Headers are all headers of the message as a JSON object, or nil if they are too large.
	Headers json.RawMessage `json:"-"`
}
