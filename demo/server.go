package demo

import (
	"time"

	"github.com/ringwall/ringwall/sip"
)

// A serverTx is one server transaction (RFC 3261 §17.2, RFC 6026): it repeats the last reply to a retransmitted request
// and, over UDP, a refusal of INVITE until its ACK. A 2xx to INVITE is repeated by the call, not here.
type serverTx struct {
	p      *Platform
	key    string
	req    *request
	tag    []byte // To tag of our own replies
	last   []byte
	status int // of last, 0 before the first
	resend *timer
	end    *timer
	wait   time.Duration
	cancel func() // what a CANCEL does; nil if there is nothing to cancel
}

// newServer starts a server transaction for r, or returns nil when there are too many.
func (p *Platform) newServer(r *request, key string) *serverTx {
	if len(p.servers) >= maxTransactions {
		return nil
	}
	st := &serverTx{p: p, key: key, req: r, tag: []byte(newTag())}
	p.servers[key] = st
	return st
}

// respond sends a reply of our own without a body.
func (st *serverTx) respond(status int, extra ...sip.Header) {
	st.deliver(sip.AppendReply(nil, &st.req.Message, nil, status, "", st.tag, extra...), status)
}

// deliver sends b, a reply with the given status, and enters the state that follows it. After a final reply only a
// further 2xx to INVITE is sent (RFC 6026 §7.1).
func (st *serverTx) deliver(b []byte, status int) {
	invite := st.req.Method == sip.INVITE
	again := st.status >= 200
	if again && !(invite && st.status < 300 && status >= 200 && status < 300) {
		return
	}
	st.last, st.status = b, status
	st.p.transmit(b, st.req.replyHop())
	if status < 200 || again {
		return
	}
	st.cancel = nil
	life := 64 * st.p.cfg.timing.t1 // Timers H, J and L
	if !invite && st.req.from.stream {
		life = st.p.cfg.timing.t1
	}
	st.end = st.p.after(life, st.remove)
	if invite && status >= 300 && !st.req.from.stream {
		st.wait = st.p.cfg.timing.t1 // Timer G
		st.resend = st.p.after(st.wait, st.repeat)
	}
}

func (st *serverTx) repeat() {
	st.p.transmit(st.last, st.req.replyHop())
	st.wait = min(2*st.wait, st.p.cfg.timing.t2)
	st.resend = st.p.after(st.wait, st.repeat)
}

// again handles a retransmission of the request, or the ACK of a refusal.
func (st *serverTx) again(r *request) {
	invite := st.req.Method == sip.INVITE
	switch {
	case r.Method == sip.ACK && st.status >= 300:
		st.p.cancel(st.resend)
		st.p.cancel(st.end)
		st.end = st.p.after(st.p.cfg.timing.t4, st.remove) // Timer I
	case r.Method == sip.ACK:
		st.p.acknowledged(r)
	case st.last != nil && !(invite && st.status >= 200 && st.status < 300):
		st.p.transmit(st.last, st.req.replyHop())
	}
}

func (st *serverTx) remove() {
	st.p.cancel(st.resend)
	st.p.cancel(st.end)
	delete(st.p.servers, st.key)
}

// transmit sends where nobody waits for the outcome: replies, ACKs and retransmissions.
func (p *Platform) transmit(b []byte, h hop) *conn {
	c, err := p.send(b, h)
	if err != nil {
		p.cfg.Log.Info("demo: not sent", "to", h.addr, "err", err)
	}
	return c
}
