package ban

import (
	"net/netip"
	"time"

	"github.com/gaissmai/bart"

	"github.com/ringwall/ringwall/edge"
)

// A view is what packets meet: tables that nobody changes. Whoever changes the book makes another one.
type view struct {
	hard, soft bans
	exempt     *bart.Table[Exemption]
}

// bans are those of one hardness.
type bans struct {
	whole *bart.Table[*entry] // addresses and prefixes
	ports *bart.Table[ports]  // by the address
	n     int
}

// ports are the banned ports of one address, at most portsPerAddr.
type ports []*entry

func newView() *view {
	empty := func() bans { return bans{whole: new(bart.Table[*entry]), ports: new(bart.Table[ports])} }
	return &view{hard: empty(), soft: empty(), exempt: new(bart.Table[Exemption])}
}

// of is the bans of one hardness, to be changed.
func (v *view) of(hard bool) *bans {
	if hard {
		return &v.hard
	}
	return &v.soft
}

// find returns the ban that holds for from at now (Unix nanoseconds), nil if there is none.
func (t *bans) find(from netip.AddrPort, now int64) *entry {
	if t.n == 0 {
		return nil
	}
	if e, ok := t.whole.Lookup(from.Addr()); ok && e.until.Load() > now {
		return e
	}
	if list, ok := t.ports.Lookup(from.Addr()); ok {
		for _, e := range list {
			if e.source.Port == from.Port() && e.until.Load() > now {
				return e
			}
		}
	}
	return nil
}

// with is t and e.
func (t bans) with(e *entry) bans {
	t.n++
	if e.source.Port == 0 {
		t.whole = t.whole.InsertPersist(e.source.Prefix, e)
		return t
	}
	old, _ := t.ports.Get(e.source.Prefix)
	list := append(make(ports, 0, len(old)+1), old...)
	t.ports = t.ports.InsertPersist(e.source.Prefix, append(list, e))
	return t
}

// without is t without e, which it holds.
func (t bans) without(e *entry) bans {
	t.n--
	if e.source.Port == 0 {
		t.whole = t.whole.DeletePersist(e.source.Prefix)
		return t
	}
	old, _ := t.ports.Get(e.source.Prefix)
	list := make(ports, 0, len(old))
	for _, one := range old {
		if one != e {
			list = append(list, one)
		}
	}
	if len(list) == 0 {
		t.ports = t.ports.DeletePersist(e.source.Prefix)
	} else {
		t.ports = t.ports.InsertPersist(e.source.Prefix, list)
	}
	return t
}

// Refuses reports whether nothing of from is to be read at now: it is banned hard, on no allow list, and none of the flows that the
// ban spares. It counts what it refuses. It takes no lock but where flows are to be spared, and does not allocate.
func (b *Book) Refuses(from edge.Flow, at time.Time) bool {
	e := b.holds(from, at)
	if e == nil {
		return false
	}
	e.refused(at)
	return true
}

// Holds is Refuses for who only asks: nothing is counted.
func (b *Book) Holds(from edge.Flow, at time.Time) bool { return b.holds(from, at) != nil }

// holds returns the hard ban that refuses from, nil if none does.
func (b *Book) holds(from edge.Flow, at time.Time) *entry {
	v := b.view.Load()
	if v.hard.n == 0 {
		return nil
	}
	e := v.hard.find(from.Remote, at.UnixNano())
	if e == nil || v.exempt.Contains(from.Remote.Addr()) || b.spared(e, from, at) {
		return nil
	}
	return e
}

// Soft reports whether a new request of from is to be dropped at now: it is banned softly, or hard and spared for the calls that were there
// before, which are not to cover what it begins now. Known-good flows never are; what belongs to something is not to be asked about. It costs as
// little as Refuses.
func (b *Book) Soft(from edge.Flow, at time.Time) bool {
	v := b.view.Load()
	e := v.soft.find(from.Remote, at.UnixNano())
	if e == nil {
		if e = v.hard.find(from.Remote, at.UnixNano()); e != nil && !e.spares.Load() {
			return false // nothing of it is read
		}
	}
	if e == nil || v.exempt.Contains(from.Remote.Addr()) || !e.everything.Load() && b.cfg.Known(from, at) {
		return false
	}
	e.refused(at)
	return true
}

// Meant reports whether the ban by which Soft drops a request from there holds whatever its sender proves: it is an operator's, or made on proof.
func (b *Book) Meant(from netip.AddrPort, at time.Time) bool {
	v, now := b.view.Load(), at.UnixNano()
	if v.hard.find(from, now) != nil {
		return true
	}
	e := v.soft.find(from, now)
	return e != nil && e.meant.Load()
}

// spareTime is how long a ban spares the calls that were there before it.
const spareTime = 4 * time.Hour

// spared reports whether e lets from pass: a known-good flow, or one of a call that was accepted before the ban. Who bans one port
// means exactly that flow, so there is nothing to spare.
func (b *Book) spared(e *entry, from edge.Flow, at time.Time) bool {
	if !e.spares.Load() {
		return false
	}
	if b.cfg.Known(from, at) {
		return true
	}
	since := e.since.Load()
	began, calling := b.calls.began(from.Remote)
	return calling && began <= since && at.UnixNano() < since+int64(spareTime)
}

// Lookup returns the ban that holds for a message from there, without its messages; flows that it spares count as banned.
func (b *Book) Lookup(from netip.AddrPort, at time.Time) (Ban, bool) {
	v, now := b.view.Load(), at.UnixNano()
	from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
	if v.exempt.Contains(from.Addr()) {
		return Ban{}, false
	}
	e := v.hard.find(from, now)
	if e == nil {
		e = v.soft.find(from, now)
	}
	if e == nil {
		return Ban{}, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.ban(false), true
}
