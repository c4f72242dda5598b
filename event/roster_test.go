package event

import (
	"slices"
	"testing"
)

// TestRoster: who joined is shown until he leaves, the last one, too; a list that was handed out stays as it was.
func TestRoster(t *testing.T) {
	var r Roster[int]
	r.Leave(1)
	if r.All() != nil {
		t.Fatalf("nobody joined: %v", r.All())
	}
	if !r.Join(1, 2) || !r.Join(2, 2) || r.Join(3, 2) {
		t.Fatalf("two of two may join: %v", r.All())
	}
	both := r.All()
	r.Leave(3)
	r.Leave(1)
	if got := r.All(); !slices.Equal(got, []int{2}) || !slices.Equal(both, []int{1, 2}) {
		t.Errorf("after one left: %v, before it was %v", got, both)
	}
	if !r.Join(4, 2) {
		t.Error("there was room again")
	}
	r.Leave(2)
	if r.Leave(4); r.All() != nil {
		t.Errorf("everybody left: %v", r.All())
	}
}
