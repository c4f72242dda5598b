package load

import (
	"bytes"
	"hash/maphash"
	"net/netip"
	"slices"
	"time"

	"github.com/ringwall/ringwall/bench/batch"
)

// A farEnd is the platform's half of a call: what it has seen and what it has said.
type farEnd struct {
	reached  bool // the INVITE, REGISTER or OPTIONS came
	acked    bool
	left     bool // the BYE came
	topVia   uint64
	byeVia   uint64
	back     netip.AddrPort // where answers go
	resendAt time.Duration
	interval time.Duration

	trying, ringing, answer, goodbye message
}

// reset forgets a call but keeps the memory of its messages.
func (f *farEnd) reset() {
	f.reached, f.acked, f.left = false, false, false
}

// platformGot handles one datagram that arrived at the platform.
func (g *Generator) platformGot(p batch.Packet) {
	got := &g.got
	err := got.read(p.Data)
	if err != nil || got.status != 0 || len(got.vias) == 0 || g.inside.IsValid() && p.From.Addr() != g.inside {
		g.report.Unexpected++
		g.faults.add(0, got, "from %s to the platform: not a request of the edge (%v)", p.From, err)
		return
	}
	back := replyTo(got.vias[0], p.From)
	if _, ours := g.script.callOf(got.from); !ours && string(got.method()) == "OPTIONS" {
		g.answerProbe(got, back)
		return
	}
	if g.cfg.Mode == Flood {
		return // counted, and Valid judges
	}
	c := g.slotOf(got)
	if c == nil {
		return
	}
	switch string(got.method()) {
	case "INVITE":
		g.invited(c, got, back)
	case "ACK":
		g.acknowledged(c, got)
	case "BYE":
		g.hungUp(c, got, back)
	case "REGISTER", "OPTIONS":
		g.asked(c, got, back)
	default:
		g.unexpected(got)
	}
}

// replyTo is where a response goes: the source if the top Via has rport, else its sent-by port (RFC 3261 §18.2.2, RFC 3581).
func replyTo(via []byte, from netip.AddrPort) netip.AddrPort {
	if _, ok := param(via, "rport"); ok {
		return from
	}
	_, sentBy, _ := bytes.Cut(via, []byte(" "))
	sentBy, _, _ = bytes.Cut(sentBy, []byte(";"))
	port := 5060
	if i := bytes.LastIndexByte(sentBy, ':'); i >= 0 {
		port = number(sentBy[i+1:])
	}
	return netip.AddrPortFrom(from.Addr(), uint16(max(port, 0)))
}

// answerProbe answers the edge's own health check.
func (g *Generator) answerProbe(got *message, back netip.AddrPort) {
	g.report.Probes++
	g.note(g.platform.Queue(g.script.appendAnswer(nil, got, "SIP/2.0 200 OK\r\n", []byte("probe"), nil, nil), netip.Addr{}, back))
}

// invited answers an INVITE with 100, 180 and 200 (RFC 3261 §13.3.1).
func (g *Generator) invited(c *call, got *message, back netip.AddrPort) {
	if c.far.reached {
		g.repeated(c, got, c.far.topVia, back, &c.far.answer)
		return
	}
	g.first(c, got)
	if !g.cfg.Transparent && !g.cfg.Outbound && len(got.records) == 0 {
		g.faults.add(c.n, got, "INVITE without Record-Route")
	}
	g.tag = g.script.appendTag(g.tag[:0], c.n)
	contact := []byte("<" + g.script.contact() + ">")
	far := &c.far
	g.built(&far.trying, g.script.appendAnswer(far.trying.raw[:0], got, "SIP/2.0 100 Trying\r\n", nil, nil, nil))
	g.built(&far.ringing, g.script.appendAnswer(far.ringing.raw[:0], got, "SIP/2.0 180 Ringing\r\n", g.tag, contact, nil))
	g.built(&far.answer, g.script.appendAnswer(far.answer.raw[:0], got, "SIP/2.0 200 OK\r\n", g.tag, contact, g.script.answerSDP))
	far.back, far.interval, far.resendAt = back, g.cfg.T1, g.now+g.cfg.T1
	g.sendPlatform(&far.trying, back)
	g.sendPlatform(&far.ringing, back)
	g.sendPlatform(&far.answer, back)
}

