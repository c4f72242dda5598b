package smuggle

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestFullest: what the limits just allow is relayed, answered, and ACKed by the edge: what the edge adds, and what the platform says
// to it, is within what it can read. One more is refused. The platform's connection, which all calls share, outlives it all.
func TestFullest(t *testing.T) {
	site := newSite(t, "fullest", ";transport=tcp", monitor)
	fields := func(n int) string {
		return honest().insert(lineTo, list(n-len(honest().lines), "Ex-#: y", "\r\n")+"\r\n")
	}
	vias := func(n int) string {
		return honest().insert(1, list(n-1, "Via: SIP/2.0/UDP h#.example.com;branch=z9hG4bK#", "\r\n")+"\r\n")
	}
	value := func(n int) string {
		return honest().set(lineVia, honest().lines[lineVia]+";x="+strings.Repeat("v", n)).String()
	}
	for _, way := range []string{"udp", "tcp"} {
		s := newStation(t, site, way)
		for _, n := range []int{250, 255, 256} {
			s.refusedByCallee(fmt.Sprintf("%d fields", n), fields(n))
		}
		for _, n := range []int{60, 63, 64} {
			s.refusedByCallee(fmt.Sprintf("%d Vias", n), vias(n))
		}
		s.refusedByCallee("a long Via", value(16000))
		s.run(trial{name: "257 fields", raw: fields(257), status: 400})
		s.run(trial{name: "264 fields", raw: fields(264), status: 400})
		s.run(trial{name: "65 Vias", raw: vias(65), status: 400})
		s.run(trial{name: "a longer Via", raw: value(16300), status: 400})
	}
	site.platform.mu.Lock()
	defer site.platform.mu.Unlock()
	if n := len(site.platform.conns); n != 1 {
		t.Errorf("the edge made %d connections to the platform", n)
	}
}

// refusedByCallee sends an INVITE that the platform answers with 486, and wants that back, and the edge's ACK at the platform.
func (s *station) refusedByCallee(name, raw string) {
	s.Helper()
	id := newID()
	p := s.site.platform
	p.answerWith(id, func(a *arrival) string { return a.reply(486) })
	_ = s.wire().send(s.fill(raw, id))
	if m := s.final(id); statusOf(m) != 486 {
		s.Errorf("%s, %s: answered %.60q", s.way, name, m)
	}
	acked := func() bool {
		return slices.ContainsFunc(p.arrived(id), func(a *arrival) bool { return strings.HasPrefix(a.raw, "ACK ") })
	}
	if !siptest.Eventually(acked) {
		s.Errorf("%s, %s: no ACK for the platform's 486", s.way, name)
	}
	s.hangup() // nobody ACKs the 486 here
}

// TestOddPlatform: what the platform says wrongly over the connection that all calls share is not relayed, and costs the others nothing.
func TestOddPlatform(t *testing.T) {
	site := newSite(t, "odd", ";transport=tcp", monitor)
	s := newStation(t, site, "tcp")
	for _, odd := range []string{"X-Odd: \x00\r\n", "X-Odd: a\rb\r\n", "X Odd: a\r\n", "X-Odd\r\n", strings.Repeat("Via: SIP/2.0/UDP a\r\n", 70), strings.Repeat("X-Odd: a\r\n", 300)} {
		id := newID()
		site.platform.answerWith(id, func(a *arrival) string { return strings.Replace(a.reply(200), "From: ", odd+"From: ", 1) })
		if e := s.exchange(s.fill(honest().String(), id), id); !e.passed || len(e.status) > 0 {
			t.Errorf("%.20q: answered %v, the next call works: %v", odd, e.status, e.passed)
		}
	}
	site.platform.mu.Lock()
	defer site.platform.mu.Unlock()
	if n := len(site.platform.conns); n != 1 {
		t.Errorf("the edge made %d connections to the platform", n)
	}
}
