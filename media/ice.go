package media

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"hash"
	"net/netip"
	"slices"
)

// checkedAtOnce is how many addresses of one far end are remembered as having checked, per component: phones have a few candidates.
const checkedAtOnce = 8

// An ice is our half of an ICE-lite agent towards one end: credentials, and what has been checked with them.
type ice struct {
	ufrag, pwd string
	mac        hash.Hash // HMAC-SHA1 by pwd, used again and again
	sum        [sha1.Size]byte
	parts      [2]component // RTP and RTCP
	before     *ice         // of before a restart: in use until somebody has checked with this one; nil: there was none
}

// A component is what ICE knows of one of the two ports.
type component struct {
	checked [checkedAtOnce]netip.AddrPort
	next    int            // the entry to be used next
	best    netip.AddrPort // nominated, or the first that checked
}

// newICE makes credentials: 40 and 130 bits of chance, more than RFC 8445 §5.3 asks for.
func newICE() *ice { return iceOf(rand.Text()[:8], rand.Text()) }

func iceOf(ufrag, pwd string) *ice {
	return &ice{ufrag: ufrag, pwd: pwd, mac: hmac.New(sha1.New, []byte(pwd))}
}

// restarted is the agent that takes the place of i (RFC 8445 §9). Media flows on until the far end has checked with the new credentials, which it may
// never do: its offer may be refused.
func (i *ice) restarted() *ice {
	next := newICE()
	if next.before = i; i.before != nil && i.inUse(false) != i {
		next.before = i.before
	}
	next.before.before = nil
	return next
}

func (i *ice) part(rtcp bool) *component {
	if rtcp {
		return &i.parts[1]
	}
	return &i.parts[0]
}

// valid reports whether a has checked for the component.
func (i *ice) valid(rtcp bool, a netip.AddrPort) bool {
	p := i.inUse(rtcp).part(rtcp)
	return a.IsValid() && (a == p.best || slices.Contains(p.checked[:], a))
}

// chosen is the address to send to; invalid if none has checked.
func (i *ice) chosen(rtcp bool) netip.AddrPort { return i.inUse(rtcp).part(rtcp).best }

// inUse is the agent by which a component's addresses are valid.
func (i *ice) inUse(rtcp bool) *ice {
	if i.before != nil && !i.part(rtcp).best.IsValid() {
		return i.before
	}
	return i
}

// admit notes that a has checked, and perhaps that it is nominated.
func (c *component) admit(a netip.AddrPort, nominated bool) {
	if nominated || !c.best.IsValid() {
		c.best = a
	}
	if slices.Contains(c.checked[:], a) {
		return
	}
	c.checked[c.next] = a
	c.next = (c.next + 1) % checkedAtOnce
}

// asked is the agent that the binding request m, which is b, is for: i or the one before; nil: neither.
func (i *ice) asked(m *stunMessage, b []byte) *ice {
	for ; i != nil; i = i.before {
		if i.verify(m, b) {
			return i
		}
	}
	return nil
}

// verify reports whether the binding request m, which is b, was made for us by somebody who knows our password.
func (i *ice) verify(m *stunMessage, b []byte) bool {
	own := len(i.ufrag)
	if len(m.username) <= own || m.username[own] != ':' || string(m.username[:own]) != i.ufrag {
		return false
	}
	return m.fingerprint && m.verify(b, i.mac, i.sum[:])
}

// check handles the STUN message b, which came to p from an address: a good request is answered, and where it came from may send from then on.
// Nothing else is answered, so nobody can have us send what he has not paid for.
func (s *Stream) check(l *loop, e *end, p *socket, b []byte, from netip.AddrPort) (int, *sockaddr, []byte) {
	m, ok := parseSTUN(b)
	if !ok || m.strange || m.typ != stunRequest {
		e.count.refused[RefusedSTUN]++
		return -1, nil, nil
	}
	agent := e.ice.asked(&m, b)
	switch {
	case agent == nil:
		e.count.refused[RefusedIntegrity]++
		return -1, nil, nil
	case !s.reachable(e, from): // who has the password may forge where his check comes from (F21)
		e.count.refused[RefusedSource]++
		return -1, nil, nil
	}
	agent.part(p.rtcp).admit(from, m.nominates)
	if best := e.ice.chosen(p.rtcp); e.checking() && best != p.far {
		p.source = best
		if !e.held() {
			p.send(best)
		}
	}
	l.answer = appendSuccess(l.answer[:0], b, from, agent.mac, agent.sum[:])
	l.to.put(from)
	return p.fd, &l.to, l.answer
}
