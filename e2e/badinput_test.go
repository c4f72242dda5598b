package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// A bad is something that no honest phone sends.
type bad struct {
	name string
	raw  string
	open bool // a stream may stay open after it: the edge waits for the rest, or has answered it
}

// bads makes the list, with requests of phone.
func bads(phone *siptest.UA) []bad {
	invite := phone.Request("INVITE", "sip:bob@example.com").String()
	with := func(what string) string {
		return strings.Replace(invite, "Max-Forwards: 70\r\n", what+"Max-Forwards: 70\r\n", 1)
	}
	return []bad{
		{"half a start line", "INVITE sip:bob@exam", true},
		{"half a message", invite[:len(invite)/2], true},
		{"half a body", invite[:len(invite)-20], true},
		{"garbage", strings.Repeat("\x00\x01\xfe\xff%&", 300) + "\r\n\r\n", false},
		{"HTTP", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", false},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x07", 500), true},
		{"1 GB Content-Length", strings.Replace(invite, "Content-Length: ", "Content-Length: 1000000000", 1), false},
		{"2^32 Content-Length", strings.Replace(invite, "Content-Length: ", "Content-Length: 4294967296", 1), false},
		{"2^64 Content-Length", strings.Replace(invite, "Content-Length: ", "Content-Length: 18446744073709551616", 1), false},
		{"two Content-Lengths", with("Content-Length: 0\r\n"), false},
		{"70 Vias", with(strings.Repeat("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n", 70)), true},
		{"70 Vias in one line", with("Via: SIP/2.0/UDP a" + strings.Repeat(", SIP/2.0/UDP a", 70) + "\r\n"), true},
		{"5,000 params", with("Contact: <sip:a@b>" + strings.Repeat(";a=b", 5000) + "\r\n"), true},
		{"5,000 URI params", strings.Replace(invite, "sip:bob@example.com SIP", "sip:bob@example.com"+strings.Repeat(";a=b", 5000)+" SIP", 1), true},
		{"500 header fields", with(strings.Repeat("Hello: world\r\n", 500)), true},
		{"2,000 Contacts", with("Contact: <sip:a@b>" + strings.Repeat(",<sip:a@b>", 2000) + "\r\n"), true},
		{"a method of 4,000 bytes", strings.ReplaceAll(invite, "INVITE", strings.Repeat("INVI", 1000)), true},
		{"a field name of 9,000 bytes", with(strings.Repeat("name", 2250) + ": x\r\n"), true},
		{"a value of 40,000 bytes", with("Subject: " + strings.Repeat("long", 10000) + "\r\n"), true},
		{"bare CR", with("Subject: a\rX-Internal: evil\r\n"), true},
		{"bare LF", strings.ReplaceAll(invite, "\r\n", "\n"), true},
		{"NUL", with("Subject: a\x00b\r\n"), true},
	}
}

// TestBadInput: whatever comes, it costs its sender its connection at most. Another phone's call goes on, nothing reaches
// the platform, and memory stays.
func TestBadInput(t *testing.T) {
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t, w, nil)
			good := r.phone("alice")
			up := r.call(good)
			before := r.edge.Memory()
			for _, b := range bads(r.phone("mallory")) {
				mallory := r.phone("mallory")
				mallory.SendTo(r.edge.Outside, w.out, b.raw)
				if r.stream() && strings.Contains(b.name, "Content-Length") {
					mallory.Expect("400")
				}
				if r.stream() && !b.open && !mallory.WaitClosed(mallory.Connection(r.edge.Outside), siptest.Deadline) {
					t.Errorf("%s: the connection stays open", b.name)
				}
				if !r.stream() {
					mallory.Silence(hush / 4)
				}
				r.ask(up.phone, up.platform, up.phone.Request("INFO"))
				if n := r.platform.Got("INVITE"); n != 1 {
					t.Fatalf("%s: reached the platform", b.name)
				}
			}
			r.platform.Silence(hush)
			r.bye(up.platform, up.phone)
			if grown := r.edge.Memory() - before; grown > 64<<20 {
				t.Errorf("memory grew by %d MiB", grown>>20)
			}
		})
	}
}

// TestManyHalves: connections with half a message each, more than one source may have, harm nobody else.
func TestManyHalves(t *testing.T) {
	r := newRig(t, tcp, siptest.Keys{"limits": "{connections_per_source: 16}"})
	good := r.phone("alice")
	up := r.call(good)
	mallory := r.phone("mallory")
	half := mallory.Request("INVITE", "sip:bob@example.com").String()[:200]
	for range 100 {
		if c, err := mallory.Dial(r.edge.Outside); err == nil {
			fmt.Fprint(c, half)
		}
	}
	fds := r.edge.Descriptors
	if !siptest.Eventually(func() bool { return fds() < 16+60 }) {
		t.Errorf("%d descriptors: one source holds more than its share", fds())
	}
	r.ask(up.phone, up.platform, up.phone.Request("INFO"))
	r.bye(up.phone, up.platform)
	r.call(r.phone("carol"))
}
