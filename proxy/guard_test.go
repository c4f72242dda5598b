package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
)

// newGuarded is a bench whose messages to outside are looked at, and not hidden.
func newGuarded(t testing.TB, g Guard, hide bool) *bench {
	return newBench(t, func(c *Config) {
		c.Guard, c.Hide = g, hide
		c.Topology = topo.Config{CallID: true, Domain: "example.com"}
		c.Sources = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")}
	})
}

// reasons are the reasons of the events so far, with what they say.
func (b *bench) reasons() (all []string) {
	for {
		e, ok := b.p.ring.Next()
		if !ok {
			return all
		}
		all = append(all, strings.TrimSpace(string(e.Reason)+" "+e.Message))
	}
}

func (b *bench) only(want ...string) {
	b.t.Helper()
	if got := b.reasons(); strings.Join(got, "|") != strings.Join(want, "|") {
		b.t.Errorf("events %q, want %q", got, want)
	}
}

const inSDP = "v=0\r\no=- 1 1 IN IP4 10.77.0.9\r\nc=IN IP4 10.77.0.9\r\n"

func withBody(msg []byte, extra, body string) []byte {
	return []byte(strings.Replace(string(msg), "Content-Length: 0\r\n", fmt.Sprintf("%sContent-Length: %d\r\n", extra, len(body)), 1) + body)
}

func TestGuardLogs(t *testing.T) {
	b := newGuarded(t, GuardLog, false)
	b.send(b.outside, newRequest("INVITE", 1))
	invite := b.expect(b.platform, "INVITE")
	b.reasons()
	b.send(b.inside, withBody(replyTo(invite, "180 Ringing"), "Subject: x\r\nContent-Type: application/sdp\r\n", inSDP))
	b.expect(b.caller, "SIP/2.0 180")
	b.only() // counted, not told
	b.send(b.inside, withBody(replyTo(invite, "183 Progress"), "Warning: 399 10.77.0.9 \"x\"\r\n", ""))
	b.expect(b.caller, "SIP/2.0 183")
	b.only("topology.leak 10.77.0.9 leaves in Warning")
	b.send(b.inside, withBody(replyTo(invite, "182 Queued"), "WWW-Authenticate: Digest realm=\"10.77.0.8\"\r\n", ""))
	b.expect(b.caller, "SIP/2.0 182")
	b.only()
	if realm := b.p.Status().Realm; realm != "10.77.0.8" {
		t.Errorf("the realm %q is noted", realm)
	}
	b.send(b.inside, []byte(strings.Replace(string(replyTo(invite, "181 Forwarded")), ";tag=b", ";tag=as1-10.77.0.7", 1)))
	b.expect(b.caller, "SIP/2.0 181")
	b.only()
	if tag := b.p.Status().Tag; tag != "10.77.0.7" {
		t.Errorf("the tag's %q is noted", tag)
	}
	b.send(b.inside, withBody(replyTo(invite, "480 gone from 10.77.0.9"), "", ""))
	b.expect(b.caller, "SIP/2.0 480")
	b.only("topology.leak 10.77.0.9 leaves in the first line")
}

// TestGuardKnowsEchoes: what outside wrote itself is no leak, even where its home network has the numbers of ours.
func TestGuardKnowsEchoes(t *testing.T) {
	b := newGuarded(t, GuardBlock, true)
	invite := strings.NewReplacer("127.0.0.1:1", "10.77.0.5:1", "Call-ID: c1", "Call-ID: c1@10.77.0.5", "From: <sip:", "From: <sip:x%4010.77.0.5.").Replace(string(newRequest("INVITE", 1)))
	b.send(b.outside, []byte(invite))
	got := b.expect(b.platform, "INVITE")
	b.send(b.inside, b.marked(string(replyTo(got, "200 OK"))))
	b.expect(b.caller, "SIP/2.0 200")
	b.only()
}

func TestGuardBlocks(t *testing.T) {
	b := newGuarded(t, GuardBlock, true)
	b.send(b.outside, newRequest("INVITE", 1))
	got := b.expect(b.platform, "INVITE")
	b.reasons()
	leaky := "Allow: 10.77.0.9\r\n" // scrub lets the field pass
	b.send(b.inside, withBody(replyTo(got, "180 Ringing"), leaky, ""))
	b.silence(b.caller)
	b.send(b.inside, withBody(replyTo(got, "200 OK"), leaky, ""))
	if ans := b.expect(b.caller, "SIP/2.0 500"); strings.Contains(ans, "10.77") {
		t.Errorf("%s", ans)
	}
	b.only("topology.leak 10.77.0.9 leaves in Allow", "topology.leak 10.77.0.9 leaves in Allow")

	request := "MESSAGE sip:bob@" + addrOf(b.caller).String() + " SIP/2.0\r\nVia: SIP/2.0/UDP node7.mark:5060;branch=z9hG4bK7;rport\r\nFrom: <sip:a@b>;tag=1\r\n" +
		"To: <sip:bob@c>\r\nCall-ID: m1\r\nCSeq: 1 MESSAGE\r\nAllow: NODE7.mark\r\nContent-Length: 0\r\n\r\n"
	b.send(b.inside, []byte(request))
	b.expect(b.platform, "SIP/2.0 500")
	b.silence(b.caller)
	b.only("topology.leak NODE7.mark leaves in Allow")
}

