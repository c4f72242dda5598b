package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// crooks are those whom TestMonitorThenEnforce is to see banned.
var crooks = []string{"203.0.113.66", "203.0.113.67"}

// guesses has ua try a wrong password of a user.
func guesses(t *testing.T, ua *siptest.UA) {
	t.Helper()
	m := ua.Send(ua.Register())
	challenge := ua.WaitIn(m.Get("Call-ID"), "401", siptest.Deadline)
	if challenge == nil {
		t.Fatal("a REGISTER is not challenged")
	}
	again := ua.Send(siptest.Authorize(m, challenge, ua.User, siptest.ID()))
	ua.WaitIn(again.Get("Call-ID"), "final", siptest.Deadline)
}

// TestMonitorThenEnforce: checks that watched are told to act by a reload. Nobody who called before is stopped, in a call, in a new one or with a
// registration. Who would have been banned is before long: a tool with its next message; who guesses passwords finds the user locked from now on, as he
// would have been from the third password on, and is banned when he goes on at the speed of tools.
func TestMonitorThenEnforce(t *testing.T) {
	if !inWorld(t) {
		return
	}
	w := newWorld(t)
	r := w.rig(siptest.Keys{"checks": "{mode: monitor}"})
	reg := granting(r, 3600)
	office, elsewhere := w.host("office", "outside", "203.0.113.20"), w.host("elsewhere", "outside", "203.0.113.30")
	var phones []*siptest.UA
	for i := range 3 {
		phones = append(phones, office.phone(fmt.Sprint("u", i), "udp", r.edge.Outside))
		logIn(t, phones[i])
	}
	guest := elsewhere.phone("guest", "udp", r.edge.Outside) // whom the platform lets call without a password
	up, again := r.call(phones[0]), r.call(guest)
	r.bye(again.phone, again.platform)

	scanner := w.host("scanner", "outside", "203.0.113.66").phone("mallory", "tcp", r.edge.Outside)
	guesser := w.host("guesser", "outside", "203.0.113.67").phone("u9", "tcp", r.edge.Outside)
	misbehaves(scanner)
	r.edge.WaitLog("event=would_ban reason=scanner.agent")
	for range 12 {
		guesses(t, guesser)
	}
	r.edge.WaitLog("event=would_ban reason=bruteforce")
	if got := r.banned(); len(got) > 0 {
		t.Fatalf("banned while checks only watch: %v", got)
	}
	r.rewrite("checks:", "checks: {mode: enforce}")
	if a := r.askReload(); !a.OK || len(a.Restart) > 0 || !slices.Equal(a.Changed, []string{"checks"}) {
		t.Fatalf("%+v", a)
	}
	if out, _ := r.verb("status"); !strings.Contains(out, " enforce, 0 only watch") {
		t.Errorf("status says\n%s", out)
	}
	misbehaves(scanner)
	if !siptest.Eventually(func() bool { return slices.Equal(r.banned(), []string{"203.0.113.66"}) }) {
		t.Errorf("banned after one more message of a tool: %v", r.banned())
	}
	before := r.platform.Got("REGISTER")
	for range 100 {
		guesser.TrySend(r.edge.Outside, "tcp", guesser.Register().String())
	}
	if !siptest.Eventually(func() bool { return slices.Equal(r.banned(), crooks) }) {
		t.Errorf("banned: %v", r.banned())
	}
	if n := r.platform.Got("REGISTER") - before; n > 0 {
		t.Errorf("the platform got %d more REGISTERs of him", n)
	}

	r.ask(up.phone, up.platform, up.phone.Request("INFO"))
	r.bye(up.platform, up.phone)
	for _, p := range phones {
		logIn(t, p)
		c := r.call(p)
		r.bye(c.phone, c.platform)
	}
	again = r.call(guest)
	r.bye(again.platform, again.phone)
	in := r.callIn(reg.Contacts(phones[1].AOR())[0], phones[1])
	r.bye(in.phone, in.platform)
	if got := r.banned(); !slices.Equal(got, crooks) {
		t.Errorf("banned: %v", got)
	}
}
