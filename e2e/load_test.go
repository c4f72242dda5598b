package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// busy lets a few phones of one network send what thousands of a whole country would.
var busy = siptest.Keys{"checks": "{mode: enforce, flood: {rate: unlimited}}"}

// A load is phones that call again and again.
type load struct {
	complete, failed atomic.Int64
	running          sync.WaitGroup
}

// serve lets the platform answer by itself: 180 and 200 to INVITE, 200 to all other requests.
func serve(platform *siptest.UA) { platform.Handle(serving(platform)) }

// serving is what it answers with.
func serving(platform *siptest.UA) func(*siptest.Received) bool {
	return func(r *siptest.Received) bool {
		switch r.Method() {
		case "":
			return false
		case "ACK":
			return true
		case "INVITE":
			platform.Reply(r, 180)
		}
		platform.Reply(r, 200)
		return true
	}
}

// start lets phone make n calls, one each pause or as fast as it can; more may run at the same time.
func (l *load) start(phone *siptest.UA, n int, pause time.Duration, stop <-chan struct{}) {
	l.running.Go(func() {
		for range n {
			next := time.After(pause)
			if complete(phone) {
				l.complete.Add(1)
			} else {
				l.failed.Add(1)
			}
			select {
			case <-stop:
				return
			case <-next:
			}
		}
	})
}

// complete makes one whole call and reports whether it worked: INVITE, 200, ACK, BYE, 200.
func complete(phone *siptest.UA) bool {
	d := establish(phone)
	return d != nil && transact(phone, d.Request("BYE")) != nil
}

// establish makes a call that is up, nil if it fails.
func establish(phone *siptest.UA) *siptest.Dialog {
	m := phone.Request("INVITE", "sip:bob@example.com")
	if ok := transact(phone, m); ok != nil {
		return acknowledged(phone, m, ok)
	}
	return nil
}

// acknowledged sends the ACK to the 200 of an INVITE, and returns the call.
func acknowledged(phone *siptest.UA, m *siptest.Message, ok *siptest.Received) *siptest.Dialog {
	d := phone.NewCallerDialog(m, ok)
	ack := d.Request("ACK")
	if addr, transport, ok := siptest.Hop(siptest.URI(ack.Get("Route"))); ok {
		phone.TrySend(addr, transport, ack.String())
		return d
	}
	return nil
}

// transact sends a request, repeats it over UDP as RFC 3261 §17.1.1.2 asks for a few times, and returns its 200, or nil.
func transact(phone *siptest.UA, m *siptest.Message) *siptest.Received {
	return transactUntil(phone, m, 200)
}

// transactUntil is transact for another answer.
func transactUntil(phone *siptest.UA, m *siptest.Message, status int) *siptest.Received {
	_, method := m.CSeq()
	addr, transport := phone.Proxy, phone.Transport
	if route := m.Get("Route"); route != "" {
		addr, transport, _ = siptest.Hop(siptest.URI(route))
	}
	for wait := 500 * time.Millisecond; wait < 8*time.Second; wait *= 2 {
		if wait == 500*time.Millisecond || transport == "udp" {
			phone.TrySend(addr, transport, m.String())
		}
		if ok := phone.WaitIn(m.Get("Call-ID"), fmt.Sprint(status, " ", method), wait); ok != nil {
			return ok
		}
	}
	return nil
}
