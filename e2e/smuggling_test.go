package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// A smuggled is a message that two parsers may read differently. What the platform gets of it is read by siptest.Parse, which
// accepts canonical messages only, so a case that is relayed must also be clean.
type smuggled struct {
	name string
	raw  string
	none bool // must not be relayed at all
	cut  bool // over a stream, the connection must not be used for anything after it
}

// smuggle makes the cases of one message; in it is an INVITE of its own for each.
func smuggle(in func() string) (all []smuggled) {
	add := func(name string, none, cut bool, from, to string) {
		raw := in()
		if !strings.Contains(raw, from) {
			panic("smuggle: " + name)
		}
		all = append(all, smuggled{name, strings.Replace(raw, from, to, 1), none, cut})
	}
	const mf = "Max-Forwards: 70\r\n"
	for _, blank := range []string{" ", "\t", "   \t  "} {
		add(fmt.Sprintf("S1 blank %q before the colon", blank), false, false, mf, "X-Evil"+blank+": evil\r\n"+mf)
	}
	for _, c := range []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x1b\x1f\x7f\x80\x85\xa0\xad\xff") {
		add(fmt.Sprintf("S2 byte %#x after a name", c), true, false, mf, "X-Evil"+string([]byte{c})+": evil\r\n"+mf)
	}
	for _, end := range []string{"\r", "\n", "\n\r", "\r\r\n"} {
		add(fmt.Sprintf("S3 S4 S5 line end %q", end), true, false, mf, "Subject: a"+end+"X-Evil: evil\r\n"+mf)
		add(fmt.Sprintf("S5 line end %q after the start line", end), true, false, " SIP/2.0\r\n", " SIP/2.0"+end)
	}
	add("S6 NUL in a value", true, false, mf, "Subject: a\x00X-Evil: evil\r\n"+mf)
	for _, end := range []string{"\n\n", "\r\n\n", "\r\r", "\n\r\n"} {
		add(fmt.Sprintf("S7 early end %q", end), true, false, mf, "Subject: a"+end+"X-Evil: evil\r\n"+mf)
	}
	add("S8 folded", false, false, mf, "Subject: a\r\n X-Evil: evil\r\n"+mf)
	add("S8 blank fold", false, false, mf, "Subject: a\r\n \r\n\tX-Evil: evil\r\n"+mf)
	add("S8 name and fold", false, false, mf, "Subject:\r\n a\r\n"+mf)
	add("S9 fold after the request line", true, false, " SIP/2.0\r\n", " SIP/2.0\r\n X-Evil: evil\r\n")
	all = append(all, smuggled{"S10 LF only", strings.ReplaceAll(in(), "\r\n", "\n"), true, true})
	return append(all, smuggleLengths(in)...)
}

// smuggleLengths are the rows about Content-Length (S11 to S14); the body holds a request of its own.
func smuggleLengths(in func() string) (all []smuggled) {
	request := "MESSAGE sip:evil@example.com SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKevil\r\nFrom: <sip:e@v>;tag=1\r\n" +
		"To: <sip:evil@example.com>\r\nCall-ID: evil\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
	body := func(lengths string) string {
		head, _, _ := strings.Cut(in(), "Content-Length")
		return head + lengths + "\r\n" + request
	}
	n := len(request)
	add := func(name string, none bool, lengths string) {
		all = append(all, smuggled{name, body(lengths), none, true})
	}
	all = append(all, smuggled{"S11 equal twice", body(fmt.Sprintf("Content-Length: %d\r\nl: %d\r\n", n, n)), false, false})
	add("S11 zero first", true, fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n", n))
	add("S11 zero last", true, fmt.Sprintf("Content-Length: %d\r\nContent-Length: 0\r\n", n))
	add("S11 compact and long", true, fmt.Sprintf("l: 0\r\nContent-Length: %d\r\n", n))
	for _, v := range []string{"4294967296", "4294967301", "18446744073709551616", "18446744073709551621", "-1", "+5", "0x5", "5.0", "5 5",
		"5, 5", "5;a=b", "", "5\x00", "\"0\"", "０"} {
		add("S12 S13 "+v, true, "Content-Length: "+v+"\r\n")
	}
	add("S14 in a fold", false, "Subject: a\r\n Content-Length: 0\r\n")
	add("S14 after a bare LF", true, "Subject: a\nContent-Length: 0\r\n")
	return all
}

// TestSmuggling sends every case over UDP and TCP to an edge that relays everything well-formed: what it refuses does not
// arrive, what it relays arrives canonical, and a body never runs as a request.
func TestSmuggling(t *testing.T) {
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t, w, monitor)
			template := r.phone("mallory")
			for _, c := range smuggle(func() string { return template.Request("INVITE", "sip:bob@example.com").String() }) {
				r.smuggled(c)
			}
			r.platform.Silence(hush, "MESSAGE")
		})
	}
}

// smuggled sends one case and then an OPTIONS as a mark: when that arrives, the case has been dealt with.
func (r *rig) smuggled(c smuggled) {
	r.Helper()
	phone := r.phone("mallory")
	if r.stream() {
		r.usedOn(phone, c)
		phone = r.phone("marker") // the case's own connection may be closed, rightly
	} else {
		phone.SendTo(r.edge.Outside, "udp", c.raw)
	}
	mark := phone.Send(phone.Request("OPTIONS", "sip:mark@example.com"))
	if r.platform.WaitIn(mark.Get("Call-ID"), "OPTIONS", siptest.Deadline) == nil {
		r.Fatalf("%s: nothing gets through after it", c.name)
	}
	late := time.Duration(0)
	if r.stream() && c.none {
		late = hush / 5 // the mark took another way
	}
	_, rest, _ := strings.Cut(c.raw, "Call-ID: ")
	got := r.platform.WaitIn(rest[:16], "INVITE", late)
	switch {
	case got != nil && c.none:
		r.Errorf("%s: relayed:\n%s", c.name, got.Raw)
	case got != nil && slices.ContainsFunc(got.Fields, func(f siptest.Field) bool { return strings.HasPrefix(f.Name, "X-Evil") && f.Name != "X-Evil" }):
		r.Errorf("%s: not clean:\n%s", c.name, got.Raw)
	}
	for _, m := range r.platform.Log() {
		if m.Message != nil && m.Get("Call-ID") == "evil" {
			r.Fatalf("%s: the body was run as a request", c.name)
		}
	}
}

// usedOn sends a case over a connection of phone and then a request that must not pass if the case leaves the framing in doubt.
func (r *rig) usedOn(phone *siptest.UA, c smuggled) {
	r.Helper()
	conn, err := phone.Dial(r.edge.Outside)
	if err != nil {
		r.Fatal(err)
	}
	next := phone.Request("OPTIONS", "sip:next@example.com")
	fmt.Fprint(conn, c.raw)
	fmt.Fprint(conn, next) // fails if the edge was quick to close
	if c.cut && r.platform.WaitIn(next.Get("Call-ID"), "OPTIONS", hush/5) != nil {
		r.Errorf("%s: the connection is used on", c.name)
	}
}