// first checks the first copy of a request that opens a transaction at the platform.
func (g *Generator) first(c *call, got *message) {
	c.far.reached = true
	c.far.topVia = g.freshVia(c, got)
	g.faults.checkRequest(c.n, &c.request, got, g.callerOf(c), &g.rules)
}

// freshVia returns the hash of the top Via and faults one that was seen before (RFC 3261 §8.1.1.7).
func (g *Generator) freshVia(c *call, got *message) uint64 {
	h := maphash.Bytes(g.seed, got.vias[0])
	if _, seen := g.branches[h]; seen {
		g.faults.add(c.n, got, "the top Via %q was used before", got.vias[0])
	}
	g.branches[h] = struct{}{}
	return h
}

// repeated handles a further copy of a request: its top Via must be that of the first, and it gets the last answer again.
func (g *Generator) repeated(c *call, got *message, via uint64, back netip.AddrPort, answer *message) {
	g.report.Repeated++
	if maphash.Bytes(g.seed, got.vias[0]) != via {
		g.faults.add(c.n, got, "a repeated request came as a new transaction")
	}
	g.report.Retransmitted++
	g.sendPlatform(answer, back)
}

// acknowledged takes the ACK of the 200.
func (g *Generator) acknowledged(c *call, got *message) {
	switch {
	case !c.far.reached || g.cfg.Mode != Call:
		g.unexpected(got)
	case c.far.acked:
		g.report.Repeated++
	default:
		c.far.acked = true
		if c.far.left {
			g.overtaken(got)
		}
		g.freshVia(c, got)
		g.faults.checkRequest(c.n, &c.ack, got, g.callerOf(c), &g.rules)
	}
}

// hungUp answers BYE, but not before the ACK has come: a lost ACK shall be repaired, not hidden. From a system that reorders
// it is answered, and a lost ACK shows in the count of messages.
func (g *Generator) hungUp(c *call, got *message, back netip.AddrPort) {
	far := &c.far
	switch {
	case c.phase != leaving:
		g.unexpected(got)
	case !far.acked && !g.cfg.Reorders:
		g.report.Repeated++
	case far.left:
		g.repeated(c, got, far.byeVia, back, &far.goodbye)
	default:
		far.left = true
		far.byeVia = g.freshVia(c, got)
		g.faults.checkRequest(c.n, &c.bye, got, g.callerOf(c), &g.rules)
		g.built(&far.goodbye, g.script.appendAnswer(far.goodbye.raw[:0], got, "SIP/2.0 200 OK\r\n", nil, nil, nil))
		g.sendPlatform(&far.goodbye, back)
	}
}

// asked answers REGISTER and OPTIONS.
func (g *Generator) asked(c *call, got *message, back netip.AddrPort) {
	if c.far.reached {
		g.repeated(c, got, c.far.topVia, back, &c.far.answer)
		return
	}
	g.first(c, got)
	c.far.acked = true // nothing to repeat
	contact := []byte(nil)
	if g.cfg.Mode == Register {
		g.checkStable(c, got)
		contact = append(slices.Clip(got.contact), ";expires=3600"...)
	}
	g.tag = g.script.appendTag(g.tag[:0], c.n)
	g.built(&c.far.answer, g.script.appendAnswer(c.far.answer.raw[:0], got, "SIP/2.0 200 OK\r\n", g.tag, contact, nil))
	g.sendPlatform(&c.far.answer, back)
}

// checkStable checks that the platform sees the same Contact at every refresh of a registration.
func (g *Generator) checkStable(c *call, got *message) {
	user := c.n % g.script.users
	h := maphash.Bytes(g.seed, bracketed(got.contact))
	if g.contacts[user] != 0 && g.contacts[user] != h {
		g.faults.add(c.n, got, "the Contact differs from that of the registration before")
	}
	g.contacts[user] = h
}

func (g *Generator) sendPlatform(m *message, to netip.AddrPort) {
	g.note(g.platform.Queue(m.raw, netip.Addr{}, to))
	g.report.PlatformSent++
}

// repeatAnswer repeats a 200 to INVITE until its ACK comes (RFC 3261 §13.3.1.4).
func (g *Generator) repeatAnswer(c *call) {
	far := &c.far
	if !far.reached || far.acked || g.now < far.resendAt {
		return
	}
	far.interval = min(far.interval*2, 8*g.cfg.T1) // T2
	far.resendAt = g.now + far.interval
	g.report.Retransmitted++
	g.sendPlatform(&far.answer, far.back)
}
