package proxy

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// Bounds of traces. A trace that its reader does not follow loses messages, and counts them; the packet path never waits.
const (
	maxTraces   = 4       // at once
	traceQueue  = 1024    // messages that may wait for the reader
	traceBytes  = 4 << 20 // bytes of these
	tracedCalls = 4096    // calls that one trace follows; further ones take the place of others
)

// ErrTraces says that as many traces run as may.
var ErrTraces = errors.New("4 traces run already; end one of them first")

// A TraceFilter says which messages a trace is about: those for which everything named here is true, and all others with the
// Call-ID of one of them. The zero TraceFilter is about every message.
type TraceFilter struct {
	User   string     // user part of From, To or Request-URI
	CallID string     // whole value, as either side knows it
	Source netip.Addr // far end
}

// Traced is one message as it passed, or one verdict about a message received before.
type Traced struct {
	At     time.Time
	Flow   edge.Flow // far end: where it came from or goes to
	Sent   bool      // by us; else received
	Raw    []byte    // the message, a copy that belongs to the reader
	Reason edge.Reason
	Other  string // the Call-ID by which the other side knows the dialog, where that is another one
	Noted  bool   // Reason is only noted (mode: monitor); else it is why the message was refused
}

// A Trace is a bounded queue of the messages that match its filter.
type Trace struct {
	p       *Proxy
	filter  TraceFilter
	inside  string // what filter.CallID stands for inside, if it is masked
	queue   chan Traced
	held    atomic.Int64 // bytes in queue
	dropped atomic.Uint64
	calls   [tracedCalls]atomic.Uint64 // hashes of followed Call-IDs
}

// Trace begins to copy the messages that match f. The error is ErrTraces. Close must be called.
func (p *Proxy) Trace(f TraceFilter) (*Trace, error) {
	t := &Trace{p: p, filter: f, queue: make(chan Traced, traceQueue)}
	if id, ok := p.cfg.Load().veil.CallID(nil, []byte(f.CallID)); ok {
		t.inside = string(id)
	}
	if !p.traces.Join(t, maxTraces) {
		return nil, ErrTraces
	}
	return t, nil
}

// Traces is how many traces run.
func (p *Proxy) Traces() int { return len(p.traces.All()) }

// Close ends the trace. It may be called more than once.
func (t *Trace) Close() { t.p.traces.Leave(t) }

// Next returns the next message, in the order in which they passed. It waits for one until ctx ends; what is queued already comes
// even then.
func (t *Trace) Next(ctx context.Context) (Traced, error) {
	var m Traced
	select {
	case m = <-t.queue:
	default:
		select {
		case m = <-t.queue:
		case <-ctx.Done():
			return Traced{}, ctx.Err()
		}
	}
	t.held.Add(-int64(len(m.Raw)))
	return m, nil
}

// Dropped is how many messages the reader was too slow for.
func (t *Trace) Dropped() uint64 { return t.dropped.Load() }

// seen shows m, just received, to who traces.
func (l *lane) seen(x *edge.Exchange) {
	if list := l.p.traces.All(); list != nil {
		l.show(list, x.Msg, Traced{At: x.At, Flow: x.From, Raw: x.Msg.Raw})
	}
}

// judged shows them a verdict about a message that they have seen.
func (l *lane) judged(x *edge.Exchange, v edge.Verdict) {
	if list := l.p.traces.All(); list != nil {
		l.show(list, x.Msg, Traced{At: x.At, Flow: x.From, Raw: x.Msg.Raw, Reason: v.Reason, Noted: v.Action == edge.Note})
	}
}

// leaving shows them b, which is about to be sent.
func (l *lane) leaving(b []byte, to edge.Flow) {
	list := l.p.traces.All()
	if list == nil || idle(b) {
		return
	}
	_ = l.left.Parse(b, true) // ours: at worst the filter finds nothing in it
	l.show(list, &l.left, Traced{At: time.Now(), Flow: to, Sent: true, Raw: b})
}

func (l *lane) show(list []*Trace, m *sip.Message, one Traced) {
	inside := m.CallID.Of(m.Raw)
	other := l.otherCallID(m, one.Flow.Side)
	if one.Other = string(other); len(other) > 0 && one.Flow.Side == edge.Outside {
		inside = other
	}
	call := maphash.Bytes(l.p.seed, inside)
	for _, t := range list {
		if t.wants(m, &one, call) {
			t.put(one)
		}
	}
}

// wants reports whether m matches, or belongs to a call that did before.
func (t *Trace) wants(m *sip.Message, one *Traced, call uint64) bool {
	if t.filter == (TraceFilter{}) {
		return true
	}
	slot := &t.calls[call%tracedCalls]
	if slot.Load() == call && m.CallID.Present() {
		return true
	}
	if !t.matches(m, one) {
		return false
	}
	if m.CallID.Present() {
		slot.Store(call)
	}
	return true
}

func (t *Trace) matches(m *sip.Message, one *Traced) bool {
	f, callID := &t.filter, m.CallID.Of(m.Raw)
	return (f.CallID == "" || f.CallID == string(callID) || f.CallID == one.Other || t.inside != "" && t.inside == string(callID)) &&
		(!f.Source.IsValid() || f.Source == one.Flow.Remote.Addr()) &&
		(f.User == "" || f.User == string(m.URI.User.Of(m.Raw)) || f.party(m, m.From) || f.party(m, m.To))
}

// party reports whether the user of f is that of a.
func (f *TraceFilter) party(m *sip.Message, a sip.Address) bool {
	uri, err := sip.ParseURI(m.Raw, a.URI)
	return err == nil && f.User == string(uri.User.Of(m.Raw))
}

// put queues a copy of m, or counts it where there is no room.
func (t *Trace) put(m Traced) {
	n := int64(len(m.Raw))
	if t.held.Add(n) > traceBytes {
		t.held.Add(-n)
		t.dropped.Add(1)
		return
	}
	m.Raw = bytes.Clone(m.Raw)
	select {
	case t.queue <- m:
	default:
		t.held.Add(-n)
		t.dropped.Add(1)
	}
}
