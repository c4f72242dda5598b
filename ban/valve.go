package ban

import (
	"maps"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A Share is how much of the traffic of the last ten minutes came from one address.
type Share struct {
	Addr     netip.Addr
	Requests uint64 // from there
	All      uint64 // from everywhere outside
	Known    int    // known-good addresses of record among those from there
}

// Fronted reports whether s looks like a proxy or a container bridge in front of us: a private or loopback address that at least 95 % of
// the requests and at least 5 known-good addresses of record come from. Such an address is not to be banned: Book.Front.
func Fronted(s Share) bool {
	return local(s.Addr) && s.Requests > 0 && s.Requests*100 >= s.All*95 && s.Known >= 5
}

// local reports whether a is an address that others may send through: private or loopback.
func local(a netip.Addr) bool { return a.IsPrivate() || a.IsLoopback() }

// shared reports whether others may send from s. Of one local address, before five phones have shown that they do (Fronted), nothing can tell it from an
// attacker next door; and a port that a NAT gave to an attacker it gives to somebody else soon after. Such are banned as any other, but phones that knock while
// they are do not make the ban longer.
func shared(s edge.Source) bool {
	return s.Port != 0 || s.Prefix.IsSingleIP() && local(s.Prefix.Addr())
}

const (
	// waveTime is how far back the safety valve looks.
	waveTime = 10 * time.Minute
	// A fifth of the known-good addresses of record that are gone open the valve; fewer than valveLeast mean nothing.
	valveLeast = 5
)

// A Wave is what became of the known-good addresses of record while bans were made.
type Wave struct {
	Known int // that were registered within the last ten minutes, at most at once
	Lost  int // of these, those of whom a phone is no longer registered though it did not say so, and banned
}

// A Tide counts registrations minute by minute, and who was lost, for the Wave of the last ten. It belongs to one goroutine. A user counts once, however
// many phones of his vanish: else one stolen account with many of them would be a wave.
type Tide struct {
	minutes [waveTime / time.Minute]struct {
		minute int64 // Unix time of it
		known  int
	}
	lost map[string]int64 // by user: the minute
}

// mostLost bounds whom a Tide remembers.
const mostLost = 10_000

// Note takes note of how many users are registered at now, and of whom more phones are lost, and returns the Wave.
func (t *Tide) Note(registered int, lost []string, at time.Time) (w Wave) {
	now := at.Unix() / 60
	one := &t.minutes[now%int64(len(t.minutes))]
	if one.minute != now {
		one.minute, one.known = now, 0
	}
	one.known = max(one.known, registered)
	for _, m := range t.minutes {
		if now-m.minute < int64(len(t.minutes)) {
			w.Known = max(w.Known, m.known)
		}
	}
	maps.DeleteFunc(t.lost, func(_ string, minute int64) bool { return now-minute >= int64(len(t.minutes)) })
	for _, user := range lost {
		if t.lost == nil {
			t.lost = map[string]int64{}
		}
		if _, known := t.lost[user]; known || len(t.lost) < mostLost {
			t.lost[user] = now
		}
	}
	w.Lost = len(t.lost)
	return w
}

// Cost reports whether an automatic ban holds for the phone at from, whose registration ended without a word, and remembers that of the ban.
func (b *Book) Cost(from netip.AddrPort, at time.Time) bool {
	v := b.view.Load()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, of := range []*bans{&v.hard, &v.soft} {
		if e := of.find(from, at.UnixNano()); e != nil && e.by != Operator {
			e.cost = true
			return true
		}
	}
	return false
}

// Relieve is the safety valve. When more than a fifth of the known-good addresses of record vanished, it lifts every automatic ban of the
// last ten minutes, and those that a phone was lost to (Cost), and returns them: the judge is to act on nothing then until somebody has looked.
func (b *Book) Relieve(w Wave, at time.Time) (lifted []Ban, open bool) {
	if w.Known < valveLeast || w.Lost*5 <= w.Known {
		return nil, false
	}
	since := at.Add(-waveTime).UnixNano()
	b.mu.Lock()
	var changes []Change
	for _, e := range b.entries {
		if e.active() && e.by != Operator && (e.cost || e.since.Load() >= since) {
			changes = append(changes, Change{Lifted, at, e.ban(false)})
			b.drop(e)
		}
	}
	b.mu.Unlock()
	b.tell(changes)
	for _, c := range changes {
		lifted = append(lifted, c.Ban)
	}
	return lifted, true
}
