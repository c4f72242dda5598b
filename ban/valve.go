package ban

import (
	"net/netip"
	"time"
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
	local := s.Addr.IsPrivate() || s.Addr.IsLoopback()
	return local && s.Requests > 0 && s.Requests*100 >= s.All*95 && s.Known >= 5
}

const (
	// waveTime is how far back the safety valve looks.
	waveTime = 10 * time.Minute
	// A fifth of the known-good addresses of record that are gone open the valve; fewer than valveLeast mean nothing.
	valveLeast = 5
)

// A Wave is what became of the known-good addresses of record while bans were made.
type Wave struct {
	Known int // that were registered ten minutes ago
	Lost  int // of these, no longer registered, though they did not say so
}

// Relieve is the safety valve. When more than a fifth of the known-good addresses of record vanished, it lifts every automatic ban of the
// last ten minutes, and returns them: the judge is to act on nothing then until somebody has looked.
func (b *Book) Relieve(w Wave, at time.Time) (lifted []Ban, open bool) {
	if w.Known < valveLeast || w.Lost*5 <= w.Known {
		return nil, false
	}
	since := at.Add(-waveTime).UnixNano()
	b.mu.Lock()
	var changes []Change
	for _, e := range b.entries {
		if e.active() && e.by != Operator && e.since.Load() >= since {
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
