package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// dial calls number with an offer of body and returns the 200.
func (ph *phone) dial(l *leg, body string) string {
	ph.t.Helper()
	ok := ph.ask("INVITE", l, body)
	if !strings.HasPrefix(ok, "SIP/2.0 200") {
		ph.t.Fatalf("INVITE %s:\n%s", l.uri, ok)
	}
	l.establish(ok)
	ph.send("ACK", l, "")
	return ok
}

// establish takes To tag and remote target from a reply.
func (l *leg) establish(m string) {
	l.to = field(m, "To")
	l.uri = strings.Trim(field(m, "Contact"), "<>")
}

func TestEcho(t *testing.T) {
	p := startPlatform(t, nil)
	for _, network := range []string{"udp", "tcp"} {
		for _, codec := range []int{pcmu, pcma} {
			t.Run(network+map[int]string{pcmu: " PCMU", pcma: " PCMA"}[codec], func(t *testing.T) {
				ph, audio := newPhone(t, p, "alice", network), rtpPort(t)
				l := ph.newLeg("600")
				formats := map[int]string{pcmu: "96 0 8 101", pcma: "8 0"}[codec]
				ok := ph.dial(l, sdp(audio, formats, "a=rtpmap:96 opus/48000/2\r\nm=video 4000 RTP/AVP 99\r\n"))
				if body := bodyOf(ok); !strings.Contains(body, "m=video 0 RTP/AVP 99\r\n") {
					t.Errorf("video is not refused:\n%s", body)
				}
				checkEcho(t, p, ph, l, ok, codec)
			})
		}
	}
}

func checkEcho(t *testing.T, p *Platform, ph *phone, l *leg, ok string, codec int) {
	t.Helper()
	audio := rtpPort(t)
	to := mediaAddr(t, bodyOf(ok))
	for seq := range byte(5) {
		sent := rtp(codec, seq)
		if _, err := audio.WriteToUDPAddrPort(sent, to); err != nil {
			t.Fatal(err)
		}
		got := getRTP(t, audio)
		if !bytes.Equal(got[:8], sent[:8]) || !bytes.Equal(got[rtpHeader:], sent[rtpHeader:]) {
			t.Errorf("packet %d comes back as\n%x, sent\n%x", seq, got, sent)
		}
		if bytes.Equal(got[8:12], sent[8:12]) {
			t.Error("echo has the phone's own SSRC")
		}
	}
	ph.send("BYE", l, "")
	ph.want("SIP/2.0 200 OK")
	p.sync(func() {
		if len(p.calls) != 0 {
			t.Errorf("%d calls after BYE", len(p.calls))
		}
	})
}

// sync runs f where the platform's state is owned.
func (p *Platform) sync(f func()) {
	done := make(chan struct{})
	p.post(func() { f(); close(done) })
	<-done
}

func TestDelayedOffer(t *testing.T) {
	p := startPlatform(t, nil)
	ph, audio := newPhone(t, p, "bob", "udp"), rtpPort(t)
	l := ph.newLeg("600")
	ok := ph.ask("INVITE", l, "")
	if !strings.Contains(bodyOf(ok), "RTP/AVP 0 8\r\n") {
		t.Fatalf("no offer of both codecs:\n%s", ok)
	}
	l.establish(ok)
	ph.send("UPDATE", l, sdp(audio, "0", ""))
	ph.want("SIP/2.0 491")
	l.cseq--
	ph.send("ACK", l, sdp(audio, "8", ""))
	l.cseq++
	ph.send("INFO", l, "") // the ACK was taken in before this is answered
	ph.want("SIP/2.0 200")
	checkEcho(t, p, ph, l, ok, pcma)
}

func TestDelayedOfferWithoutAnswer(t *testing.T) {
	p := startPlatform(t, nil)
	ph := newPhone(t, p, "bob", "udp")
	l := ph.newLeg("601")
	l.establish(ph.ask("INVITE", l, ""))
	ph.send("ACK", l, "")
	ph.reply(ph.want("BYE "), "200 OK", "")
}

func TestTone(t *testing.T) {
	p := startPlatform(t, nil)
	for _, codec := range []string{"0", "8"} {
		ph, audio := newPhone(t, p, "alice", "udp"), rtpPort(t)
		l := ph.newLeg("601")
		ok := ph.dial(l, sdp(audio, codec, "a=recvonly\r\n"))
		if !strings.Contains(bodyOf(ok), "a=sendonly\r\n") {
			t.Errorf("answer to recvonly:\n%s", ok)
		}
		var samples []int
		var last uint16
		for i := range 50 { // the loopback and private rule: it comes unasked
			b := getRTP(t, audio)
			if seq := uint16(b[2])<<8 | uint16(b[3]); i > 0 && seq != last+1 {
				t.Fatalf("sequence number %d after %d", seq, last)
			} else {
				last = seq
			}
			for _, c := range b[rtpHeader:] {
				samples = append(samples, decode(c, codec == "8"))
			}
		}
		if got := crossings(samples); got < 435 || got > 445 {
			t.Errorf("codec %s: %d Hz", codec, got)
		}
		ph.send("BYE", l, "")
		ph.want("SIP/2.0 200")
	}
}

