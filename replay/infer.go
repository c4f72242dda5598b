package replay

import (
	"cmp"
	"errors"
	"io"
	"net/netip"
	"slices"

	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// ErrNoPlatform: nobody in the capture looks like a platform.
var ErrNoPlatform = errors.New("nobody in it answers or is sent SIP: name the addresses of the platform")

// Bounds of what Infer looks at.
const (
	maxLooked  = 500_000 // messages, from the beginning
	maxParties = 1 << 16 // addresses
)

// A party is what an address does in a capture.
type party struct {
	addr      netip.Addr
	askers    meter.Distinct // who sends it requests
	peers     meter.Distinct // with whom it has to do
	first     netip.Addr     // asker
	several   bool           // askers
	got       int            // requests
	asks      int            // requests that it sent
	answered  int
	registrar bool // it answered a REGISTER
	strict    bool // it challenged somebody
	raw       int  // datagrams to the usual port
}

// Infer finds the platform in a capture: who answers REGISTERs and challenges; failing that, who answers requests of the most sources; failing
// that, who gets them. A capture that is cut is good enough; the other errors are those of Run, and ErrNoPlatform.
func Infer(r io.Reader) ([]netip.Prefix, error) {
	w, err := openWire(r)
	if err != nil {
		return nil, err
	}
	all, key, left := parties{}, meter.NewKey([16]byte{}), maxLooked
	var msg sip.Message
	err = w.each(func(m *message) bool {
		all.look(m, &msg, key)
		left--
		return left > 0
	})
	if err != nil && !errors.As(err, new(*CutError)) {
		return nil, err
	}
	found := all.platform()
	if len(found) == 0 {
		return nil, ErrNoPlatform
	}
	list := make([]netip.Prefix, len(found))
	for i, a := range found {
		list[i] = netip.PrefixFrom(a, a.BitLen())
	}
	return list, nil
}

type parties map[netip.Addr]*party

// of returns the party at a; one that is thrown away where there are too many.
func (all parties) of(a netip.Addr) *party {
	one := all[a]
	if one == nil {
		one = &party{addr: a}
		if len(all) < maxParties {
			all[a] = one
		}
	}
	return one
}

// look takes note of who sent a message to whom.
func (all parties) look(m *message, msg *sip.Message, key meter.Key) {
	if m.err != nil || idle(m.b) {
		return
	}
	if msg.Parse(m.b, m.transport.Delimited()) != nil {
		if m.dst.Port() == sipPort {
			all.of(m.dst.Addr()).raw++
		}
		return
	}
	src, dst := all.of(m.src.Addr()), all.of(m.dst.Addr())
	from, to := key.Addr(src.addr), key.Addr(dst.addr)
	src.peers.Add(to)
	dst.peers.Add(from)
	if msg.IsRequest() {
		src.asks++
		dst.got++
		dst.askers.Add(from)
		dst.several = dst.several || dst.first.IsValid() && dst.first != src.addr
		dst.first = src.addr
		return
	}
	src.answered++
	src.registrar = src.registrar || msg.CSeq.Method == sip.REGISTER
	src.strict = src.strict || msg.Status == 401 || msg.Status == 407
}

// platform chooses.
func (all parties) platform() []netip.Addr {
	for _, rule := range []func(*party) bool{
		func(p *party) bool { return p.registrar || p.strict },
		func(p *party) bool { return p.answered > 0 && p.got > 0 },
		func(p *party) bool { return p.got > 0 },
		func(p *party) bool { return p.raw > 0 },
	} {
		var list []*party
		for _, p := range all {
			if rule(p) {
				list = append(list, p)
			}
		}
		if len(list) > 0 {
			slices.SortFunc(list, mostAsked)
			return chosen(list)
		}
	}
	return nil
}

// mostAsked orders parties: who is asked by most others comes first.
func mostAsked(a, b *party) int {
	return cmp.Or(cmp.Compare(b.askers.Count(), a.askers.Count()), cmp.Compare(b.peers.Count(), a.peers.Count()), cmp.Compare(b.got, a.got),
		cmp.Compare(b.raw, a.raw), a.addr.Compare(b.addr))
}

// chosen are the first of list, and the others that are like it: registrars and those that challenge, and those that only answer, and not
// the first one alone, whose phones they would be. Who gave no answer may be anybody, so there is only one.
func chosen(list []*party) []netip.Addr {
	best := list[0]
	out := []netip.Addr{best.addr}
	for _, p := range list[1:] {
		if p.registrar || p.strict || p.answered > 0 && p.asks == 0 && (p.several || p.first != best.addr) {
			out = append(out, p.addr)
		}
	}
	return out
}
