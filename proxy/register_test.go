package proxy

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/binding"
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

// TestNoted: what is remembered of a Contact comes back, and the texts between stay apart.
func TestNoted(t *testing.T) {
	all := []noted{
		{id: binding.ID([]byte("abcdefghijklmnop")), print: 1 << 63, life: 24 * time.Hour, nat: true, contact: []byte(strings.Repeat("c", binding.MaxContact))},
		{star: true, contact: []byte{}},
		{id: binding.ID([]byte("abcdefghijklmnoq")), print: 1, contact: []byte("\n")},
	}
	note := append([]byte{5}, "a@b.c"...)
	for i := range all {
		note = all[i].append(note)
	}
	l := &lane{}
	if aor := l.openNote(note); string(aor) != "a@b.c" || !reflect.DeepEqual(l.notes, all) {
		t.Errorf("%q, %+v", aor, l.notes)
	}
}

// TestContactsOfOneID: two Contacts of one instance are one binding, which stays while the platform lists it.
func TestContactsOfOneID(t *testing.T) {
	b := newBench(t, nil)
	twice := `<sip:a@192.0.2.1>;+sip.instance="<urn:x>", <sip:b@192.0.2.1>;+sip.instance="<urn:x>"`
	b.send(b.outside, []byte(strings.Replace(string(newRequest("REGISTER", 1)), "<sip:alice@192.168.1.9:5060>", twice, 1)))
	b.send(b.inside, replyTo(b.expect(b.platform, "REGISTER"), "200 OK"))
	b.expect(b.caller, "SIP/2.0 200")
	if n := b.p.bindings.Len(); n != 1 {
		t.Errorf("%d bindings", n)
	}
}
