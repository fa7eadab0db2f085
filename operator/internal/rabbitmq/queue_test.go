package rabbitmq

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
)

func TestQueuesThatLostMembersAreReported(t *testing.T) {
	t.Parallel()
	nodes := []string{"rabbit@a", "rabbit@b", "rabbit@c"}
	got := queueProblems([]rabbithole.QueueInfo{
		{Name: "whole", Type: "quorum", Members: nodes, Online: nodes},
		{Name: "minority", Type: "quorum", Members: nodes, Online: nodes[:1]},
		{Name: "majority", Type: "quorum", Members: nodes, Online: nodes[:2]},
		{Name: "single", Type: "quorum", Members: nodes[:1], Online: nodes[:1]},
		{Name: "lost", Type: "quorum", Members: nodes[:1]},
		{Name: "half", Type: "quorum", Members: nodes[:2], Online: nodes[:1]},
		{Name: "grows", Type: "quorum", Members: nodes[:2], Online: nodes[:2]},
		{Name: "classic", Type: "classic", Members: nodes},
	}, 3)
	want := []QueueProblem{
		{Message: "queue grows has 2 of 3 members, the broker adds the others"},
		{Message: "queue half has no majority, 1 of 2 members are online", Offline: nodes[1:2]},
		{Message: "queue lost has no majority, 0 of 1 members are online", Offline: nodes[:1]},
		{Message: "queue majority has 2 of 3 members online"},
		{Message: "queue minority has no majority, 1 of 3 members are online", Offline: nodes[1:]},
		{Message: "queue single has 1 of 3 members, the broker adds the others"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
