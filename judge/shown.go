package judge

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Bounds of the messages that are kept to show why.
const (
	shownSlots = 1024
	shownBytes = 768 // of each
	shownMost  = 3   // of one source
)

// shown keeps the last messages that gave somebody away, 0.8 MiB of them in all, so that a ban can be explained with them.
type shown struct {
	mu    sync.Mutex
	slots []exhibit
	next  int
}

type exhibit struct {
	source uint64
	port   uint16
	at     time.Time
	n      uint16
	raw    [shownBytes]byte
}

// keep copies the beginning of the message of x, for its source.
func (s *shown) keep(a *edge.Asked, x *edge.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots == nil {
		s.slots = make([]exhibit, shownSlots)
	}
	e := &s.slots[s.next]
	s.next = (s.next + 1) % shownSlots
	e.source, e.port, e.at = a.Source, a.From.Remote.Port(), x.At
	e.n = uint16(copy(e.raw[:], x.Msg.Raw))
}

// of returns copies of the last messages of a source (port 0: any), oldest first.
func (s *shown) of(source uint64, port uint16) (list [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 1; i <= len(s.slots) && len(list) < shownMost; i++ {
		e := &s.slots[(s.next+len(s.slots)-i)%len(s.slots)]
		if e.n > 0 && e.source == source && (port == 0 || e.port == port) {
			list = append(list, bytes.Clone(e.raw[:e.n]))
		}
	}
	slices.Reverse(list)
	return list
}
