package sdp

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

var (
	four = netip.MustParseAddr("203.0.113.5")
	six  = netip.MustParseAddr("2001:db8:1::5")
)

// plain is a plan of n lines: 203.0.113.5, ports from 30000 on in pairs.
func plain(n int) *Plan {
	p := &Plan{ID: 77, Version: 3, Addr: four}
	for i := range n {
		p.Media = append(p.Media, MediaPlan{Addr: four, Port: uint16(30000 + 2*i), RTCP: uint16(30001 + 2*i)})
	}
	return p
}

// rewritten is text by a plain plan.
func rewritten(t *testing.T, text string) string {
	t.Helper()
	s := parse(t, text)
	out, err := s.Rewrite(nil, plain(len(s.Media)))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// newHead is the session part of what a plain plan writes.
const newHead = "v=0\r\no=- 77 3 IN IP4 203.0.113.5\r\ns=-\r\nc=IN IP4 203.0.113.5\r\nt=0 0\r\n"

func TestRewrite(t *testing.T) {
	want := newHead + strings.Replace(audio[len(head):], "40000", "30000", 1)
	if got := rewritten(t, audio); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSessionLines: what a session says of itself is written anew, and what its writer tells of himself is gone.
func TestSessionLines(t *testing.T) {
	text := "v=0\r\no=pbx 3948572 3948573 IN IP4 pbx.inside.example\r\ns=call of alice\r\ni=secret\r\nu=http://pbx.inside.example\r\n" +
		"e=a@inside.example\r\np=+1\r\nc=IN IP4 10.0.0.7\r\nb=AS:64\r\nb=X-YZ:1\r\nt=3948572 0\r\nr=7d 1h 0\r\nz=0 0\r\nk=clear:x\r\n" +
		"a=tool:PBX 1.2\r\na=recvonly\r\nm=audio 4000 RTP/AVP 0\r\ni=secret\r\nk=prompt\r\nb=TIAS:64000\r\n"
	want := "v=0\r\no=- 77 3 IN IP4 203.0.113.5\r\ns=-\r\nc=IN IP4 203.0.113.5\r\nb=AS:64\r\nt=0 0\r\na=recvonly\r\nm=audio 30000 RTP/AVP 0\r\nb=TIAS:64000\r\n"
	if got := rewritten(t, text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestOrder: lines of one level in another order, and missing s= and t=, come out as RFC 8866 has them.
func TestOrder(t *testing.T) {
	text := "v=0\r\na=sendonly\r\nb=AS:64\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\na=ptime:20\r\nb=RR:0\r\nc=IN IP4 192.0.2.1\r\n"
	want := strings.Replace(newHead, "t=0", "b=AS:64\r\nt=0", 1) + "a=sendonly\r\nm=audio 30000 RTP/AVP 0\r\nb=RR:0\r\na=ptime:20\r\n"
	if got := rewritten(t, text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestAttributes: which a= lines of a media line pass. "" is gone.
func TestAttributes(t *testing.T) {
	same := "\x00"
	for in, want := range map[string]string{
		"a=rtpmap:0 PCMU/8000":                      same,
		"a=fmtp:101 0-15;x=\"y\"  z":                same,
		"a=T38FaxUdpEC:t38UDPRedundancy":            same,
		"a=foo":                                     same,
		"a=foo:bär":                                 same,
		"a=X-vendor:1.2.3":                          same,
		"a=foo:1.2.3.4":                             "",
		"a=foo:x 10.0.0.1 5000":                     "",
		"a=foo:sip:10.0.0.1:5060":                   "",
		"a=foo:[2001:db8::7]:5060":                  "",
		"a=foo:2001:db8::7":                         "",
		"a=foo:bar\xff":                             "",
		"a=foo:bar\xc2\x85a=rtcp:9":                 "",
		"a=foo:bar\u2028a=rtcp:9":                   "",
		"a=foo bar:1":                               "",
		"a=foo/bar":                                 "",
		"a=alt:1 1 : a b 10.0.0.1 5000":             "",
		"a=source-filter: incl IN IP4 * 10.0.0.1":   "",
		"a=rtcp:5001":                               "",
		"a=rtcp:5001 IN IP4 10.0.0.1":               "",
		"a=candidate:1 1 UDP 1 10.0.0.1 9 typ host": "",
		"a=CANDIDATE:1 1 UDP 1 10.0.0.1 9 typ host": "",
		"a=end-of-candidates":                       "",
		"a=ice-options:trickle":                     "",
		"a=remote-candidates:1 10.0.0.1 9":          "",
		"a=rtcp-mux":                                same,
		"a=RTCP-Mux":                                "a=rtcp-mux",
		"a=SendOnly ":                               "a=sendonly",
		"a=RtpMap:0 PCMU/8000":                      "a=rtpmap:0 PCMU/8000",
		"a=mid:0":                                   same,
		"a=setup:actpass":                           same,
		"a=fingerprint:sha-256 AB:CD:EF":            same,
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4": same,
		"a=bundle-only":    "",
		"a=group:BUNDLE 0": "",
		"a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 x": same,
		"a=acap:1 candidate:1 1 UDP 1 192.0.2.1 9":    "",
		"a=acap:1 rtcp:9 IN IP4 192.0.2.1":            "",
		"a=acap:1 x:192.0.2.1":                        "",
		"a=ccap:1 IN IP4 192.0.2.1":                   "",
		"a=tcap:1 RTP/SAVP":                           same,
		"a=pcfg:1 t=1 a=1":                            same,
		"a=ssrc:1 cname:user@host.example":            same,
		"a=ssrc:1 cname:user@192.0.2.1":               "",
		"a=label:192.0.2.1":                           "",
		"a=fmtp:97 version=1.2.3.4":                   same,
		"a=acap:1 ssrc:1 cname:user@192.0.2.1":        "",
		"a=path:msrp://host.example:7654/x;tcp":       "",
		"a=nortpproxy:yes":                            "",
		"a=ice-lite":                                  "",
	} {
		if want == same {
			want = in
		}
		if want != "" {
			want += "\r\n"
		}
		if got := rewritten(t, one(in))[len(newHead+"m=audio 30000 RTP/AVP 0\r\n"):]; got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// TestLines: several media lines of all kinds, each with a plan of its own.
func TestLines(t *testing.T) {
	text := head + "a=group:BUNDLE 0 1\r\na=group:LS 0 1\r\nm=audio 4000 RTP/AVP 0\r\na=mid:0\r\nm=video 0 RTP/AVP 31\r\na=mid:1\r\na=bundle-only\r\n" +
		"m=message 7654 TCP/MSRP *\r\na=path:msrp://192.0.2.1:7654/x;tcp\r\na=accept-types:text/plain\r\nm=image 4010 udptl t38\r\na=T38FaxVersion:0\r\n" +
		"m=video 4020/2 RTP/AVP 31\r\nm=audio 4030 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\nm=x 4040 y z\r\n"
	plan := plain(6) // none for the last
	plan.Media[3] = MediaPlan{Addr: six, Port: 31000, RTCP: 31001}
	want := newHead + "a=group:LS 0 1\r\nm=audio 30000 RTP/AVP 0\r\na=mid:0\r\nm=video 0 RTP/AVP 31\r\na=mid:1\r\n" +
		"m=message 0 TCP/MSRP *\r\nm=image 31000 udptl t38\r\nc=IN IP6 2001:db8:1::5\r\na=T38FaxVersion:0\r\n" +
		"m=video 0 RTP/AVP 31\r\nm=audio 30010 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\nm=x 0 y z\r\n"
	s := parse(t, text)
	if got, err := s.Rewrite(nil, plan); err != nil || string(got) != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
	if s.Media[0].Bundle != 0 || s.Media[1].Bundle != 0 || s.Media[2].Bundle != -1 {
		t.Error("BUNDLE group not found")
	}
	plan.Bundle = true
	want = strings.Replace(want, "a=group:LS", "a=group:BUNDLE 0 1\r\na=group:LS", 1)
	want = strings.Replace(want, "a=mid:1\r\n", "a=mid:1\r\na=bundle-only\r\n", 1)
	if got, err := s.Rewrite(nil, plan); err != nil || string(got) != want {
		t.Errorf("%v, with bundle got\n%s\nwant\n%s", err, got, want)
	}
}

// TestFamilies: a description of one family leaves as one of the other, hold included.
func TestFamilies(t *testing.T) {
	plan := &Plan{ID: 1, Version: 1, Addr: six, Media: []MediaPlan{{Addr: six, Port: 30000, RTCP: 30001}}}
	s := parse(t, one("c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0"))
	want := "v=0\r\no=- 1 1 IN IP6 2001:db8:1::5\r\ns=-\r\nc=IN IP6 2001:db8:1::5\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0\r\nc=IN IP6 ::\r\n"
	if got, err := s.Rewrite(nil, plan); err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

// TestICE: candidates and credentials are read, and replaced by our own or none.
func TestICE(t *testing.T) {
	text := head + "a=ice-lite\r\na=ice-ufrag:sess\r\na=ice-pwd:" + pwd + "\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n" +
		"a=ice-ufrag:abcd\r\na=ice-pwd:" + pwd + "\r\na=ice-options:trickle\r\na=candidate:1 1 udp 2122260223 192.0.2.7 50000 typ host generation 0\r\n" +
		"a=candidate:2 1 UDP 2122260222 2001:db8::7 50001 typ srflx raddr 10.0.0.1 rport 9\r\na=candidate:3 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active\r\n" +
		"a=candidate:4 1 udp 2122260223 0b1c.local 50000 typ host\r\na=candidate:5 1 udp 2122260223 224.0.0.1 50000 typ host\r\na=candidate:6\r\na=rtcp-mux\r\n"
	s := parse(t, text)
	m := &s.Media[0]
	if !s.Lite || !m.ICE || m.Hold || string(m.Ufrag) != "abcd" || string(m.Pwd) != pwd || len(m.Candidates) != 2 {
		t.Fatalf("%+v", m)
	}
	if c := m.Candidates[0]; c.Addr.String() != "192.0.2.7:50000" || c.Priority != 2122260223 || c.Component != 1 {
		t.Errorf("%+v", c)
	}
	plan := plain(1)
	head := newHead + "m=audio 30000 UDP/TLS/RTP/SAVPF 111\r\na=rtcp-mux\r\n"
	if got, err := s.Rewrite(nil, plan); err != nil || string(got) != head {
		t.Errorf("%v, without ICE\n%s", err, got)
	}
	plan.Media[0].Ufrag, plan.Media[0].Pwd, plan.Media[0].RTCP = "ours", pwd, 30000
	head = strings.Replace(head, "m=", "a=ice-lite\r\nm=", 1) + "a=rtcp:30000\r\na=ice-ufrag:ours\r\na=ice-pwd:" + pwd + "\r\na=candidate:1 1 UDP 2130706431 203.0.113.5 30000 typ host\r\n"
	if got, err := s.Rewrite(nil, plan); err != nil || string(got) != head {
		t.Errorf("%v, with own ICE\n%s", err, got)
	}
	plan.Media[0].RTCP = 30001
	got, err := s.Rewrite(nil, plan)
	if err != nil || !strings.HasSuffix(string(got), "a=candidate:1 2 UDP 2130706430 203.0.113.5 30001 typ host\r\n") || strings.Contains(string(got), "a=rtcp:") {
		t.Errorf("%v, with RTCP\n%s", err, got)
	}
	many := parse(t, one(strings.Split(strings.Repeat("a=candidate:1 1 UDP 1 192.0.2.7 5 typ host\n", 3*MaxCandidates), "\n")[:3*MaxCandidates]...))
	if n := len(many.Media[0].Candidates); n != MaxCandidates {
		t.Errorf("%d candidates kept", n)
	}
}

// sentinel names the inside, and so may be in nothing that leaves.
const sentinel = "pbx.inside.example"

func clean(text []byte) bool { return !bytes.Contains(text, []byte(sentinel)) }

// TestSentinel puts a name of the inside into every line, at every place between two words (audit row F20): it never leaves.
func TestSentinel(t *testing.T) {
	plan := plain(2)
	plan.Clean, plan.Bundle = clean, true
	left, refused := 0, 0
	for i := 1; i < len(everything); i++ {
		if !strings.ContainsRune(" :=/;\"", rune(everything[i-1])) {
			continue
		}
		for _, with := range []string{sentinel, sentinel + " ", "user@" + sentinel} {
			var s Session
			if s.Parse([]byte(everything[:i]+with+everything[i:])) != nil {
				refused++
				continue
			}
			out, err := s.Rewrite(nil, plan)
			if err != nil {
				refused++
			} else if left++; bytes.Contains(out, []byte(sentinel)) {
				t.Errorf("at %d: %s", i, out)
			}
		}
	}
	if left < 100 || refused < 100 {
		t.Errorf("%d left, %d were refused: does this still try what it should?", left, refused)
	}
}

// everything has a line of each kind.
const everything = "v=0\r\no=user 1 1 IN IP4 192.0.2.1\r\ns=a subject\r\ni=info\r\nu=http://x/\r\ne=a@b\r\np=+1 2\r\nc=IN IP4 192.0.2.1\r\nb=AS:64\r\nt=0 0\r\n" +
	"r=1 2 3\r\nz=1 2\r\nk=clear:x\r\na=group:BUNDLE 0 1\r\na=group:LS 0 1\r\na=ice-options:trickle\r\na=tool:x\r\na=unknown:some text\r\n" +
	"m=audio 4000 RTP/SAVPF 0 101\r\ni=info\r\nc=IN IP4 192.0.2.1\r\nb=TIAS:64000\r\nk=clear:x\r\na=rtpmap:0 PCMU/8000\r\na=fmtp:101 0-15;x=y\r\n" +
	"a=ssrc:1 cname:abc\r\na=ssrc:1 msid:a b\r\na=ice-ufrag:abcd\r\na=ice-pwd:" + pwd + "\r\na=candidate:1 1 UDP 1 192.0.2.1 5 typ host raddr 192.0.2.1 rport 5\r\n" +
	"a=rtcp:5 IN IP4 192.0.2.1\r\na=mid:0\r\na=label:x\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\na=fingerprint:sha-1 AB:CD\r\na=setup:active\r\n" +
	"a=extmap:1 urn:x\r\na=rtcp-fb:0 nack\r\na=acap:1 crypto:1 x y\r\na=alt:1 2 : a b 192.0.2.1 5\r\na=x-other:1 2\r\na=sendrecv\r\n" +
	"m=application 5000 UDP/BFCP *\r\na=mid:1\r\na=floorid:1 mstrm:2\r\na=confid:1\r\n"

func TestEverythingPasses(t *testing.T) {
	s := parse(t, everything)
	plan := plain(2)
	plan.Clean = func(text []byte) bool { return !bytes.HasPrefix(text, []byte("audio")) }
	dst := []byte("before")
	if out, err := s.Rewrite(dst, plan); err != ErrMark || string(out) != "before" {
		t.Errorf("a marked media line: %v, %q", err, out)
	}
}

func TestNumbering(t *testing.T) {
	n := Numbering{ID: 9}
	version := func(text string, plan *Plan) uint64 {
		n.Apply(parse(t, text), plan)
		if plan.ID != 9 {
			t.Fatalf("id %d", plan.ID)
		}
		return plan.Version
	}
	moved, bundled := plain(1), plain(1)
	moved.Media[0].Port++
	bundled.Bundle = true
	for i, c := range []struct {
		text string
		plan *Plan
		want uint64
	}{
		{audio, plain(1), 1}, {audio, plain(1), 1},
		{one("a=sendonly"), plain(1), 2}, {one("a=sendonly"), plain(1), 2}, {audio, plain(1), 3}, {audio, moved, 4}, {audio, plain(2), 5}, {audio, bundled, 6},
	} {
		if got := version(c.text, c.plan); got != c.want {
			t.Errorf("step %d: version %d, want %d", i, got, c.want)
		}
	}
}

// TestNeedless: what another program added, and holds without being said, is not said.
func TestNeedless(t *testing.T) {
	const top, line = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n", "m=audio 4000 RTP/AVP 0 8 101\r\n"
	const added = "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
	for _, c := range [][3]string{ // what it was made from, what was made, what is left of its attributes
		{line + "a=rtpmap:101 telephone-event/8000\r\n", line + added, "a=rtpmap:101 telephone-event/8000\r\n"},
		{line + added, line + added, added},
		{line + "a=rtpmap:8 PCMA/8000\r\n", line + added, "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"},
		{line + "a=rtpmap:80 X/1\r\n", line + "a=rtpmap:8 pcma/8000\r\n", ""},
		{line, line + "a=rtpmap:0 PCMU/16000\r\na=rtpmap:8 PCMA/8000/2\r\na=fmtp:0 x\r\n", "a=rtpmap:0 PCMU/16000\r\na=rtpmap:8 PCMA/8000/2\r\na=fmtp:0 x\r\n"},
		{line + "a=inactive\r\n", line + "a=sendonly\r\n", "a=sendonly\r\n"},
		{line, "a=inactive\r\n" + line + "a=sendrecv\r\n", "a=sendrecv\r\n"},
		{line + "a=note:a=sendonly\r\n", line + "a=sendrecv\r\n", ""},
	} {
		s := parse(t, top+c[1])
		plan := plain(1)
		plan.Like = []byte(top + c[0])
		out, err := s.Rewrite(nil, plan)
		if err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(string(out), "101\r\n"); got != c[2] {
			t.Errorf("from %q\n%q became %q\nwant %q", c[0], c[1], got, c[2])
		}
	}
}
