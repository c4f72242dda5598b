package judge

import (
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A phone at a line whose address changes comes back from the same network. That makes nobody known good, since neighbours share it; a user who is
// protected from guessers everywhere (check/userguard) may try his password from there.

// nearKey is the hash of a user and the network of an address.
func (j *Judge) nearKey(user uint64, addr netip.Addr) uint64 {
	return j.key.Words(user, j.key.Network(addr))
}

// settle takes note that the platform accepted the user from the network of addr.
func (j *Judge) settle(user uint64, addr netip.Addr, at time.Time) {
	key := j.nearKey(user, addr)
	if minute, _ := j.known.nets.Enter(key, 0, at); minute != nil {
		*minute = minuteOf(at)
		j.known.nets.Leave(key)
	}
}

// near reports whether the platform accepted whose credentials a has from the network of a within 30 days.
func (j *Judge) near(a *edge.Asked, at time.Time) bool {
	key := j.nearKey(a.Tried(), a.From.Remote.Addr())
	minute := j.known.nets.Find(key, at)
	if minute == nil {
		return false
	}
	defer j.known.nets.Leave(key)
	return recent(*minute, at)
}
