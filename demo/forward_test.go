package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// invite calls number and answers the challenge; the next reply is for the caller of invite.
func (ph *phone) invite(number, extra string) *leg {
	ph.t.Helper()
	l := ph.newLeg(number)
	l.extra = extra
	ph.send("INVITE", l, "")
	m := ph.want("SIP/2.0 407")
	to := l.to
	l.to = field(m, "To")
	ph.resend("ACK", l, "")
	l.to = to
	ph.authorize(m, "INVITE", l.uri)
	ph.send("INVITE", l, "")
	ph.auth = ""
	return l
}

func TestCallBetweenAccounts(t *testing.T) {
	p := startPlatform(t, nil)
	for _, networks := range [][2]string{{"udp", "udp"}, {"udp", "tcp"}, {"tcp", "udp"}, {"tcp", "tcp"}} {
		t.Run(networks[0]+" to "+networks[1], func(t *testing.T) {
			alice, bob := newPhone(t, p, "alice", networks[0]), newPhone(t, p, "bob", networks[1])
			p.sync(func() { p.aors = map[string][]binding{} })
			bob.register()
			alice.invite("bob", "X-Kept: as it is\n")
			got := bob.want("INVITE " + strings.Trim(bob.contact(), "<>") + " SIP/2.0\r\n")
			vias := fields(got, "Via")
			if len(vias) != 2 || !strings.HasPrefix(vias[0], "SIP/2.0/"+strings.ToUpper(networks[1])+" "+p.Addr().String()) ||
				param(vias[1], "received") != "127.0.0.1" || param(vias[1], "rport") == "" {
				t.Errorf("Vias: %q", vias)
			}
			for name, want := range map[string]string{"Max-Forwards": "69", "X-Kept": "as it is", "Proxy-Authorization": "", "Record-Route": "", "Max-Breadth": "60"} {
				if v := field(got, name); v != want {
					t.Errorf("%s: %q, want %q", name, v, want)
				}
			}
			bob.reply(got, "180 Ringing", "")
			ringing := alice.want("SIP/2.0 180")
			if v := fields(ringing, "Via"); len(v) != 1 || !strings.Contains(v[0], alice.local()) {
				t.Errorf("Via of the reply: %q", v)
			}
			bob.reply(got, "200 OK", "v=0\r\n")
			ok := alice.want("SIP/2.0 200")
			bob.reply(got, "200 OK", "v=0\r\n")
			if again := alice.get(); again != ok {
				t.Errorf("repeated 200:\n%s", again)
			}
		})
	}
}

// TestThroughRoute: an in-dialog request that comes from the edge goes to the topmost Route.
func TestThroughRoute(t *testing.T) {
	p := startPlatform(t, nil)
	alice, edge := newPhone(t, p, "alice", "udp"), newPhone(t, p, "edge", "udp")
	for _, own := range []string{"", "<sip:" + p.Addr().String() + ";lr>, "} {
		for _, method := range []string{"BYE", "INVITE", "MESSAGE", "UPDATE", "PRACK", "DANCE"} {
			l := alice.newLeg("bob")
			l.uri, l.to = "sip:bob@192.0.2.1:9", "<sip:bob@demo>;tag=bobs"
			l.extra = "Route: " + own + "<sip:token@" + edge.local() + ";lr>\nRoute: <sip:next@192.0.2.2;lr>\nMax-Forwards: 5\n"
			l.extra = strings.Replace(l.extra, "Max-Forwards: 5\n", "", 1)
			alice.send(method, l, "")
			got := edge.want(method + " sip:bob@192.0.2.1:9 SIP/2.0")
			if r := fields(got, "Route"); len(r) != 2 || r[0] != "<sip:token@"+edge.local()+";lr>" {
				t.Errorf("%s: Route %q", method, r)
			}
			if len(fields(got, "Via")) != 2 {
				t.Errorf("%s: Via %q", method, fields(got, "Via"))
			}
			edge.reply(got, "200 OK", "")
			alice.want("SIP/2.0 200")
			if method != "INVITE" {
				continue
			}
			alice.send("ACK", l, "")
			if ack := edge.want("ACK sip:bob@192.0.2.1:9"); field(ack, "Max-Forwards") != "69" || param(field(ack, "Via"), "branch") == param(field(got, "Via"), "branch") {
				t.Errorf("ACK:\n%s", ack)
			}
		}
	}
	l := alice.newLeg("bob") // no dialog, no Route, our own address
	l.to += ";tag=x"
	for _, method := range []string{"BYE", "INVITE", "INFO"} {
		alice.send(method, l, "")
		alice.want("SIP/2.0 481")
		if method == "INVITE" {
			alice.resend("ACK", l, "")
		}
	}
}

