package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// granting is a registrar of the rig's platform that knows every user u0 to u9 by the password "right", and grants that many seconds.
func granting(r *rig, seconds int) *siptest.Registrar {
	r.Helper()
	passwords := map[string]string{}
	for i := range 10 {
		passwords[fmt.Sprint("u", i)] = "right"
	}
	reg := siptest.NewRegistrar(r.platform, passwords)
	reg.OnReply(func(_ *siptest.Received, reply *siptest.Message) {
		for i, f := range reply.Fields {
			if f.Name == "Contact" {
				reply.Fields[i].Value = strings.Replace(f.Value, "expires=3600", fmt.Sprint("expires=", seconds), 1)
			}
		}
	})
	return reg
}

// logIn has a phone register with its password, which must work.
func logIn(t *testing.T, ua *siptest.UA) {
	t.Helper()
	m := ua.Send(ua.Register())
	challenge := ua.WaitIn(m.Get("Call-ID"), "401", siptest.Deadline)
	if challenge == nil {
		t.Fatalf("%s is not challenged", ua.User)
	}
	again := ua.Send(siptest.Authorize(m, challenge, ua.User, "right"))
	if ua.WaitIn(again.Get("Call-ID"), "200", siptest.Deadline) == nil {
		t.Fatalf("%s can't log in", ua.User)
	}
}

// misbehaves has ua send what nobody but an attack tool sends, over a connection, so that it is his for certain.
func misbehaves(ua *siptest.UA) {
	ua.Send(ua.Request("OPTIONS", "sip:100@example.com").Set("User-Agent", "friendly-scanner"))
}

// TestOnePrivateAddress: everybody comes through one private address, as behind a container's bridge. Whoever attacks through it, and an operator who
// falls for that, ban nobody there, and status says so in one sentence.
func TestOnePrivateAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, siptest.Keys{"checks": allChecks})
	granting(r, 3600)
	bridge := siptest.OwnIP()
	var phones []*siptest.UA
	for i := range 6 {
		phones = append(phones, siptest.NewPhone(t, fmt.Sprint("u", i), "udp", bridge, r.edge.Outside))
		logIn(t, phones[i])
	}
	r.edge.WaitLog("nearly all requests come through " + bridge)
	for range 3 {
		misbehaves(siptest.NewPhone(t, "mallory", "tcp", bridge, r.edge.Outside))
	}
	r.edge.WaitLog("reason=ban.never")
	r.fails(1, "is never banned: nearly all requests", "ban", bridge)
	for _, p := range phones {
		logIn(t, p)
	}
	if got := r.banned(); len(got) > 0 {
		t.Errorf("banned: %v", got)
	}
	out, _ := r.verb("status")
	if strings.Count(out, "ban.fronted: nearly all requests come through "+bridge) != 1 {
		t.Errorf("status says\n%s", out)
	}
}

// TestKnownGoodIsSpared: a ban spares the address and port from which the platform accepted a phone, also when its registration is over, and after
// a kill -9.
func TestKnownGoodIsSpared(t *testing.T) {
	if !inWorld(t) {
		return
	}
	w := newWorld(t)
	r := w.rig(siptest.Keys{"checks": allChecks})
	granting(r, 1)
	office := w.host("office", "outside", "203.0.113.20")
	alice, other := office.phone("u1", "udp", r.edge.Outside), office.phone("u2", "udp", r.edge.Outside)
	logIn(t, alice)
	gone := func() bool { return r.edge.Counter("ringwall_bindings") == 0 }
	if !siptest.Eventually(gone) {
		t.Fatal("the registration does not end")
	}
	r.does("ban", "203.0.113.0/24")
	r.edge.WaitLog("Blocking strangers at 203.0.113.0/24")
	logIn(t, alice)
	other.Send(other.Register())
	other.Silence(2 * hush)
	if !siptest.Eventually(gone) {
		t.Fatal("the registration does not end")
	}
	r.edge.Kill()
	r.edge.Start()
	logIn(t, alice)
	other.Send(other.Register())
	other.Silence(2 * hush)
}

// TestSafetyValve: bans hit phones, which vanish one after the other. Their bans are lifted, checks only watch, status says so, and a reload puts
// them to work again.
func TestSafetyValve(t *testing.T) {
	if !inWorld(t) {
		return
	}
	w := newWorld(t)
	r := w.rig(siptest.Keys{"checks": allChecks})
	granting(r, 2)
	office := w.host("office", "outside", "203.0.113.20")
	var phones []*siptest.UA
	for i := range 6 {
		phones = append(phones, office.phone(fmt.Sprint("u", i), "tcp", r.edge.Outside))
		logIn(t, phones[i])
	}
	r.does("ban", "198.51.100.9") // which an operator wants, and keeps
	for _, p := range phones {
		misbehaves(p)
	}
	r.edge.WaitLog("registered users vanished after bans")
	if got := r.banned(); !slices.Equal(got, []string{"198.51.100.9"}) {
		t.Errorf("banned: %v", got)
	}
	if out, _ := r.verb("status"); strings.Count(out, "ban.valve: ") != 1 {
		t.Errorf("status says\n%s", out)
	}
	crook := w.host("crook", "outside", "203.0.113.66")
	misbehaves(crook.phone("mallory", "tcp", r.edge.Outside))
	r.edge.WaitLog("event=noted reason=scanner.agent")
	if got := r.banned(); len(got) != 1 {
		t.Errorf("banned while checks only watch: %v", got)
	}
	r.does("reload")
	r.edge.WaitLog("checks ban and refuse again: reloaded")
	misbehaves(crook.phone("mallory", "tcp", r.edge.Outside))
	r.edge.WaitLog(`msg="Blocking traffic from 203.0.113.66"`)
	if out, _ := r.verb("status"); strings.Contains(out, "ban.valve") {
		t.Errorf("status says\n%s", out)
	}
}
