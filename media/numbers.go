package media

import (
	"math/rand/v2"

	"github.com/ringwall/ringwall/sdp"
)

// numbers are what the two ends of a call have seen of our o= lines.
type numbers struct {
	toCallee sdp.Numbering
	toCaller map[uint64]*sdp.Numbering // by dialog
}

func newNumbers() numbers {
	return numbers{toCallee: numbering(), toCaller: map[uint64]*sdp.Numbering{}}
}

func numbering() sdp.Numbering { return sdp.Numbering{ID: rand.Uint64() >> 1} }

// of is what the receiver of m has seen. The callees of a forked INVITE have seen the same ones.
func (n *numbers) of(m *described) *sdp.Numbering {
	if m.from == Caller {
		return &n.toCallee
	}
	one := n.toCaller[m.dialog]
	if one == nil {
		first := numbering()
		one = &first
		n.toCaller[m.dialog] = one
	}
	return one
}
