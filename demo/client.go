package demo

import (
	"time"

	"github.com/ringwall/ringwall/sip"
)

// A clientTx is one client transaction (RFC 3261 §17.1, RFC 6026) with Timer C of a proxy (RFC 3261 §16.8).
type clientTx struct {
	p      *Platform
	key    string
	msg    sip.Message // the request as sent
	to     hop
	conn   *conn // it went out on; nil for UDP
	status int   // the highest seen
	wait   time.Duration
	resend *timer
	end    *timer
	cancel cancelState
	// result is told of every reply above 100 that is not a repetition (each 2xx to INVITE is told), and of nil when
	// there will be none. nil: nobody cares.
	result func(ct *clientTx, m *sip.Message)
}

type cancelState uint8

const (
	notCancelled cancelState = iota
	cancelWanted             // no provisional yet: CANCEL must wait for one (RFC 3261 §9.1)
	cancelSent
)

// startClient sends b, a whole request whose topmost Via is ours. It returns nil when it can't be sent.
func (p *Platform) startClient(b []byte, to hop, result func(*clientTx, *sip.Message)) *clientTx {
	ct := &clientTx{p: p, to: to, wait: p.cfg.timing.t1, result: result}
	if err := ct.msg.Parse(b, false); err != nil || len(p.clients) >= maxTransactions {
		p.cfg.Log.Info("demo: not sent", "to", to.addr, "err", err, "transactions", len(p.clients))
		return nil
	}
	c, err := p.send(b, to)
	if err != nil {
		p.cfg.Log.Info("demo: not sent", "to", to.addr, "err", err)
		return nil
	}
	ct.conn, ct.key = c, clientKey(&ct.msg)
	p.clients[ct.key] = ct
	if !to.stream {
		ct.resend = p.after(ct.wait, ct.repeat) // Timers A and E
	}
	ct.end = p.after(64*p.cfg.timing.t1, ct.expired) // Timers B and F
	return ct
}

func clientKey(m *sip.Message) string {
	return string(m.CSeq.MethodName.Of(m.Raw)) + "|" + string(m.Via.Branch.Of(m.Raw))
}

func (ct *clientTx) invite() bool { return ct.msg.Method == sip.INVITE }

func (ct *clientTx) repeat() {
	ct.p.transmit(ct.msg.Raw, ct.to)
	if ct.wait *= 2; !ct.invite() {
		ct.wait = min(ct.wait, ct.p.cfg.timing.t2)
	}
	ct.resend = ct.p.after(ct.wait, ct.repeat)
}

// receive handles a reply to the request.
func (ct *clientTx) receive(m *sip.Message) {
	first := ct.status < 200
	switch {
	case m.Status < 200 && first:
		ct.provisional(m)
	case m.Status < 200:
	case !ct.invite() && first:
		ct.finish(m, ct.p.cfg.timing.t4) // Timer K
	case !ct.invite():
	case m.Status < 300 && (first || ct.status < 300):
		ct.finish(m, 64*ct.p.cfg.timing.t1) // Timer M
	case m.Status >= 300 && (first || ct.status >= 300):
		ct.p.transmit(sip.AppendACK(nil, &ct.msg, m.To.Whole.Of(m.Raw)), ct.to)
		if first {
			ct.finish(m, 64*ct.p.cfg.timing.t1) // Timer D
		}
	}
}

func (ct *clientTx) provisional(m *sip.Message) {
	known := ct.status != 0
	ct.status = max(ct.status, m.Status)
	if !ct.invite() {
		ct.wait = ct.p.cfg.timing.t2
	} else {
		ct.p.cancel(ct.resend)
		if ct.cancel != cancelSent && (!known || m.Status > 100) {
			ct.rearm(ct.p.cfg.timing.c)
		}
		if ct.cancel == cancelWanted {
			ct.sendCancel()
		}
	}
	if m.Status > 100 && ct.result != nil {
		ct.result(ct, m)
	}
}

func (ct *clientTx) finish(m *sip.Message, linger time.Duration) {
	if ct.status < 200 {
		ct.p.cancel(ct.resend)
		ct.rearm(linger)
	}
	ct.status = m.Status
	if ct.result != nil {
		ct.result(ct, m)
	}
}

func (ct *clientTx) rearm(d time.Duration) {
	ct.p.cancel(ct.end)
	ct.end = ct.p.after(d, ct.expired)
}

// expired is Timer B, C or F without a final reply, or the end of lingering after one.
func (ct *clientTx) expired() {
	if ct.status >= 100 && ct.status < 200 && ct.invite() && ct.cancel == notCancelled { // Timer C
		ct.sendCancel()
		return
	}
	ct.fail()
}

// fail ends the transaction; without a final reply so far there will be none.
func (ct *clientTx) fail() {
	ct.p.cancel(ct.resend)
	ct.p.cancel(ct.end)
	delete(ct.p.clients, ct.key)
	if ct.status < 200 && ct.result != nil {
		ct.status = 408
		ct.result(ct, nil)
	}
}

// abandon cancels the INVITE (RFC 3261 §9.1), now or as soon as a provisional reply allows it.
func (ct *clientTx) abandon() {
	switch {
	case ct.status >= 200 || ct.cancel != notCancelled || !ct.invite():
	case ct.status == 0:
		ct.cancel = cancelWanted
	default:
		ct.sendCancel()
	}
}

func (ct *clientTx) sendCancel() {
	ct.cancel = cancelSent
	ct.rearm(64 * ct.p.cfg.timing.t1)
	ct.p.startClient(sip.AppendCANCEL(nil, &ct.msg), ct.to, nil)
}
