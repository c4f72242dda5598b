package load

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/bench/batch"
)

// phase is how far a call has come, as its caller sees it.
type phase uint8

const (
	idle       phase = iota
	calling          // request sent, nothing heard
	proceeding       // a provisional response came
	leaving          // BYE sent
)

// A call is one slot: both ends of one call or transaction, with every message as it was sent.
type call struct {
	n     uint32
	phase phase
	tried bool // 100 came
	rang  bool // 180 came
	began time.Duration

	request, ack, bye message
	resendAt          time.Duration
	interval          time.Duration
	giveUpAt          time.Duration
	route             netip.AddrPort // where ACK and BYE go

	far farEnd
}

// start begins the next call in a free slot; at is when it was due, from which its latency counts.
func (g *Generator) start(at time.Duration) {
	slot := g.free[len(g.free)-1]
	g.free = g.free[:len(g.free)-1]
	n := g.rounds[slot]*uint32(len(g.calls)) + slot
	g.rounds[slot]++
	c := &g.calls[slot]
	c.n, c.phase, c.tried, c.rang, c.began = n, calling, false, false, at
	c.far.reset()
	c.giveUpAt = g.now + 64*g.cfg.T1
	b := c.request.raw[:0]
	switch g.cfg.Mode {
	case Register:
		b = g.script.appendRegister(b, n)
	case Options:
		b = g.script.appendOptions(b, n)
	default:
		b = g.script.appendInvite(b, n)
	}
	g.built(&c.request, b)
	g.report.Started++
	g.armResend(c)
	g.sendCaller(c, &c.request, g.target)
}

// scanOnce sends one packet of a flood.
func (g *Generator) scanOnce() {
	n := g.flooded
	g.flooded++
	g.got.raw = g.script.appendScan(g.got.raw[:0], n)
	g.note(g.out.Queue(g.got.raw, g.callers[g.script.caller(n)].Addr(), g.target))
	g.report.Started++
	g.report.Completed++
	g.report.CallerSent++
}

// built makes b the text of m; what the script writes is always well-formed.
func (g *Generator) built(m *message, b []byte) {
	m.raw = b
	g.note(m.cut())
}

func (g *Generator) sendCaller(c *call, m *message, to netip.AddrPort) {
	g.note(g.out.Queue(m.raw, g.callerOf(c).Addr(), to))
	g.report.CallerSent++
}

func (g *Generator) callerOf(c *call) netip.AddrPort { return g.callers[g.script.caller(c.n)] }

// slotOf finds the live call that message got belongs to. It counts what belongs to none and returns nil.
func (g *Generator) slotOf(got *message) *call {
	n, ok := g.script.callOf(got.from)
	slot := n % uint32(len(g.calls))
	switch c := &g.calls[slot]; {
	case !ok || n/uint32(len(g.calls)) >= g.rounds[slot]:
		g.unexpected(got)
	case (c.n != n || c.phase == idle) && g.overtaken(got):
	case c.n != n || c.phase == idle:
		g.report.Late++
	default:
		return c
	}
	return nil
}

// overtaken counts a message that came after a later one, and reports whether the system may do that: a provisional response
// after the final one, or ACK after BYE.
func (g *Generator) overtaken(got *message) bool {
	if g.cfg.Reorders && (got.status > 0 && got.status < 200 || string(got.method()) == "ACK") {
		g.report.Overtaken++
		return true
	}
	return false
}

func (g *Generator) unexpected(got *message) {
	g.report.Unexpected++
	g.faults.add(0, got, "belongs to no call")
}

// callerGot handles one datagram that arrived at a caller.
func (g *Generator) callerGot(p batch.Packet) {
	if g.cfg.Mode == Flood {
		return // counted, and Valid judges
	}
	got := &g.got
	err := got.read(p.Data)
	g.faults.checkLeaks(got, g.secret)
	if err != nil || got.status == 0 || p.From != g.target {
		g.report.Unexpected++
		g.faults.add(0, got, "from %s to caller %s: not a response of the edge (%v)", p.From, p.To, err)
		return
	}
	c := g.slotOf(got)
	if c == nil {
		return
	}
	if caller := g.callerOf(c); p.To != caller.Addr() {
		g.faults.add(c.n, got, "arrived at %s, the caller is %s", p.To, caller)
	}
	switch string(got.method()) {
	case "INVITE":
		g.inviteAnswered(c, got)
	case "BYE":
		g.byeAnswered(c, got)
	case "REGISTER", "OPTIONS":
		g.plainAnswered(c, got)
	default:
		g.unexpected(got)
	}
}

