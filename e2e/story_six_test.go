package e2e

import (
	"slices"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestSix: attackers at addresses of IPv6, of different networks. One with the marks of a tool is banned with its /64 by its first message over TCP, one that guesses
// the password of a phone is locked out; a phone of another /64 registers before and after, and a neighbour of the banned /64 gets nothing.
func TestSix(t *testing.T) {
	if !inWorld(t) {
		return
	}
	const outside = "2001:db8::5"
	w := &watched{world: newWorld(t)}
	w.run("ip addr add " + outside + "/32 nodad dev outside")
	w.registrar = siptest.NewRegistrar(w.host("platform", "inside", "10.77.0.10").platform("platform"), passwords())
	w.edge = siptest.StartEdge(t, siptest.Outlets{Outside: outside, Inside: worldInside, Upstream: []string{"sip:" + w.registrar.Addr.String()}}, siptest.Keys{"checks": allChecks})
	w.office = w.host("office", "outside", "2001:db8:20::20").phone("office", "udp", w.edge.Outside)
	w.logIn("right", 200)

	tool := w.host("tool", "outside", "2001:db8:66:1::7")
	c, err := tool.idle(w.edge.Outside)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(plainRequest("OPTIONS", "tcp", siptest.ID(), "User-Agent: friendly-scanner\r\n"))
	w.edge.WaitLog(`msg="Blocking traffic from 2001:db8:66:1::/64" event=ban reason=scanner.agent`)
	if _, err := w.host("beside", "outside", "2001:db8:66:1::8").idle(w.edge.Outside); err == nil {
		t.Error("a neighbour in the banned /64 has a connection")
	}
	if _, err := w.host("further", "outside", "2001:db8:66:2::8").idle(w.edge.Outside); err != nil {
		t.Errorf("another /64: %v", err)
	}

	crook := w.host("crook", "outside", "2001:db8:77::66").phone("office", "udp", w.edge.Outside)
	var got []int
	for range 4 {
		m := crook.Register()
		crook.Send(m)
		challenge := crook.WaitIn(m.Get("Call-ID"), "final", siptest.Deadline)
		if challenge == nil || challenge.Status() != 401 {
			if challenge != nil {
				got = append(got, challenge.Status())
			}
			break
		}
		again := siptest.Authorize(m, challenge, "office", siptest.ID())
		crook.Send(again)
		if final := crook.WaitIn(again.Get("Call-ID"), "final", siptest.Deadline); final != nil {
			got = append(got, final.Status())
		}
	}
	if !slices.Equal(got, []int{401, 401, 401, 503}) {
		t.Errorf("who guesses gets %v", got)
	}
	w.logIn("right", 200)
	if bans := w.bans(); !slices.Equal(bans, []string{"2001:db8:66:1::/64 scanner.agent"}) {
		t.Errorf("banned: %v", bans)
	}
}
