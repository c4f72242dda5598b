package proxy

import (
	"strings"
	"testing"
)

// TestUnregisterBesideALongerContact: a Contact that is the beginning of another one still is another one.
func TestUnregisterBesideALongerContact(t *testing.T) {
	for _, path := range []bool{false, true} {
		b := newBench(t, func(c *Config) { c.Path = path })
		register := func(n int, contacts string, keep ...string) {
			msg := strings.Replace(string(newRequest("REGISTER", n)), "<sip:alice@192.168.1.9:5060>", contacts, 1)
			b.send(b.outside, []byte(msg))
			reply := string(replyTo(b.expect(b.platform, "REGISTER"), "200 OK"))
			var lines []string
			for line := range strings.SplitSeq(reply, "\r\n") {
				if line, ok := strings.CutPrefix(line, "Contact: "); ok {
					for i, one := range strings.Split(line, ", ") {
						if keep[i] != "" {
							lines = append(lines, "Contact: "+one+";expires="+keep[i])
						}
					}
					continue
				}
				lines = append(lines, line)
			}
			b.send(b.inside, []byte(strings.Join(lines, "\r\n")))
			b.expect(b.caller, "SIP/2.0 200")
		}
		register(1, "<sip:alice@192.0.2.1>, <sip:alice@192.0.2.1:5062>", "60", "60")
		if n := b.p.bindings.Len(); n != 2 {
			t.Fatalf("path %v: %d bindings", path, n)
		}
		register(2, "<sip:alice@192.0.2.1>, <sip:alice@192.0.2.1:5062>", "", "60")
		if n := b.p.bindings.Len(); n != 1 {
			t.Errorf("path %v: %d bindings after one went", path, n)
		}
	}
}