// inviteAnswered handles a response to INVITE. The order is 100, 180, 200.
func (g *Generator) inviteAnswered(c *call, got *message) {
	switch {
	case g.cfg.Mode != Call:
		g.unexpected(got)
	case got.status == 100:
		g.trying(c, got)
	case got.status == 180:
		g.ringing(c, got)
	case got.status == 200 && c.phase == leaving: // the ACK was lost
		g.report.Repeated++
		g.report.Retransmitted++
		g.sendCaller(c, &c.ack, c.route)
	case got.status == 200:
		g.answered(c, got)
	case got.status >= 300:
		g.refused(c, got)
	default:
		g.unexpected(got)
	}
}

func (g *Generator) trying(c *call, got *message) {
	switch {
	case c.tried:
		g.report.Repeated++
	case (c.rang || c.phase == leaving) && !g.overtaken(got):
		g.faults.add(c.n, got, "100 after a later response")
	case g.cfg.Transparent:
		g.faults.checkResponse(c.n, &c.far.trying, got, &c.request, g.callerOf(c), &g.rules)
	default:
		g.faults.checkOwn(c.n, got, &c.request, g.callerOf(c))
	}
	c.tried = true
	g.provisional(c)
}

func (g *Generator) ringing(c *call, got *message) {
	switch {
	case c.rang:
		g.report.Repeated++
	case c.phase == leaving && !g.overtaken(got):
		g.faults.add(c.n, got, "180 after 200")
	default:
		g.faults.checkResponse(c.n, &c.far.ringing, got, &c.request, g.callerOf(c), &g.rules)
	}
	c.rang = true
	g.provisional(c)
}

// provisional stops the retransmission of the INVITE (RFC 3261 §17.1.1.2).
func (g *Generator) provisional(c *call) {
	if c.phase == calling {
		c.phase = proceeding
	}
}

// answered handles the first 200: ACK and BYE go out at once along the route set.
func (g *Generator) answered(c *call, got *message) {
	if !c.rang && !g.cfg.Reorders {
		g.report.Missing++
	}
	g.faults.checkResponse(c.n, &c.far.answer, got, &c.request, g.callerOf(c), &g.rules)
	g.latencies = append(g.latencies, g.now-c.began)
	tag, _ := param(got.to, "tag")
	target := bracketed(got.contact)
	c.route = g.firstHop(c, got, target)
	g.built(&c.ack, g.script.appendInDialog(c.ack.raw[:0], c.n, 'a', target, got.records, tag))
	g.built(&c.bye, g.script.appendInDialog(c.bye.raw[:0], c.n, 'b', target, got.records, tag))
	g.sendCaller(c, &c.ack, c.route)
	g.sendCaller(c, &c.bye, c.route)
	c.phase = leaving
	c.giveUpAt = g.now + 64*g.cfg.T1
	g.armResend(c)
}

// firstHop is where a request inside the dialog goes: the last Record-Route, else the Contact (RFC 3261 §12.2.1.1). A
// transparent system and an outbound proxy keep themselves in the path by being the target.
func (g *Generator) firstHop(c *call, got *message, target []byte) netip.AddrPort {
	if g.cfg.Transparent || g.cfg.Outbound {
		return g.target
	}
	if len(got.records) > 0 {
		target = bracketed(got.records[len(got.records)-1])
	}
	hop, err := hostPort(target)
	if err != nil {
		g.faults.add(c.n, got, "the first hop %q of the route set is not an address: %v", target, err)
		return g.target
	}
	return hop
}

