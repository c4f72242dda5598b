package sdp

import "hash/maphash"

// A Numbering is what one side of one dialog has seen of our o= lines: the id stays, and the version grows by one exactly when
// what we describe differs from the time before (RFC 3264 §8). It is a plain value to be kept with the dialog; ID is the
// owner's to choose, at random.
type Numbering struct {
	ID      uint64
	Version uint64 // of the last description, 0 before the first
	sum     uint64 // of what it was made of
}

// seed makes sums unpredictable. A restart changes it: the version of a dialog that was remembered then grows once more than
// need be.
var seed = maphash.MakeSeed()

// Apply sets ID and Version of plan, whose other fields are complete, for what s holds.
func (n *Numbering) Apply(s *Session, plan *Plan) {
	sum := maphash.Bytes(seed, s.Raw) ^ maphash.Comparable(seed, plan.Addr)
	for i, m := range plan.Media {
		sum += maphash.Comparable(seed, planned{i, m})
	}
	if plan.Bundle {
		sum++
	}
	if n.Version == 0 || sum != n.sum {
		n.sum = sum
		n.Version++
	}
	plan.ID, plan.Version = n.ID, n.Version
}

// A planned is a MediaPlan in its place.
type planned struct {
	index int
	plan  MediaPlan
}
