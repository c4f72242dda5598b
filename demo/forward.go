package demo

import (
	"strconv"

	"github.com/ringwall/ringwall/sip"
)

// A target is one place to forward a request to.
type target struct {
	uri []byte // the new Request-URI; nil keeps it
	to  hop
}

// A fork is a request forwarded to one or more targets at once (RFC 3261 §16.6, §16.7).
type fork struct {
	st        *serverTx
	legs      []*clientTx
	pending   int
	best      []byte // best refusal so far, nil if it is to be our own
	status    int    // of the best refusal
	cancelled bool   // by the caller
}

// maxBreadth is the Max-Breadth (RFC 5393 §5) of a request that has none.
const maxBreadth = 60

// forward sends st's request to all targets and relays what they answer: every provisional and the first 2xx, or else
// the best refusal.
func (p *Platform) forward(st *serverTx, targets []target) {
	r := st.req
	breadth := maxBreadth
	if n, err := strconv.Atoi(string(r.Value(sip.FieldMaxBreadth))); err == nil {
		breadth = min(n, maxBreadth)
	}
	switch {
	case r.MaxForwards == 0:
		st.respond(483)
		return
	case len(targets) == 0:
		st.respond(480)
		return
	case len(targets) > breadth:
		st.respond(440)
		return
	}
	f := &fork{st: st, pending: len(targets)}
	if r.Method == sip.INVITE {
		st.respond(100)
		st.cancel = f.cancel
	}
	for _, t := range targets {
		leg := p.startClient(p.forwarded(r, t, breadth/len(targets)), t.to, f.result)
		if leg == nil {
			f.refused(nil, 480)
			continue
		}
		f.legs = append(f.legs, leg)
	}
}

// forwarded returns r as it leaves for t (RFC 3261 §16.6 steps 1 to 8): Via added, Max-Forwards less one, Max-Breadth
// (0: left alone) shared out, credentials that were for us removed.
func (p *Platform) forwarded(r *request, t target, breadth int) []byte {
	var e sip.Edit
	m := &r.Message
	e.Reset(m)
	if t.uri != nil {
		e.SetRequestURI(t.uri)
	}
	e.Top(sip.FieldVia, p.newVia(t.to))
	if i := m.Find(sip.FieldMaxForwards); i >= 0 {
		e.Replace(i, strconv.AppendInt(nil, int64(m.MaxForwards)-1, 10))
	} else {
		e.Add("Max-Forwards", []byte("70"))
	}
	if i := m.Find(sip.FieldMaxBreadth); breadth > 0 && i >= 0 {
		e.Replace(i, strconv.AppendInt(nil, int64(breadth), 10))
	} else if breadth > 0 {
		e.Add("Max-Breadth", strconv.AppendInt(nil, int64(breadth), 10))
	}
	for i := m.Find(sip.FieldProxyAuthorization); i >= 0; i = m.Next(sip.FieldProxyAuthorization, i) {
		d, ok, err := sip.ParseDigest(m.Raw, m.Fields[i].Value)
		if err == nil && ok && string(d.Realm.Of(m.Raw)) == p.cfg.Realm {
			e.Remove(i)
		}
	}
	return e.AppendTo(nil)
}

// result is told what a leg came to (clientTx.result).
func (f *fork) result(ct *clientTx, m *sip.Message) {
	switch {
	case m == nil:
		f.refused(nil, 408)
	case m.Status < 200:
		if f.st.status < 200 {
			f.relay(m)
		}
	case m.Status < 300:
		f.relay(m)
		f.abandon(ct)
	default:
		f.refused(withoutVia(m), m.Status)
		if m.Status >= 600 {
			f.abandon(ct)
		}
	}
}

func (f *fork) relay(m *sip.Message) {
	if b := withoutVia(m); b != nil {
		f.st.deliver(b, m.Status)
	}
}

// refused notes a leg's refusal b; nil means one of our own. With the last of them the best goes to the caller.
func (f *fork) refused(b []byte, status int) {
	if f.best == nil && f.status == 0 || rank(status) < rank(f.status) {
		f.best, f.status = b, status
	}
	if f.pending--; f.pending > 0 || f.st.status >= 200 {
		return
	}
	switch {
	case f.cancelled:
		f.st.respond(487)
	case f.status == 503: // RFC 3261 §16.7 step 6: it would speak of us
		f.st.respond(500)
	case f.best != nil:
		f.st.deliver(f.best, f.status)
	case f.status == 408 && f.st.req.Method != sip.INVITE:
		f.st.remove() // RFC 4320 §4.1: too late for any reply
	default:
		f.st.respond(f.status)
	}
}

// rank orders refusals, the best first (RFC 3261 §16.7 step 6).
func rank(status int) int {
	switch {
	case status >= 600:
		return 0
	case status == 401 || status == 407 || status == 415 || status == 420 || status == 484:
		return 40
	case status == 408 || status == 480 || status == 487: // any other says more
		return 49
	default:
		return status/100*10 + 5
	}
}

// cancel is the caller's CANCEL.
func (f *fork) cancel() {
	f.cancelled = true
	f.abandon(nil)
}

// abandon cancels all legs but one.
func (f *fork) abandon(but *clientTx) {
	for _, leg := range f.legs {
		if leg != but {
			leg.abandon()
		}
	}
}

// withoutVia returns the reply m without the topmost Via, which is ours; nil if there is no other.
func withoutVia(m *sip.Message) []byte {
	var e sip.Edit
	e.Reset(m)
	line := m.Fields[m.Via.Field].Value
	_, rest, err := sip.NextVia(m.Raw, line)
	switch {
	case err == nil && rest.Len() > 0:
		e.Replace(m.Via.Field, rest.Of(m.Raw))
	case err == nil && m.Next(sip.FieldVia, m.Via.Field) >= 0:
		e.Remove(m.Via.Field)
	default:
		return nil
	}
	return e.AppendTo(nil)
}
