package e2e

import (
	"path/filepath"
	"strings"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/siptest"
)

// draining lets the edge take no new work, as `ringwall drain` does, or take it again.
func (r *rig) draining(on bool) {
	r.Helper()
	if err := admin.Call(r.Context(), filepath.Join(r.edge.State, "ringwall.sock"), "drain", map[string]bool{"on": on}, nil); err != nil {
		r.Fatal(err)
	}
}

// registers sends a REGISTER of phone and wants it answered so. It returns it as it was sent.
func (r *rig) registers(phone *siptest.UA, m *siptest.Message, status string) *siptest.Message {
	r.Helper()
	phone.Send(m)
	final := phone.WaitIn(m.Get("Call-ID"), "", siptest.Deadline)
	if final == nil || !strings.HasPrefix(final.Start, "SIP/2.0 "+status) || (status == "503") != (final.Get("Retry-After") != "") {
		r.Fatalf("REGISTER of %s, want %s: %+v", phone.User, status, final)
	}
	return m
}

// p62Registered: while new work is refused, a phone with a call keeps its registration, also where it has moved, until the call has ended; a phone
// without one is sent away at once, may say farewell, and is taken again when the drain is over.
func p62Registered(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	called, caller, idle, new := r.phone("alice"), r.phone("bob"), r.phone("carol"), r.phone("dave")
	contact := r.register(reg, called)
	r.register(reg, caller)
	last := r.registers(idle, idle.Register(), "200")
	in, out := r.callIn(contact, called), r.call(caller)

	r.draining(true)
	r.registers(called, called.Register(), "200")
	r.registers(caller, caller.Register(), "200")
	r.registers(idle, siptest.Again(last), "503")
	r.registers(new, new.Register(), "503")
	r.platform.Send(r.platform.Request("INVITE", contact))
	r.platform.Expect("503 INVITE")

	moved := siptest.NewPhone(r.T, called.User, r.way.out, called.Addr.Addr().String(), r.edge.Outside)
	again := called.Register() // with the Contact of before
	r.registers(moved, again, "200")
	r.registers(moved, siptest.Again(again), "200")
	in.platform.Send("INFO")
	moved.Reply(moved.Expect("INFO"), 200)
	r.platform.Expect("200 INFO")
	in.platform.Send("BYE")
	moved.Reply(moved.Expect("BYE"), 200)
	r.platform.Expect("200 BYE")
	r.registers(moved, siptest.Again(again), "503")
	r.bye(out.phone, out.platform)
	r.registers(caller, caller.Register(), "503")

	farewell := siptest.Again(last).Set("Expires", "0")
	r.registers(idle, farewell, "200")
	if left := reg.Contacts(idle.AOR()); len(left) > 0 {
		r.Errorf("after its farewell the registrar has %q", left)
	}
	r.draining(false)
	r.registers(idle, siptest.Again(last), "200")
	r.registers(new, new.Register(), "200")
}
