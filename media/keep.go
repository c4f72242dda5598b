package media

import (
	"errors"
	"hash/maphash"
	"net/netip"

	"github.com/ringwall/ringwall/sdp"
)

// What is kept of a call in the journal. All of it is plain data, written as JSON.

// A keeper is an anchor that can be taken up again in another process.
type keeper interface {
	// keep returns what restore needs; dialog is the one that media flows by.
	keep(dialog uint64) keptLines
	// restore takes up what keep told, in an anchor that nothing was done with.
	restore(dialog uint64, k *keptLines) error
	// place is a sum of where media comes from and goes to, which packets change, too.
	place() uint64
}

// keptLines are the media lines of a call.
type keptLines struct {
	Lines    []keptLine
	ToCaller [2]uint64 // id and version of our last o= line to that end
	ToCallee [2]uint64
}

// A keptLine is a line.
type keptLine struct {
	Kind   string
	Ends   [Ends]keptEnd
	Ports  [Ends]netip.AddrPort // ours; not valid: the line is refused
	Stream State
}

// A keptEnd is what an end said of a line.
type keptEnd struct {
	Remote    Remote
	Direction sdp.Direction
	Said      bool
}

var errMoved = errors.New("its ports would be at other addresses")

func (l *lines) keep(dialog uint64) keptLines {
	var k keptLines
	for i := range l.all {
		ln := &l.all[i]
		one := keptLine{Kind: ln.kind}
		for e, d := range ln.ends {
			one.Ends[e] = keptEnd{d.remote, d.direction, d.said}
		}
		if ln.stream != nil {
			one.Ports, one.Stream = [Ends]netip.AddrPort{ln.stream.Port(Caller), ln.stream.Port(Callee)}, ln.stream.State()
			one.Stream.Spec.Owner = netip.Addr{} // the platform took the call
		}
		k.Lines = append(k.Lines, one)
	}
	k.ToCallee = [2]uint64{l.numbers.toCallee.ID, l.numbers.toCallee.Version}
	if n := l.numbers.toCaller[dialog]; n != nil {
		k.ToCaller = [2]uint64{n.ID, n.Version}
	}
	return k
}

func (l *lines) restore(dialog uint64, k *keptLines) error {
	for i := range k.Lines[:min(len(k.Lines), mostLines)] {
		if err := l.takeUp(&k.Lines[i]); err != nil {
			l.close()
			return err
		}
	}
	l.known = true
	l.numbers.toCallee = sdp.Numbering{ID: k.ToCallee[0], Version: k.ToCallee[1]}
	if k.ToCaller[1] > 0 {
		l.numbers.toCaller[dialog] = &sdp.Numbering{ID: k.ToCaller[0], Version: k.ToCaller[1]}
	}
	return nil
}

// takeUp opens a line again.
func (l *lines) takeUp(k *keptLine) error {
	ln := line{kind: k.Kind}
	for e, d := range k.Ends {
		ln.ends[e] = description{remote: d.Remote, direction: d.Direction, said: d.Said}
	}
	if k.Ports[Caller].IsValid() {
		s, err := l.to.Relay.Restore(k.Stream)
		if err != nil {
			return err
		}
		l.open, ln.stream = append(l.open, s), s
		if s.Port(Caller) != k.Ports[Caller] || s.Port(Callee) != k.Ports[Callee] {
			return errMoved
		}
	}
	l.all = append(l.all, ln)
	return nil
}

var placeSeed = maphash.MakeSeed()

func (l *lines) place() (sum uint64) {
	for i := range l.all {
		if s := l.all[i].stream; s != nil {
			st := s.State()
			for e := range st.Ends {
				sum = sum*31 + maphash.Comparable(placeSeed, [2]Latched{st.Ends[e].RTP, st.Ends[e].RTCP})
			}
		}
	}
	return sum
}