// crossings counts how often one second of samples goes from below to above zero.
func crossings(samples []int) (n int) {
	for i := 1; i < len(samples); i++ {
		if samples[i-1] < 0 && samples[i] >= 0 {
			n++
		}
	}
	return n
}

func TestHold(t *testing.T) {
	p := startPlatform(t, nil)
	ph, audio := newPhone(t, p, "alice", "udp"), rtpPort(t)
	l := ph.newLeg("600")
	first := ph.dial(l, sdp(audio, "0", ""))
	tests := []struct{ method, direction, want string }{
		{"INVITE", "a=sendonly\r\n", "a=recvonly\r\n"},
		{"UPDATE", "a=inactive\r\n", "a=inactive\r\n"},
		{"INVITE", "c=IN IP4 0.0.0.0\r\n", "a=recvonly\r\n"},
		{"UPDATE", "a=sendrecv\r\n", "a=sendrecv\r\n"},
	}
	version := sdpVersion(first)
	for _, tt := range tests {
		ph.send(tt.method, l, sdp(audio, "0", tt.direction))
		ok := ph.want("SIP/2.0 200")
		if !strings.Contains(ok, tt.want) {
			t.Errorf("%s %q:\n%s", tt.method, tt.direction, ok)
		}
		if v := sdpVersion(ok); v == version {
			t.Errorf("session version is still %s", v)
		} else {
			version = v
		}
		if mediaAddr(t, bodyOf(ok)) != mediaAddr(t, bodyOf(first)) {
			t.Error("media moved")
		}
		if tt.method == "INVITE" {
			ph.send("ACK", l, "")
		}
	}
	ph.send("UPDATE", l, "")
	if ok := ph.want("SIP/2.0 200"); bodyOf(ok) != "" {
		t.Errorf("UPDATE without offer:\n%s", ok)
	}
	checkEcho(t, p, ph, l, first, pcmu)
}

func sdpVersion(m string) string {
	_, o, _ := strings.Cut(bodyOf(m), "o=- ")
	f := strings.Fields(o)
	return f[1]
}

func TestWithinCall(t *testing.T) {
	p := startPlatform(t, nil)
	ph, audio := newPhone(t, p, "alice", "udp"), rtpPort(t)
	l := ph.newLeg("600")
	ph.dial(l, sdp(audio, "0", ""))
	for _, tt := range []struct{ method, extra, body, want string }{
		{"INFO", "", "", "200"},
		{"OPTIONS", "", "", "200"},
		{"PRACK", "RAck: 1 1 INVITE\n", "", "481"},
		{"REFER", "Refer-To: <sip:601@127.0.0.1>\n", "", "405"},
		{"UPDATE", "Require: 100rel\n", "", "420"},
		{"UPDATE", "", "not SDP", "400"},
		{"UPDATE", "", sdp(audio, "3", ""), "488"},
	} {
		l.extra = tt.extra
		ph.send(tt.method, l, tt.body)
		ph.want("SIP/2.0 " + tt.want)
	}
	l.extra = ""
	l.cseq -= 4
	ph.send("INFO", l, "")
	ph.want("SIP/2.0 500")
	l.cseq += 10
	foreign := *l
	foreign.to += "x"
	ph.send("BYE", &foreign, "")
	ph.want("SIP/2.0 481")
	ph.send("BYE", l, "")
	ph.want("SIP/2.0 200")
}

