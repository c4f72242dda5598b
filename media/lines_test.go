package media

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/sdp"
	"github.com/ringwall/ringwall/sip"
)

// iced is p's description with credentials of ICE.
func (p *phone) iced(ufrag string) []byte {
	return append(p.sdp("sendrecv"), "a=ice-ufrag:"+ufrag+"\r\na=ice-pwd:0123456789012345678901\r\na=rtcp-mux\r\n"...)
}

// offered is what becomes of a re-INVITE or UPDATE of one end, and of its answer; both are accepted.
func (k *talk) offered(key uint64, from End, offer, answer []byte) (asked, answered []byte) {
	k.t.Helper()
	asked, err := k.calls.Request(nil, &Message{At: k.clock.Now(), Key: key, Dialog: theDialog, Method: sip.INVITE, From: from, Parties: k.parties, SDP: offer})
	if err != nil {
		k.t.Fatal(err)
	}
	answered, err = k.calls.Response(nil, &Message{At: k.clock.Now(), Key: key, Dialog: theDialog, Method: sip.INVITE, Status: 200, Replier: k.parties[from.Other()], SDP: answer})
	if err != nil {
		k.t.Fatal(err)
	}
	k.calls.Over(key, 200)
	return asked, answered
}

// credentials are those in a description, "" if there are none.
func credentials(t *testing.T, description []byte) (ufrag, pwd string) {
	t.Helper()
	var s sdp.Session
	if err := s.Parse(description); err != nil {
		t.Fatal(err)
	}
	return string(s.Media[0].Ufrag), string(s.Media[0].Pwd)
}

// TestICEStays: who does ICE finds it in offers of the other end, too, which has none.
func TestICEStays(t *testing.T) {
	k := newTalk(t, nil)
	_, answer := k.offered(300, Caller, k.near.iced("near"), k.far.sdp("sendrecv"))
	first, _ := credentials(t, answer)
	offer, answer := k.offered(301, Callee, k.far.sdp("sendonly"), k.near.iced("near"))
	if again, _ := credentials(t, offer); first == "" || again != first {
		t.Errorf("the phone sees the credentials %q, then %q", first, again)
	}
	if ufrag, _ := credentials(t, answer); ufrag != "" || bytes.Contains(answer, []byte("candidate")) {
		t.Errorf("the platform, which does no ICE, gets\n%s", answer)
	}
}

// TestBrowserOverIPv6: a browser that knows no address yet writes 0.0.0.0, and gets a port of the version of IP that it signals by; it keeps that
// whatever address it writes later.
func TestBrowserOverIPv6(t *testing.T) {
	k := newTalk(t, nil)
	six := netip.IPv6Loopback()
	k.parties[Caller].Flow.Remote = netip.AddrPortFrom(six, 5060)
	unknown := bytes.Replace(k.near.iced("near"), []byte("c=IN IP4 "+phoneAddr.String()), []byte("c=IN IP4 0.0.0.0"), 1)
	_, answer := k.offered(320, Caller, append(unknown, "m=video 9 RTP/AVP 96\r\n"...), append(k.far.sdp("sendrecv"), "m=video 9 RTP/AVP 96\r\n"...))
	var s sdp.Session
	if err := s.Parse(answer); err != nil || !s.Media[0].Addr.Is6() || !s.Media[1].Addr.Is6() {
		t.Fatalf("%v in\n%s", err, answer)
	}
	_, again := k.offered(321, Caller, k.near.iced("near"), k.far.sdp("sendrecv"))
	if was, is := named(t, answer), named(t, again); was != is {
		t.Errorf("our port was %v and is %v", was, is)
	}
}

// TestICERestart: new credentials in an offer are answered by new ones of ours. Media flows on by the checks of before until there are new ones, and if the
// offer is refused for as long as the call lasts.
func TestICERestart(t *testing.T) {
	k := newTalk(t, nil)
	_, answer := k.offered(330, Caller, k.near.iced("first"), k.far.sdp("sendrecv"))
	s := k.stream()
	check := func(p *phone, answer []byte) (ufrag string) {
		t.Helper()
		ufrag, pwd := credentials(t, answer)
		p.send(s.Port(Caller), checker{username: ufrag + ":theirs", password: pwd, nominate: true}.request())
		if b, _ := p.read(); !isSTUN(b) {
			t.Fatalf("the answer to a check is %q", b)
		}
		return ufrag
	}
	flows := func(p *phone) {
		t.Helper()
		p.talk(s.Port(Caller), "in")
		k.far.hears(s.Port(Callee), "in")
		k.far.talk(s.Port(Callee), "out")
		p.hears(s.Port(Caller), "out")
	}
	first := check(k.near, answer)
	flows(k.near)
	for range 2 {
		k.key += 10
		k.asks(k.key, theDialog, sip.INVITE, Caller, k.near.iced("refused"))
		k.calls.Over(k.key, 491)
		flows(k.near)
		check(k.near, answer)
	}
	moved := newPhone(t, stranger)
	_, renewed := k.offered(331, Caller, moved.iced("second"), k.far.sdp("sendrecv"))
	flows(k.near)
	if second := check(moved, renewed); second == first {
		t.Error("the answer to a restart has the credentials of before")
	}
	flows(moved)
	before := seen(s.Stats(Caller))
	k.near.talk(s.Port(Caller), "from the old place")
	settled(t, s, Caller, before+1)
	k.far.deaf()
	_, same := k.offered(332, Caller, moved.iced("second"), k.far.sdp("sendrecv"))
	if was, _ := credentials(t, renewed); check(moved, same) != was {
		t.Error("an offer that restarts nothing is answered with other credentials")
	}
	flows(moved)
}

