package sip

import (
	"strings"
	"testing"
)

const answered = "INVITE sip:desk@pbx.example SIP/2.0\r\n" +
	"v: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKa1,\r\n SIP/2.0/UDP b;branch=z9hG4bKb1\r\n" +
	"Via: SIP/2.0/TCP c;branch=z9hG4bKc1\r\n" +
	"Max-Forwards: 10\r\n" +
	"Route: <sip:edge;lr>, <sip:far;lr>\r\n" +
	"Route: <sip:last;lr>\r\n" +
	"Require: x\r\nProxy-Require: x\r\n" +
	"f: \"C\"\r\n <sip:carol@pbx.example>;tag=c1\r\n" +
	"To:<sip:desk@pbx.example>\r\n" +
	"Call-ID: 4711@203.0.113.9\r\n" +
	"CSeq: 0012  INVITE\r\n" +
	"Content-Length: 4\r\n\r\nbody"

func TestAppendReply(t *testing.T) {
	m := mustParse(t, answered)
	want := "SIP/2.0 486 Busy Here\r\n" +
		"Via: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKa1, SIP/2.0/UDP b;branch=z9hG4bKb1\r\n" +
		"Via: SIP/2.0/TCP c;branch=z9hG4bKc1\r\n" +
		"From: \"C\" <sip:carol@pbx.example>;tag=c1\r\n" +
		"To: <sip:desk@pbx.example>;tag=d2\r\n" +
		"Call-ID: 4711@203.0.113.9\r\n" +
		"CSeq: 0012  INVITE\r\n" +
		"Retry-After: 5\r\n" +
		"Content-Length: 0\r\n\r\n"
	if got := string(AppendReply(nil, m, nil, 486, "", []byte("d2"), Header{"Retry-After", []byte("5")})); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got := string(AppendReply([]byte("x"), m, []byte("Via: SIP/2.0/UDP other\r\n"), 100, "Working", nil))
	want = "xSIP/2.0 100 Working\r\nVia: SIP/2.0/UDP other\r\nFrom: \"C\" <sip:carol@pbx.example>;tag=c1\r\n" +
		"To: <sip:desk@pbx.example>\r\nCall-ID: 4711@203.0.113.9\r\nCSeq: 0012  INVITE\r\nContent-Length: 0\r\n\r\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestReplyTag: a To tag that is there stays.
func TestReplyTag(t *testing.T) {
	m := mustParse(t, strings.Replace(answered, "To:<sip:desk@pbx.example>", "To: sip:desk@pbx.example;x=y;tag=here", 1))
	got := string(AppendReply(nil, m, nil, 481, "", []byte("d2")))
	if !strings.Contains(got, "To: sip:desk@pbx.example;x=y;tag=here\r\n") || strings.Contains(got, "d2") {
		t.Errorf("got\n%s", got)
	}
}

// TestReplyable: what lacks one valid hot field, and every response, gets no answer.
func TestReplyable(t *testing.T) {
	for _, c := range []struct {
		old, new string
		want     bool
	}{
		{"", "", true},
		{"Content-Length: 4", "Content-Length: x", true},
		{"Max-Forwards: 10", "Max-Forwards: 999", true},
		{"INVITE\r\nContent", "BYE\r\nContent", true},
		{"SIP/2.0\r\nv", "SIP/3.0\r\nv", true},
		{"Require: x", "Broken", true},
		{"Via: SIP/2.0/TCP c", "Via: SIP/2.0/TCP c;;", false},
		{"To:<sip", "To:<", false},
		{"4711@", "4711@@", false},
		{"0012", "x", false},
		{"Require: x", "From: <sip:other>;tag=2", false},
		{"Require: x", "X: \x00", false},
		{"Require: x", "X: \r", false},
		{"INVITE sip:desk@pbx.example SIP/2.0", "SIP/2.0 200 OK", false},
	} {
		var m Message
		raw := strings.Replace(answered, c.old, c.new, 1)
		err := m.Parse([]byte(raw), true)
		if m.Replyable() != c.want {
			t.Errorf("%q for %q: replyable %v (%v)", c.new, c.old, m.Replyable(), err)
		}
		checkReply(t, &m)
	}
}

func TestAppendACK(t *testing.T) {
	m := mustParse(t, answered)
	want := "ACK sip:desk@pbx.example SIP/2.0\r\n" +
		"Via: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKa1\r\n" +
		"Max-Forwards: 70\r\n" +
		"Route: <sip:edge;lr>, <sip:far;lr>\r\n" +
		"Route: <sip:last;lr>\r\n" +
		"From: \"C\" <sip:carol@pbx.example>;tag=c1\r\n" +
		"To: <sip:desk@pbx.example>;tag=d2\r\n" +
		"Call-ID: 4711@203.0.113.9\r\n" +
		"CSeq: 12 ACK\r\n" +
		"Content-Length: 0\r\n\r\n"
	if got := string(AppendACK(nil, m, []byte("<sip:desk@pbx.example>\r\n ;tag=d2"))); got != strings.Replace(want, ">;tag=d2", "> ;tag=d2", 1) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	cancel := strings.NewReplacer("ACK", "CANCEL", ";tag=d2", "").Replace(want)
	if got := string(AppendCANCEL(nil, m)); got != cancel {
		t.Errorf("got\n%s\nwant\n%s", got, cancel)
	}
	checkCanonical(t, mustParse(t, want))
}

func TestStatusText(t *testing.T) {
	for status, want := range map[int]string{100: "Trying", 200: "OK", 486: "Busy Here", 505: "Version Not Supported", 603: "Decline", 299: "", 99: "", 700: "", -1: ""} {
		if got := StatusText(status); got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
}