func TestForkRingsAllAndFirstAnswerWins(t *testing.T) {
	p := startPlatform(t, nil)
	alice, one, two := newPhone(t, p, "alice", "udp"), newPhone(t, p, "bob", "udp"), newPhone(t, p, "bob", "tcp")
	one.register()
	two.register()
	alice.invite("bob", "")
	m1, m2 := one.want("INVITE "), two.want("INVITE ")
	if field(m1, "Max-Breadth") != "30" {
		t.Errorf("Max-Breadth is not shared:\n%s", m1)
	}
	one.reply(m1, "180 Ringing", "")
	alice.want("SIP/2.0 180")
	two.reply(m2, "183 Session Progress", "")
	alice.want("SIP/2.0 183")
	two.reply(m2, "200 OK", "")
	alice.want("SIP/2.0 200")
	cancel := one.want("CANCEL ")
	if field(cancel, "Via") != fields(m1, "Via")[0] || len(fields(cancel, "Via")) != 1 {
		t.Errorf("CANCEL:\n%s", cancel)
	}
	one.reply(cancel, "200 OK", "")
	one.reply(m1, "487 Request Terminated", "")
	one.want("ACK ")
}

func TestForkBestRefusal(t *testing.T) {
	for _, tt := range []struct{ one, two, want string }{
		{"486 Busy Here", "486 Busy Here", "486"},
		{"404 Not Found", "302 Moved Temporarily", "302"},
		{"480 Temporarily Unavailable", "486 Busy Here", "486"},
		{"503 Service Unavailable", "503 Service Unavailable", "500"},
		{"500 Server Internal Error", "603 Decline", "603"},
		{"486 Busy Here", "407 Proxy Authentication Required", "407"},
	} {
		p := startPlatform(t, nil)
		alice, one, two := newPhone(t, p, "alice", "tcp"), newPhone(t, p, "bob", "udp"), newPhone(t, p, "bob", "udp")
		one.register()
		two.register()
		alice.invite("bob", "")
		m1, m2 := one.want("INVITE "), two.want("INVITE ")
		one.reply(m1, tt.one, "")
		one.want("ACK ")
		two.reply(m2, tt.two, "")
		two.want("ACK ")
		alice.want("SIP/2.0 " + tt.want)
	}
}

func TestDeclineCancelsTheOthers(t *testing.T) {
	p := startPlatform(t, nil)
	alice, one, two := newPhone(t, p, "alice", "tcp"), newPhone(t, p, "bob", "udp"), newPhone(t, p, "bob", "udp")
	one.register()
	two.register()
	alice.invite("bob", "")
	m1, m2 := one.want("INVITE "), two.want("INVITE ")
	two.reply(m2, "100 Trying", "")
	one.reply(m1, "603 Decline", "")
	one.want("ACK ")
	cancel := two.want("CANCEL ")
	two.reply(cancel, "200 OK", "")
	two.reply(m2, "487 Request Terminated", "")
	two.want("ACK ")
	alice.want("SIP/2.0 603")
}

func TestCancelOfAForwardedCall(t *testing.T) {
	p := startPlatform(t, nil)
	alice, bob := newPhone(t, p, "alice", "udp"), newPhone(t, p, "bob", "udp")
	bob.register()
	l := alice.invite("bob", "")
	got := bob.want("INVITE ")
	stranger := *alice // who knows it all, but has another address
	stranger.Conn = dialFrom(t, p, "127.0.0.9")
	cancel := fmt.Sprintf("CANCEL %s SIP/2.0\nVia: SIP/2.0/UDP %s;branch=%s;rport\nFrom: <sip:alice@demo>;tag=from-alice\nTo: %s\nCall-ID: %s\nCSeq: %d CANCEL",
		l.uri, alice.local(), l.branch, l.to, l.callID, l.cseq)
	stranger.put(cancel, "")
	stranger.want("SIP/2.0 481")
	alice.send("CANCEL", l, "")
	alice.want("SIP/2.0 200")
	bob.reply(got, "180 Ringing", "") // only now may CANCEL follow (RFC 3261 §9.1)
	bob.reply(bob.want("CANCEL "), "200 OK", "")
	bob.reply(got, "487 Request Terminated", "")
	bob.want("ACK ")
	alice.want("SIP/2.0 180")
	alice.want("SIP/2.0 487")
}