func TestRefusedCalls(t *testing.T) {
	p := startPlatform(t, nil)
	ph, audio := newPhone(t, p, "alice", "udp"), rtpPort(t)
	for _, tt := range []struct{ name, method, number, extra, body, want string }{
		{"busy", "INVITE", "602", "", sdp(audio, "0", ""), "486"},
		{"no such number", "INVITE", "699", "", sdp(audio, "0", ""), "404"},
		{"not registered", "INVITE", "bob", "", sdp(audio, "0", ""), "480"},
		{"unknown codec", "INVITE", "600", "", sdp(audio, "3 97", ""), "488"},
		{"secure media", "INVITE", "600", "", strings.Replace(sdp(audio, "0", ""), "RTP/AVP", "RTP/SAVP", 1), "488"},
		{"multicast", "INVITE", "600", "", strings.Replace(sdp(audio, "0", ""), "c=IN IP4 127.0.0.1", "c=IN IP4 224.0.0.9", 1), "488"},
		{"not SDP", "INVITE", "600", "", "hello", "400"},
		{"Require", "INVITE", "600", "Require: 100rel, timer\n", sdp(audio, "0", ""), "420"},
		{"Proxy-Require", "INVITE", "bob", "Proxy-Require: foo\n", "", "420"},
		{"foreign Route", "INVITE", "600", "Route: <sip:127.0.0.1:9;lr>\n", "", "403"},
		{"SUBSCRIBE", "SUBSCRIBE", "bob", "Event: presence\n", "", "489"},
		{"PUBLISH", "PUBLISH", "alice", "Event: presence\n", "", "489"},
		{"MESSAGE to nobody", "MESSAGE", "bob", "", "", "480"},
		{"MESSAGE to an extension", "MESSAGE", "600", "", "", "405"},
		{"unknown method", "DANCE", "600", "", "", "405"},
		{"NOTIFY", "NOTIFY", "alice", "Event: presence\n", "", "481"},
		{"BYE", "BYE", "600", "", "", "481"},
		{"OPTIONS", "OPTIONS", "600", "", "", "200"},
		{"CANCEL", "CANCEL", "600", "", "", "481"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := ph.newLeg(tt.number)
			l.extra = tt.extra
			if tt.method == "CANCEL" {
				l.cseq, l.branch = 1, "z9hG4bK-none"
			}
			m := ph.ask(tt.method, l, tt.body)
			if !strings.HasPrefix(m, "SIP/2.0 "+tt.want) {
				t.Fatalf("want %s, got\n%s", tt.want, m)
			}
			if tt.want == "420" && field(m, "Unsupported") != strings.TrimSpace(strings.SplitN(tt.extra, ":", 2)[1]) {
				t.Errorf("Unsupported:\n%s", m)
			}
			if tt.method == "INVITE" {
				l.to = field(m, "To")
				ph.resend("ACK", l, "")
			}
		})
	}
}

func TestOwnRouteIsRemoved(t *testing.T) {
	p := startPlatform(t, nil)
	ph, audio := newPhone(t, p, "alice", "udp"), rtpPort(t)
	l := ph.newLeg("600") // an outbound proxy setting
	l.extra = "Route: <sip:" + p.Addr().String() + ";lr>\n"
	checkEcho(t, p, ph, l, ph.dial(l, sdp(audio, "0", "")), pcmu)
}

func TestNeverAnswersAndCancel(t *testing.T) {
	p := startPlatform(t, func(c *timing) { c.ringAgain = 20 * time.Millisecond })
	ph := newPhone(t, p, "alice", "udp")
	l := ph.newLeg("603")
	l.extra = "Record-Route: <sip:127.0.0.1:9;lr>\n"
	ringing := ph.ask("INVITE", l, "")
	if !strings.HasPrefix(ringing, "SIP/2.0 180") || field(ringing, "Record-Route") != "<sip:127.0.0.1:9;lr>" {
		t.Fatalf("got\n%s", ringing)
	}
	if again := ph.get(); again != ringing {
		t.Errorf("instead of 180 again:\n%s", again)
	}
	l.extra = ""
	ph.send("CANCEL", l, "")
	m := ph.want("SIP/2.0")
	n := ph.want("SIP/2.0")
	for status, method := range map[string]string{"200": "CANCEL", "487": "INVITE"} {
		if !strings.Contains(m+n, "SIP/2.0 "+status) || !strings.Contains(m+n, method) {
			t.Errorf("no %s to %s in\n%s\n%s", status, method, m, n)
		}
	}
	l.to = field(ringing, "To")
	ph.resend("ACK", l, "")
	p.sync(func() {
		if p.ringing != 0 {
			t.Errorf("%d calls still ring", p.ringing)
		}
	})
}

func TestNeverAnswersForTooLong(t *testing.T) {
	p := startPlatform(t, func(c *timing) { c.ring = 30 * time.Millisecond })
	ph := newPhone(t, p, "alice", "tcp")
	l := ph.newLeg("603")
	ph.ask("INVITE", l, "")
	ph.want("SIP/2.0 480")
}