// TestHiddenBodies: what a NOTIFY says of dialogs leaves rewritten, an unknown body not at all, and both ways tokens are put right.
func TestHiddenBodies(t *testing.T) {
	b := newHidden(t)
	notify := func(contentType, body, id string) []byte {
		return withBody([]byte("NOTIFY sip:bob@"+addrOf(b.caller).String()+" SIP/2.0\r\nVia: SIP/2.0/UDP 10.77.0.1;branch=z9hG4bK"+id+";rport\r\n"+
			"From: <sip:a@10.77.0.1>;tag=1\r\nTo: <sip:bob@c>\r\nCall-ID: "+id+"\r\nCSeq: 1 NOTIFY\r\nEvent: dialog\r\nContent-Length: 0\r\n\r\n"),
			"Content-Type: "+contentType+"\r\n", body)
	}
	b.send(b.inside, notify("application/dialog-info+xml", `<dialog call-id="id@mark"><target uri="sip:x@10.77.0.1:5099"/></dialog>`, "n1"))
	out := b.clean(b.expect(b.caller, "NOTIFY"))
	_, body, _ := strings.Cut(out, "\r\n\r\n")
	back := strings.Replace(string(newRequest("NOTIFY", 3)), "Content-Length: 0\r\n\r\n",
		fmt.Sprintf("Content-Type: application/dialog-info+xml\r\nContent-Length: %d\r\n\r\n%s", len(body), body), 1)
	b.send(b.outside, []byte(back))
	if got := b.expect(b.platform, "NOTIFY"); !strings.HasSuffix(got, `<dialog call-id="id@mark"><target uri="sip:x@10.77.0.1:5099"/></dialog>`) {
		t.Errorf("%s", got)
	}
	b.reasons()
	b.send(b.inside, notify("application/x-mark", "mark", "n2"))
	if out := b.clean(b.expect(b.caller, "NOTIFY")); strings.Contains(out, "Content-Type") || !strings.HasSuffix(out, "\r\n\r\n") {
		t.Errorf("%s", out)
	}
	b.only("topology.body")
}

// BenchmarkGuard is what looking at an INVITE of the usual size costs.
func BenchmarkGuard(b *testing.B) {
	bench := newGuarded(b, GuardLog, true)
	bench.l.cfg = bench.p.cfg.Load()
	msg := withBody([]byte(refreshed), "Content-Type: application/sdp\r\n", strings.ReplaceAll(inSDP, "10.77", "192.0"))
	x := &edge.Exchange{Msg: &bench.l.msg, From: bench.inside}
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := bench.l.guard(x, msg, knowledge{true, true}); !ok {
			b.Fatal("a leak")
		}
	}
}

const refreshed = "INVITE sip:bob@198.51.100.7:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKabcdefghijklmnop;rport\r\n" +
	"Record-Route: <sip:iaDfPpKZ7-mbnYFq1oAbxSKDPXKO0Fy5GIcUGRMKTKAhtuK2FhCBl6kzS0wGhx1aYUM@203.0.113.5:5060;lr>\r\n" +
	"From: \"Alice\" <sip:alice@example.com>;tag=8a7b6c5d\r\nTo: <sip:bob@example.com>\r\nCall-ID: aDfPpKZ7-mbnYFq1oAbxSKDPXKO0Fy5GIcUGRMKTKAh\r\n" +
	"CSeq: 102 INVITE\r\nMax-Forwards: 69\r\nContact: <sip:aDfPpKZ7-mbnYFq1oAbxSKDPXKO0Fy5GIcUGRMKTKAh@203.0.113.5:5060>\r\n" +
	"Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE\r\nSupported: replaces, timer\r\nContent-Length: 0\r\n\r\n"

// FuzzGuard looks at anything that might leave: nothing panics, and what is blocked is told.
func FuzzGuard(f *testing.F) {
	f.Add(withBody([]byte(refreshed), "Content-Type: application/sdp\r\n", inSDP), true)
	f.Add([]byte(strings.ReplaceAll(refreshed, "203.0.113.5", "10.77.0.1")), false)
	f.Add([]byte(strings.Repeat("10.77.0.1 ", 100)), true)
	b := newGuarded(f, GuardBlock, true)
	b.l.cfg = b.p.cfg.Load()
	f.Fuzz(func(t *testing.T, msg []byte, known bool) {
		b.l.msg = sip.Message{Raw: msg}
		x := &edge.Exchange{Msg: &b.l.msg, From: b.inside}
		_, may := b.l.guard(x, bytes.Clone(msg), knowledge{known, known})
		e, told := b.p.ring.Next()
		if may == told || told && (e.Reason != reasonLeak || !strings.Contains(e.Message, " leaves in ")) {
			t.Fatalf("may leave: %t, told: %t %+v", may, told, e)
		}
	})
}
