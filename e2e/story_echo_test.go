package e2e

import (
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestEchoedContact: a caller names a server inside as his Contact, which a proxy of the platform sends out again. What the called phone is shown
// is a token like any other, but it leads nobody straight to that server: not in a new request, not in the call, and not where the platform is
// shown. The platform gets what is new, as it does with any address that its callers name.
func TestEchoedContact(t *testing.T) {
	t.Parallel()
	for _, w := range both {
		for _, hide := range []string{"{hide: true}", "{hide: false}"} {
			t.Run(w.name+hide, func(t *testing.T) {
				t.Parallel()
				echoed(t, w, hide)
			})
		}
	}
}

func echoed(t *testing.T, w way, hide string) {
	r := newRig(t, w, siptest.Keys{"topology": hide})
	r.platform.Alter, r.recorded = nil, nil
	victim := siptest.NewPlatform(t, w.in, r.platform.Addr.Addr().String())
	reg := siptest.NewRegistrar(r.platform, nil)
	reg.ServeProxy()
	a, b := r.phone("alice"), r.phone("bob")
	r.register(reg, a)
	r.register(reg, b)
	named := "sip:x@" + victim.Addr.String()
	if w.in == "tcp" {
		named += ";transport=tcp"
	}
	sent := a.Send(a.Request("INVITE", b.AOR()).Set("Contact", "<"+named+">"))
	got := b.Expect("INVITE")
	answer := b.Reply(got, 200)
	caller, callee := a.NewCallerDialog(sent, a.Expect("200 INVITE")), b.NewCalleeDialog(got, answer)
	caller.Send("ACK")
	b.Expect("ACK")
	callee.Send("INFO") // by way of the platform, which recorded itself
	caller.UA.Reply(caller.UA.Expect("INFO"), 200)
	b.Expect("200 INFO")

	r.outside = nil // what alice wrote has come back to her
	r.platform.Handle(func(*siptest.Received) bool { return false })
	b.Send(b.Request("INVITE", callee.Target))
	if at := r.platform.Expect("INVITE"); r.hidden && at.RequestURI() != named {
		t.Errorf("the platform is asked for %s", at.RequestURI())
	}
	mixed := *callee // its Routes are of another dialog, in which the platform did not record itself
	on := r.call(b)
	mixed.Routes, mixed.CallID, mixed.Local, mixed.Remote = on.phone.Routes, on.phone.CallID, on.phone.Local, on.phone.Remote
	b.Send(mixed.Request("INFO"))
	b.Expect("403 INFO")
	victim.Silence(hush)
}