func TestRefusalIsRepeatedUntilACK(t *testing.T) {
	p := startPlatform(t, func(c *timing) { c.t1 = 10 * time.Millisecond })
	ph := newPhone(t, p, "alice", "udp")
	l := ph.newLeg("602")
	busy := ph.ask("INVITE", l, "")
	for range 2 {
		if m := ph.get(); m != busy {
			t.Fatalf("instead of 486 again:\n%s", m)
		}
	}
	l.to = field(busy, "To")
	ph.resend("ACK", l, "")
	ph.send("OPTIONS", ph.newLeg("600"), "")
	ph.want("SIP/2.0 200") // the ACK was taken in before
	p.sync(func() {
		for _, st := range p.servers {
			if st.status == 486 && st.resend != nil && st.resend.index >= 0 {
				t.Error("486 is still repeated after ACK")
			}
		}
	})
}

func TestRetransmittedRequestsGetTheSameReply(t *testing.T) {
	p := startPlatform(t, nil)
	ph, audio := newPhone(t, p, "alice", "udp"), rtpPort(t)
	l := ph.newLeg("600")
	ph.dial(l, sdp(audio, "0", ""))
	ph.send("BYE", l, "")
	bye := ph.want("SIP/2.0 200")
	for range 3 {
		ph.resend("BYE", l, "")
		if m := ph.get(); m != bye {
			t.Errorf("retransmitted BYE:\n%s", m)
		}
	}
}

func TestAnswerIsRepeatedUntilACKAndThenGivenUp(t *testing.T) {
	p := startPlatform(t, func(c *timing) { c.t1, c.t2 = 5*time.Millisecond, 20*time.Millisecond })
	ph, audio := newPhone(t, p, "alice", "udp"), rtpPort(t)
	l := ph.newLeg("600")
	ok := ph.ask("INVITE", l, sdp(audio, "0", ""))
	ph.resend("INVITE", l, sdp(audio, "0", "")) // absorbed: the call repeats its 200 by itself
	n := 0
	for {
		m := ph.get()
		if strings.HasPrefix(m, "BYE ") {
			if !strings.HasPrefix(m, "BYE "+strings.Trim(ph.contact(), "<>")) || field(m, "To") != "<sip:alice@demo>;tag=from-alice" ||
				field(m, "From") != field(ok, "To") {
				t.Errorf("BYE:\n%s", m)
			}
			ph.reply(m, "200 OK", "")
			break
		}
		if m != ok {
			t.Fatalf("instead of 200 again:\n%s", m)
		}
		n++
	}
	if n < 5 {
		t.Errorf("200 repeated %d times", n)
	}
}

func TestCallEndsAtItsLimit(t *testing.T) {
	p := startPlatform(t, func(c *timing) { c.call = 50 * time.Millisecond })
	ph, audio := newPhone(t, p, "alice", "tcp"), rtpPort(t)
	edge := newPhone(t, p, "edge", "udp")
	l := ph.newLeg("600")
	l.extra = "Record-Route: <sip:token@" + edge.local() + ";lr>, <sip:far@192.0.2.1;lr>\n"
	ph.dial(l, sdp(audio, "0", ""))
	bye := edge.want("BYE ")
	if field(bye, "Route") != "<sip:token@"+edge.local()+";lr>, <sip:far@192.0.2.1;lr>" {
		t.Errorf("route set:\n%s", bye)
	}
	edge.reply(bye, "481 Gone", "")
}

func TestCallsAreBounded(t *testing.T) {
	p := startPlatform(t, nil)
	ph, audio := newPhone(t, p, "alice", "tcp"), rtpPort(t)
	for range maxMediaCalls {
		ph.dial(ph.newLeg("601"), sdp(audio, "0", ""))
	}
	if m := ph.ask("INVITE", ph.newLeg("600"), sdp(audio, "0", "")); !strings.HasPrefix(m, "SIP/2.0 486") {
		t.Errorf("one call too many:\n%s", m)
	}
	for range maxRinging {
		ph.ask("INVITE", ph.newLeg("603"), "")
	}
	if m := ph.ask("INVITE", ph.newLeg("603"), ""); !strings.HasPrefix(m, "SIP/2.0 486") {
		t.Errorf("one ringing too many:\n%s", m)
	}
}

func TestMergedRequest(t *testing.T) {
	p := startPlatform(t, nil)
	ph, audio := newPhone(t, p, "alice", "tcp"), rtpPort(t)
	l := ph.newLeg("600")
	ph.dial(l, sdp(audio, "0", ""))
	copied := ph.newLeg("600")
	copied.callID, copied.cseq = l.callID, l.cseq-2
	if m := ph.ask("INVITE", copied, sdp(audio, "0", "")); !strings.HasPrefix(m, "SIP/2.0 482") {
		t.Errorf("got\n%s", m)
	}
}
