package sdp

import (
	"bytes"
	"net/netip"
	"testing"
)

// FuzzRewrite asserts what must hold for every description that Parse accepts: what Rewrite writes is canonical and free of
// marks, Parse reads it as the plan says, and a second time changes nothing.
func FuzzRewrite(f *testing.F) {
	for _, text := range []string{audio, offer, webrtc, everything, one("c=IN IP4 0.0.0.0"), one("a=RTCP:9", "a=Foo"), one("a=acap:1 rtcp-mux"), one("a=fingerprint:\xff")} {
		for flags := range byte(8) {
			f.Add([]byte(text), flags)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, flags byte) {
		before := bytes.Clone(body)
		var s Session
		if err := s.Parse(body); err != nil {
			if len(s.Media) > 0 || err.(Error).ID() == "" {
				t.Fatalf("%v, and yet there is something: %+v", err, s)
			}
			return
		}
		plan := planOf(len(s.Media), flags)
		out, err := s.Rewrite(nil, plan)
		if !bytes.Equal(before, body) {
			t.Fatal("written into what was received")
		}
		if err != nil {
			if err != ErrMark || len(out) > 0 {
				t.Fatalf("%v, %q", err, out)
			}
			return
		}
		checkCanonical(t, out)
		checkPlanned(t, &s, plan, out)
	})
}

// planOf makes a plan that flags vary.
func planOf(n int, flags byte) *Plan {
	plan := plain(n)
	plan.Clean = clean
	plan.Bundle = flags&1 != 0
	for i := range plan.Media {
		p := &plan.Media[i]
		if flags&2 != 0 {
			p.Ufrag, p.Pwd = "ours", pwd
		}
		if flags&4 != 0 {
			p.Addr, p.RTCP = six, p.Port
		}
	}
	return plan
}

// checkCanonical checks that out is made of whole lines and holds nothing of the inside.
func checkCanonical(t *testing.T, out []byte) {
	t.Helper()
	if bytes.Contains(out, []byte(sentinel)) {
		t.Fatalf("a mark is left: %q", out)
	}
	for line := range bytes.Lines(out) {
		text, whole := bytes.CutSuffix(line, []byte("\r\n"))
		if !whole || len(text) < 3 || text[1] != '=' || text[len(text)-1] == ' ' {
			t.Fatalf("line %q", line)
		}
		for _, c := range text {
			if c < ' ' || c == 0x7f {
				t.Fatalf("line %q", line)
			}
		}
	}
}

// checkPlanned checks that out is read as plan says, and comes out of a second Rewrite as it is.
func checkPlanned(t *testing.T, s *Session, plan *Plan, out []byte) {
	t.Helper()
	var r Session
	if err := r.Parse(out); err != nil {
		t.Fatalf("line %d: %v in what was written: %q", r.ErrorLine(), err, out)
	}
	if len(r.Media) != len(s.Media) {
		t.Fatalf("%d media lines became %d", len(s.Media), len(r.Media))
	}
	for i := range r.Media {
		checkMedia(t, &s.Media[i], &r.Media[i], plan, plan.Media[i])
	}
	again, err := r.Rewrite(nil, plan)
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("%v, a second time\n%q\nbecomes\n%q", err, out, again)
	}
}

// checkMedia checks that media line was became is, as p of plan says.
func checkMedia(t *testing.T, was, is *Media, plan *Plan, p MediaPlan) {
	t.Helper()
	if !bytes.Equal(was.Type, is.Type) || !bytes.Equal(was.Proto, is.Proto) || !bytes.Equal(was.Formats, is.Formats) {
		t.Fatalf("%+v became %+v", was, is)
	}
	switch {
	case !was.Usable() || was.Port == 0 && !plan.Bundle:
		if is.Port != 0 || is.Usable() {
			t.Fatalf("%+v is not refused: %+v", was, is)
		}
		return
	case was.Port == 0:
		if is.Port != 0 || !is.BundleOnly {
			t.Fatalf("%+v became %+v", was, is)
		}
		return
	}
	addr, direction := p.Addr, was.Direction
	switch {
	case was.Hold && p.Ufrag == "":
		addr = unspecified(addr)
	case was.Hold:
		direction = direction.hold()
	}
	if is.Addr != addr || is.Port != p.Port || is.Direction != direction || is.Hold != (was.Hold && p.Ufrag == "") || is.Mux != was.Mux || is.Secure && !was.Secure || is.ICE != (p.Ufrag != "") {
		t.Fatalf("%+v became %+v", was, is)
	}
	if was.RTP && was.seen&seenMuxOnly == 0 && is.RTCP != netip.AddrPortFrom(is.Addr, p.RTCP) {
		t.Fatalf("RTCP at %v, planned %d", is.RTCP, p.RTCP)
	}
	for _, c := range is.Candidates {
		if c.Addr.Addr() != p.Addr || c.Addr.Port() != p.Port && c.Addr.Port() != p.RTCP {
			t.Fatalf("candidate %v", c.Addr)
		}
	}
}

// FuzzFindPart asserts that what is found lies in the body, and that a description put in its place is found there again.
func FuzzFindPart(f *testing.F) {
	f.Add([]byte("multipart/mixed;boundary=b"), []byte("x\r\n"+textPart+sdpPart+"--b--\r\nx"))
	f.Add([]byte("multipart/mixed;x=\"y\";boundary=\"b\""), []byte("--b\r\n--b--"))
	f.Add([]byte("application/sdp"), []byte(audio))
	f.Add([]byte("multipart/mixed;boundary=b"), []byte("--b\r\nContent-Type: application/sdp\r\n\r\n--b--"))
	f.Fuzz(func(t *testing.T, contentType, body []byte) {
		at, end, found, err := FindPart(contentType, body)
		if !found || err != nil {
			if found || at != 0 || end != 0 {
				t.Fatalf("%v, %d to %d, found %v", err, at, end, found)
			}
			return
		}
		if at > end || end > len(body) {
			t.Fatalf("%d to %d of %d", at, end, len(body))
		}
		changed := append(append(append([]byte(nil), body[:at]...), "v=0\r\n"...), body[end:]...)
		if at2, end2, found, err := FindPart(contentType, changed); err != nil || !found || at2 != at || end2 != at+5 {
			t.Fatalf("%v, found %v at %d to %d", err, found, at2, end2)
		}
	})
}