func TestSilentPhone(t *testing.T) {
	p := startPlatform(t, func(c *timing) { c.t1, c.c = 8*time.Millisecond, 50*time.Millisecond })
	alice, bob := newPhone(t, p, "alice", "tcp"), newPhone(t, p, "bob", "udp")
	bob.register()
	alice.invite("bob", "")
	first := bob.want("INVITE ")
	if again := bob.get(); again != first { // Timer A
		t.Errorf("retransmission:\n%s", again)
	}
	alice.want("SIP/2.0 408") // Timer B

	l := alice.invite("bob", "")
	var got string
	for got = bob.want("INVITE "); !strings.Contains(got, l.callID); got = bob.want("INVITE ") {
	}
	bob.reply(got, "180 Ringing", "")
	alice.want("SIP/2.0 180")
	bob.want("CANCEL ") // Timer C
	alice.want("SIP/2.0 408")

	alice.ask("OPTIONS", alice.newLeg("bob"), "")
	m := alice.newLeg("bob")
	alice.send("MESSAGE", m, "")
	challenge := alice.want("SIP/2.0 407")
	alice.authorize(challenge, "MESSAGE", m.uri)
	alice.send("MESSAGE", m, "")
	p.sync(func() {})
	for { // Timer F: no reply (RFC 4320), and nothing is left of it
		left := 0
		p.sync(func() {
			for _, ct := range p.clients {
				if ct.msg.CSeq.Method.String() == "MESSAGE" {
					left++
				}
			}
		})
		if left == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	alice.send("OPTIONS", alice.newLeg("bob"), "")
	alice.want("SIP/2.0 200")
}

func TestMessageToARegisteredUser(t *testing.T) {
	p := startPlatform(t, nil)
	alice, bob := newPhone(t, p, "alice", "udp"), newPhone(t, p, "bob", "tcp")
	bob.register()
	l := alice.newLeg("bob")
	alice.send("MESSAGE", l, "hello")
	alice.authorize(alice.want("SIP/2.0 407"), "MESSAGE", l.uri)
	alice.send("MESSAGE", l, "hello")
	got := bob.want("MESSAGE ")
	if bodyOf(got) != "hello" {
		t.Errorf("got\n%s", got)
	}
	bob.reply(got, "200 OK", "")
	ok := alice.want("SIP/2.0 200")
	alice.resend("MESSAGE", l, "hello")
	if again := alice.get(); again != ok {
		t.Errorf("retransmission:\n%s", again)
	}
}

func TestGoneConnection(t *testing.T) {
	p := startPlatform(t, nil)
	alice, bob := newPhone(t, p, "alice", "udp"), newPhone(t, p, "bob", "tcp")
	bob.register()
	alice.invite("bob", "")
	bob.want("INVITE ")
	bob.Close()
	m := alice.want("SIP/2.0 408")
	if strings.Contains(m, "Via: SIP/2.0/TCP") {
		t.Errorf("got\n%s", m)
	}
	again := newPhone(t, p, "alice", "tcp") // nobody listens at the Contact
	again.invite("bob", "")
	again.want("SIP/2.0 408")
}

func TestHops(t *testing.T) {
	p := startPlatform(t, nil)
	bob := newPhone(t, p, "bob", "tcp")
	bob.register()
	send := func(ph *phone, hops, more string) string {
		l := ph.newLeg("bob")
		l.to += ";tag=x"
		ph.seq++
		ph.put(fmt.Sprintf("MESSAGE sip:bob@%s SIP/2.0\nVia: SIP/2.0/TCP %s;branch=z9hG4bKh%d\nFrom: <sip:a@demo>;tag=1\nTo: %s\nCall-ID: %s\nCSeq: 1 MESSAGE\n%s%s",
			bob.local(), ph.local(), ph.seq, l.to, l.callID, hops, more), "")
		return ph.local()
	}
	alice := newPhone(t, p, "alice", "tcp")
	send(alice, "Max-Forwards: 0\n", "")
	alice.want("SIP/2.0 483")
	send(alice, "", "Max-Breadth: 0\n")
	alice.want("SIP/2.0 440")
	udp := newPhone(t, p, "edge", "udp")
	send(alice, "", "Route: <sip:x@"+udp.local()+";lr>\n")
	if got := udp.want("MESSAGE "); field(got, "Max-Forwards") != "70" {
		t.Errorf("no Max-Forwards:\n%s", got)
	}
}