// hostPort reads the address and port of a SIP URI whose host is an IPv4 address.
func hostPort(uri []byte) (netip.AddrPort, error) {
	_, host, _ := bytes.Cut(uri, []byte(":"))
	if i := bytes.IndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	if i := bytes.IndexAny(host, ";?"); i >= 0 {
		host = host[:i]
	}
	if bytes.IndexByte(host, ':') >= 0 {
		return netip.ParseAddrPort(string(host))
	}
	addr, err := netip.ParseAddr(string(host))
	return netip.AddrPortFrom(addr, 5060), err
}

// refused handles a final response that the platform never sent: the call has failed. It is acknowledged, so that its sender
// stops repeating it (RFC 3261 §17.1.1.3).
func (g *Generator) refused(c *call, got *message) {
	g.faults.add(c.n, got, "refused")
	target := c.request.requestURI()
	tag, _ := param(got.to, "tag")
	g.built(&c.ack, g.script.appendInDialog(c.ack.raw[:0], c.n, 'i', target, nil, tag))
	g.sendCaller(c, &c.ack, g.target)
	g.end(c, false)
}

func (g *Generator) byeAnswered(c *call, got *message) {
	switch {
	case c.phase != leaving:
		g.unexpected(got)
		return
	case got.status < 200:
		g.faults.checkOwn(c.n, got, &c.bye, g.callerOf(c))
		return
	case got.status != 200:
		g.faults.add(c.n, got, "BYE refused")
	default:
		g.faults.checkResponse(c.n, &c.far.goodbye, got, &c.bye, g.callerOf(c), &g.rules)
	}
	g.end(c, got.status == 200)
}

// plainAnswered handles the response to REGISTER or OPTIONS.
func (g *Generator) plainAnswered(c *call, got *message) {
	switch {
	case got.status < 200:
		return
	case got.status != 200:
		g.faults.add(c.n, got, "refused")
	case !c.far.reached && g.cfg.Mode == Options:
		g.faults.checkOwn(c.n, got, &c.request, g.callerOf(c))
	default:
		g.faults.checkResponse(c.n, &c.far.answer, got, &c.request, g.callerOf(c), &g.rules)
		if own := g.script.ownContact(c.n); g.cfg.Mode == Register && string(bracketed(got.contact)) != own {
			g.faults.add(c.n, got, "the phone's own Contact is %q", own)
		}
	}
	g.latencies = append(g.latencies, g.now-c.began)
	g.end(c, got.status == 200)
}

// end frees the slot of a call that is over.
func (g *Generator) end(c *call, completed bool) {
	if completed {
		g.report.Completed++
		if g.cfg.Mode == Call && g.cfg.Reorders && !c.rang {
			g.report.Missing++
		}
	} else {
		g.report.Failed++
	}
	c.phase = idle
	g.free = append(g.free, c.n%uint32(len(g.calls)))
}

// armResend sets the caller's retransmission timer (RFC 3261 §17.1.1.2 Timer A, §17.1.2.2 Timer E).
func (g *Generator) armResend(c *call) {
	c.interval = g.cfg.T1
	c.resendAt = g.now + c.interval
}

// runTimers looks at every call now and then, as often as T1 needs.
func (g *Generator) runTimers() {
	if g.now < g.nextScan {
		return
	}
	g.nextScan = g.now + g.cfg.T1/8
	for i := range g.calls {
		c := &g.calls[i]
		if c.phase == idle {
			continue
		}
		g.repeatAnswer(c)
		switch {
		case g.now >= c.giveUpAt:
			g.faults.add(c.n, &c.request, "no answer within 64*T1")
			g.end(c, false)
		case g.now >= c.resendAt && c.phase != proceeding:
			g.resend(c)
		}
	}
}

func (g *Generator) resend(c *call) {
	c.interval *= 2
	m, to := &c.request, g.target
	if c.phase == leaving {
		m, to = &c.bye, c.route
	}
	if c.phase == leaving || g.cfg.Mode != Call {
		c.interval = min(c.interval, 8*g.cfg.T1) // T2
	}
	c.resendAt = g.now + c.interval
	g.report.Retransmitted++
	g.sendCaller(c, m, to)
}
