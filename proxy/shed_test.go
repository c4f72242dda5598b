package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// TestShed judges each kind of request at each pressure, of each trust class: who begins what, and who is told why not.
func TestShed(t *testing.T) {
	b := newBench(t, nil)
	b.l.cfg = b.p.cfg.Load()
	none, refused := edge.Pass, edge.Reply
	for _, c := range []struct {
		method  string
		trust   edge.Trust
		match   edge.Match
		verdict [4]edge.Action // by pressure
	}{
		{"INVITE", edge.Unknown, edge.MatchNew, [4]edge.Action{none, edge.Drop, edge.Drop, edge.Drop}}, // silence: UDP
		{"REGISTER", edge.Unknown, edge.MatchNew, [4]edge.Action{none, edge.Drop, edge.Drop, edge.Drop}},
		{"OPTIONS", edge.Unknown, edge.MatchNew, [4]edge.Action{none, none, edge.Drop, edge.Drop}}, // answered without state
		{"INVITE", edge.Known, edge.MatchNew, [4]edge.Action{none, none, none, refused}},
		{"INVITE", edge.Peer, edge.MatchNew, [4]edge.Action{none, none, none, refused}},
		{"OPTIONS", edge.Peer, edge.MatchNew, [4]edge.Action{none, none, none, refused}},
		{"INVITE", edge.Unknown, edge.MatchInDialog, [4]edge.Action{}},
		{"INFO", edge.Known, edge.MatchInDialog, [4]edge.Action{}},
		{"ACK", edge.Unknown, edge.MatchNew, [4]edge.Action{}},
		{"BYE", edge.Unknown, edge.MatchNew, [4]edge.Action{}},
		{"CANCEL", edge.Unknown, edge.MatchNew, [4]edge.Action{}},
	} {
		raw := newRequest(c.method, 1)
		if err := b.l.msg.Parse(raw, true); err != nil {
			t.Fatal(err)
		}
		b.l.x = edge.Exchange{Msg: &b.l.msg, From: b.outside, Trust: c.trust, Match: c.match}
		for p, want := range c.verdict {
			b.pressure = edge.Pressure(p)
			if v := b.l.shed(&b.l.x); v.Action != want || want != none && (v.Reason != reasonMemory || v.Status != 503) {
				t.Errorf("%s, trust %d, match %d, %v: %+v", c.method, c.trust, c.match, b.pressure, v)
			}
		}
		b.pressure = edge.Scarce
		b.l.x.From.Transport = edge.TCP
		if v := b.l.shed(&b.l.x); c.trust == edge.Unknown && c.match == edge.MatchNew && v.Action != refused && !spared(&b.l.msg) {
			t.Errorf("%s over TCP: %+v", c.method, v)
		}
	}
}

// spared reports the methods that pass at any pressure.
func spared(m *sip.Message) bool {
	return m.Method == sip.ACK || m.Method == sip.BYE || m.Method == sip.CANCEL
}

// TestShortMemoryEndsNoCall: a call that is being set up is answered, acknowledged and ended while nothing new is begun.
func TestShortMemoryEndsNoCall(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.outside, newRequest("INVITE", 1))
	invite := b.expect(b.platform, "INVITE")
	b.pressure = edge.Drought
	b.send(b.outside, newRequest("INVITE", 1)) // sent again
	b.send(b.inside, replyTo(invite, "180 Ringing"))
	b.expect(b.caller, "SIP/2.0 180")
	b.send(b.outside, newRequest("INVITE", 2))
	b.silence(b.platform)
	b.silence(b.caller)
	b.send(b.inside, replyTo(invite, "200 OK"))
	ok := b.expect(b.caller, "SIP/2.0 200")
	inDialog := func(method string, seq string) {
		m := string(newRequest(method, 1))
		m = strings.Replace(m, "Max-Forwards", "Route: "+field(t, ok, "Record-Route")+"\r\nMax-Forwards", 1)
		m = strings.Replace(m, "To: <sip:echo@example.com>", "To: <sip:echo@example.com>;tag=b", 1)
		m = strings.Replace(m, "branch=z9hG4bK1", "branch=z9hG4bK1"+seq, 1)
		b.send(b.outside, []byte(strings.Replace(m, "CSeq: 1", "CSeq: "+seq, 1)))
		b.expect(b.platform, method)
	}
	inDialog("ACK", "1")
	inDialog("INFO", "2")
	inDialog("BYE", "3")

	b.send(b.outside, newRequest("INVITE", 3))
	b.silence(b.platform)
	b.pressure = edge.Calm
	b.send(b.outside, newRequest("INVITE", 4))
	cancelled := b.expect(b.platform, "INVITE")
	b.send(b.inside, replyTo(cancelled, "180 Ringing"))
	b.expect(b.caller, "SIP/2.0 180")
	b.pressure = edge.Drought
	b.send(b.outside, newRequest("CANCEL", 4))
	b.expect(b.caller, "SIP/2.0 200")
	b.expect(b.platform, "CANCEL")
	b.send(b.inside, newRequest("INVITE", 5)) // the platform is told
	if got := b.expect(b.platform, "SIP/2.0 503"); !strings.Contains(got, "Retry-After: ") {
		t.Error(got)
	}
}

// TestFullShare: when strangers have used their share up, one of them can still end a call, and a registered phone come back over another
// connection; who else comes over a stream is told 503.
func TestFullShare(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Transactions.Max, c.Transactions.Untrusted = 64, 2 })
	b.send(b.outside, newRequest("INVITE", 1))
	invite := b.expect(b.platform, "INVITE")
	b.send(b.inside, replyTo(invite, "200 OK"))
	ok := b.expect(b.caller, "SIP/2.0 200")
	b.send(b.outside, newRequest("REGISTER", 2))
	b.expect(b.platform, "REGISTER")
	b.send(b.outside, newRequest("REGISTER", 3)) // one too many
	b.silence(b.platform)

	bye := strings.Replace(string(newRequest("BYE", 1)), "Max-Forwards", "Route: "+field(t, ok, "Record-Route")+"\r\nMax-Forwards", 1)
	bye = strings.Replace(strings.Replace(bye, "bK1", "bK11", 1), "To: <sip:echo@example.com>", "To: <sip:echo@example.com>;tag=b", 1)
	b.send(b.outside, []byte(bye))
	b.expect(b.platform, "BYE")

	b.l.x = edge.Exchange{Msg: &b.l.msg, From: b.outside, At: b.now}
	x := &b.l.x
	phone := binding.Binding{AOR: "sip:alice@example.com", Contact: "sip:alice@192.168.1.9", Flow: b.outside, Expires: b.now.Add(time.Hour)}
	for _, c := range []struct {
		transport edge.Transport
		known     bool
		want      bool
	}{
		{edge.TCP, false, false}, {edge.UDP, false, false}, {edge.TCP, true, true}, {edge.TLS, true, true}, {edge.UDP, true, false},
	} {
		if c.known {
			phone.ID = b.p.bindings.ID([]byte(phone.AOR), nil, nil, []byte(phone.Contact))
			if err := b.p.bindings.Put(phone, b.now); err != nil {
				t.Fatal(err)
			}
		}
		x.From.Transport = c.transport
		if got := b.l.reserved(x); got != c.want {
			t.Errorf("%v, known %v: %v", c.transport, c.known, got)
		}
	}
}
