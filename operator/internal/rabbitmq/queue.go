package rabbitmq

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
)

// QueueProblem describes a quorum queue that has lost members or has fewer than desired.
type QueueProblem struct {
	// Message names the queue and counts its members.
	Message string
	// Offline are the nodes of the offline members of a queue without a majority, which
	// accepts and delivers no messages. It is empty for a queue with a majority.
	Offline []string
}

// QueueProblems returns the problems of the quorum queues in a virtual host: a queue without a
// majority of its members accepts and delivers no messages, and one with an offline or missing
// member is a step closer to that
// (https://www.rabbitmq.com/docs/quorum-queues#availability).
func (a *Admin) QueueProblems(vhost string, desired int) ([]QueueProblem, error) {
	// The statistics contain the members that were online when the leader last reported them,
	// and a leader that ended reports nothing.
	found, err := a.client.ListQueuesWithParametersIn(vhost, url.Values{"disable_stats": {"true"}})
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	return queueProblems(found, desired), nil
}

func queueProblems(queues []rabbithole.QueueInfo, desired int) []QueueProblem {
	var problems []QueueProblem
	for _, q := range queues {
		members, online := len(q.Members), len(q.Online)
		switch {
		case q.Type != "quorum":
		case online >= members && members < desired:
			problems = append(problems, QueueProblem{Message: fmt.Sprintf("queue %s has %d of %d members, the broker adds the others", q.Name, members, desired)})
		case online >= members:
		case online <= members/2:
			problems = append(problems, QueueProblem{
				Message: fmt.Sprintf("queue %s has no majority, %d of %d members are online", q.Name, online, members),
				Offline: slices.DeleteFunc(slices.Clone(q.Members), func(node string) bool { return slices.Contains(q.Online, node) }),
			})
		default:
			problems = append(problems, QueueProblem{Message: fmt.Sprintf("queue %s has %d of %d members online", q.Name, online, members)})
		}
	}
	slices.SortFunc(problems, func(a, b QueueProblem) int { return cmp.Compare(a.Message, b.Message) })
	return problems
}
