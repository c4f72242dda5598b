package media

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"time"
)

// A portPool hands out the pairs of ports of one address: an even port for RTP and the next one for RTCP (RFC 3550 §11). Pairs are chosen at random
// by the system's generator, so that an attacker cannot guess the next one, and rest for a while after use. It is not safe for
// concurrent use.
type portPool struct {
	unused []uint16  // in no order
	rests  []resting // oldest first
	pause  time.Duration
}

// A resting pair was given back and is not handed out before until.
type resting struct {
	port  uint16
	until time.Time
}

func newPortPool(first, last uint16, pause time.Duration) *portPool {
	p := &portPool{pause: pause}
	for port := uint32(first) + uint32(first)&1; port < uint32(last); port += 2 {
		p.unused = append(p.unused, uint16(port))
	}
	return p
}

// take takes the pair that begins with want, whether it rests or not, or any for 0. It fails if there is none.
func (p *portPool) take(want uint16, now time.Time) (uint16, bool) {
	if want != 0 {
		return want, p.takeThis(want)
	}
	p.wake(now)
	if len(p.unused) == 0 {
		return 0, false
	}
	return p.remove(randomBelow(len(p.unused))), true
}

func (p *portPool) takeThis(port uint16) bool {
	for i, u := range p.unused {
		if u == port {
			p.remove(i)
			return true
		}
	}
	for i, r := range p.rests {
		if r.port == port {
			p.rests = append(p.rests[:i], p.rests[i+1:]...)
			return true
		}
	}
	return false
}

// taken reports whether the pair that begins with port is handed out.
func (p *portPool) taken(port uint16) bool {
	return !slices.Contains(p.unused, port) && !slices.ContainsFunc(p.rests, func(r resting) bool { return r.port == port })
}

// remove takes entry i out of the unused ones.
func (p *portPool) remove(i int) uint16 {
	port, end := p.unused[i], len(p.unused)-1
	p.unused[i] = p.unused[end]
	p.unused = p.unused[:end]
	return port
}

// free takes a pair back. rest: somebody may go on sending to it.
func (p *portPool) free(port uint16, rest bool, now time.Time) {
	if !rest {
		p.unused = append(p.unused, port)
		return
	}
	p.rests = append(p.rests, resting{port, now.Add(p.pause)})
}

// wake makes pairs that have rested long enough available.
func (p *portPool) wake(now time.Time) {
	n := 0
	for n < len(p.rests) && !p.rests[n].until.After(now) {
		p.unused = append(p.unused, p.rests[n].port)
		n++
	}
	p.rests = p.rests[n:]
}

// randomBelow returns a number from 0 to n-1 that nobody can foresee; n is at most 32768, so what the division favours is not worth a loop.
func randomBelow(n int) int {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return int(binary.NativeEndian.Uint64(b[:]) % uint64(n))
}