// TestDataChannel: what is no RTP does ICE, too: its checks are answered, and all else passes of who checked.
func TestDataChannel(t *testing.T) {
	k := newTalk(t, nil)
	channel := func(p *phone) []byte {
		return bytes.Replace(p.iced("near"), []byte("m=audio "), []byte("m=application "), 1)
	}
	_, answer := k.offered(310, Caller, bytes.Replace(channel(k.near), []byte("RTP/AVP 0"), []byte("UDP/DTLS/SCTP webrtc-datachannel"), 1),
		bytes.Replace(channel(k.far), []byte("RTP/AVP 0"), []byte("UDP/DTLS/SCTP webrtc-datachannel"), 1))
	ufrag, pwd := credentials(t, answer)
	s := k.stream()
	k.near.send(s.Port(Caller), []byte("unchecked"))
	settled(t, s, Caller, 1)
	k.near.send(s.Port(Caller), checker{username: ufrag + ":near", password: pwd}.request())
	if b, _ := k.near.read(); !isSTUN(b) {
		t.Fatalf("the answer to a check is %q", b)
	}
	k.near.send(s.Port(Caller), []byte("anything"))
	settled(t, s, Caller, 2)
	if st := s.Stats(Caller); st.Packets != 1 || st.Refused[RefusedSource] != 1 {
		t.Errorf("%+v", st)
	}
}

// TestOffersNeverAnswered: a caller who asks for offers in a call again and again, and answers none, fills no memory and no ports.
func TestOffersNeverAnswered(t *testing.T) {
	k := newTalk(t, nil)
	for i := range uint64(100) {
		k.asks(2000+i, theDialog, sip.INVITE, Caller, nil)
		offer := append(k.far.sdp("sendrecv"), "m=video 4000 RTP/AVP 96\r\n"...)
		_, err := k.calls.Response(nil, &Message{At: k.clock.Now(), Key: 2000 + i, Dialog: theDialog, Method: sip.INVITE, Status: 200, Replier: k.parties[Callee], SDP: offer})
		if err != nil {
			t.Fatal(i, err)
		}
		k.calls.Over(2000+i, 200)
	}
	l := k.calls.list()[0].anchor.(*lines)
	if len(l.pending) > mostExchanges || len(l.open) > 3 {
		t.Errorf("%d offers wait and %d streams are open", len(l.pending), len(l.open))
	}
	k.near.talk(l.all[0].stream.Port(Caller), "still there")
	k.far.hears(l.all[0].stream.Port(Callee), "still there")
}

// TestOtherVersionOfIP: row F24. An end that moves to the other version of IP gets a port of that version, whoever offers; the call goes on, and a refusal changes nothing.
func TestOtherVersionOfIP(t *testing.T) {
	six := netip.IPv6Loopback()
	for _, by := range []End{Caller, Callee} {
		k := newTalk(t, nil)
		was := k.stream().Port(Callee)
		moved := newPhone(t, six)
		k.parties[Caller].Flow.Remote, k.parties[Caller].Proven = netip.AddrPortFrom(six, 5060), true
		describe := []byte(strings.ReplaceAll(string(moved.sdp("sendrecv")), "IN IP4", "IN IP6"))
		offer, answer := describe, k.far.sdp("sendrecv")
		if by == Callee {
			offer, answer = answer, offer
		}
		k.asks(401, theDialog, sip.INVITE, by, offer)
		k.calls.Over(401, 488)
		if k.stream().Port(Callee) != was {
			t.Errorf("a refused move changed our port to %v", k.stream().Port(Callee))
		}
		asked, answered := k.offered(402, by, offer, answer)
		to, from := named(t, answered), named(t, asked)
		if by == Callee {
			to, from = from, to
		}
		if !to.Addr().Is6() || from.Addr().Is6() {
			t.Fatalf("moved by %d: our ports are %v and %v", by, to, from)
		}
		k.far.talk(from, "to the new place")
		moved.hears(to, "to the new place")
		moved.talk(to, "from the new place")
		k.far.hears(from, "from the new place")
	}
}
