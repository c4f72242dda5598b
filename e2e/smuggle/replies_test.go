package smuggle

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// Rows S29 to S31, and the section on reflection: responses, and who is answered.

// viaOf is the value of the topmost Via of a message.
func viaOf(m string) string {
	_, rest, _ := strings.Cut(m, "\r\nVia: ")
	via, _, _ := strings.Cut(rest, "\r\n")
	return via
}

// answerTo is a response to a request that the edge sent, built from its own lines.
func answerTo(request string, status int) string {
	return read(request, "").reply(status)
}

// speak sends raw to the edge's inside address from the platform's.
func (p *platform) speak(e *siptest.Edge, raw string) {
	_, _ = p.udp.WriteToUDPAddrPort([]byte(raw), e.Inside)
}

// strayReplies (S29): responses from outside that answer nothing are nobody's, whatever Via stands on top.
func strayReplies(t *testing.T) {
	site := newSite(t, "strays", "", monitor)
	for _, way := range []string{"udp", "tcp", "tls", "ws"} {
		t.Run(way, func(t *testing.T) {
			s := newStation(t, site, way)
			first := newID() // a branch of the edge's, of a transaction that is over
			_ = s.wire().send(s.fill(honest().String(), first))
			s.final(first)
			taken := viaOf(site.platform.arrived(first)[0].raw)
			for _, status := range []int{100, 180, 200, 302, 401, 407, 486, 503, 603} {
				for what, via := range map[string]string{"our inside Via": "SIP/2.0/UDP " + site.edge.Inside.String() + ";branch=z9hG4bKAAAAAAAAAAAAAAAAAAAAAA", "our outside Via": "SIP/2.0/UDP " + site.edge.Outside.String() + ";branch=z9hG4bKAAAAAAAAAAAAAAAAAAAAAA",
					"a Via that was ours": taken, "a Via of the platform": "SIP/2.0/UDP " + site.platform.addr.String() + ";branch=z9hG4bKx", "two Vias": taken + "\r\nVia: SIP/2.0/UDP " + site.platform.addr.String() + ";branch=z9hG4bKx"} {
					id := newID()
					raw := strings.Replace(fmt.Sprintf("SIP/2.0 %d So\r\nVia: %s\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@b>;tag=2\r\nCall-ID: %s\r\nCSeq: 7 INVITE\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nContent-Length: 0\r\n\r\n", status, via, id), "Call-ID: "+first, "Call-ID: "+id, 1)
					e := s.exchange(raw, id)
					if arrived := site.platform.arrived(id); len(arrived) > 0 || !e.passed || len(e.status) > 0 {
						t.Errorf("%d with %s: %d arrived, answered %v, the next passed: %v", status, what, len(arrived), e.status, e.passed)
					}
				}
			}
		})
	}
}

// replySources (S30): a response counts if it comes from where the request went, any port of that address, and from nowhere else.
func replySources(t *testing.T) {
	site := newSite(t, "sources", "", monitor)
	s := newStation(t, site, "udp")
	id := newID()
	_ = s.wire().send(s.fill(strings.NewReplacer("INVITE sip:"+caseID+"@", "REGISTER sip:", "7 INVITE", "7 REGISTER").Replace(honest().String()), id))
	if m := s.final(id); statusOf(m) != 200 {
		t.Fatalf("REGISTER: %q", m)
	}
	contact := regexp.MustCompile(`<([^>]*)>`).FindStringSubmatch(site.platform.arrived(id)[0].get("contact"))[1]
	for _, c := range []struct {
		what  string
		wire  func() *wire
		pass  bool
		alter func(string) string
	}{
		{"another address", func() *wire { return newStation(t, site, "udp").wire() }, false, nil},
		{"another address over TCP", func() *wire { return newStation(t, site, "tcp").wire() }, false, nil},
		{"another branch", s.wire, false, func(m string) string { return strings.Replace(m, "z9hG4bK", "z9hG4bKx", 1) }},
		{"another method", s.wire, false, func(m string) string { return strings.Replace(m, "7 INVITE", "7 REGISTER", 1) }},
		{"the same address and port", s.wire, true, nil},
		{"another port of the same address", func() *wire { w, err := dial("udp", s.ip, site.edge.UDP); must(t, err); return w }, true, nil},
	} {
		call := newID()
		request := strings.NewReplacer("sip:"+caseID+"@example.com", contact, transport, "UDP", address, site.platform.addr.String(), caseID, call).Replace(honest().String())
		site.platform.speak(site.edge, request)
		ringing := s.request(call)
		answer := answerTo(ringing, 200)
		if c.alter != nil {
			answer = c.alter(answer)
		}
		_ = c.wire().send(answer)
		s.mark()
		got := slices.ContainsFunc(site.platform.arrived(call), func(a *arrival) bool { return strings.HasPrefix(a.raw, "SIP/2.0 200") })
		if got != c.pass {
			t.Errorf("from %s: reached the platform: %v", c.what, got)
		}
		if !got {
			_ = s.wire().send(answerTo(ringing, 200)) // ends the transaction
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// request waits for a request that holds id.
func (s *station) request(id string) string {
	s.Helper()
	for {
		m, err := s.wire().next(siptest.Deadline)
		must(s.T, err)
		if strings.Contains(m, id) && statusOf(m) == 0 {
			return m
		}
	}
}

// insideStrangers (S30, F10): whoever is neither an upstream nor in inside.sources cannot answer, whatever he knows.
func insideStrangers(t *testing.T) {
	site := newSite(t, "strangers", "", monitor)
	s := newStation(t, site, "udp")
	id := newID()
	site.platform.answerWith(id, func(*arrival) string { return "\r\n" })
	_ = s.wire().send(s.fill(honest().String(), id))
	if !siptest.Eventually(func() bool { return len(site.platform.arrived(id)) == 1 }) {
		t.Fatal("the request does not arrive")
	}
	answer := site.platform.arrived(id)[0].reply(200)
	stranger, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(siptest.OwnIP())})
	must(t, err)
	defer stranger.Close()
	_, _ = stranger.WriteToUDPAddrPort([]byte(strings.Replace(answer, "200 So", "299 Stranger", 1)), site.edge.Inside)
	elsewhere, err := net.ListenUDP("udp", &net.UDPAddr{IP: site.platform.addr.Addr().AsSlice()})
	must(t, err)
	defer elsewhere.Close()
	time.Sleep(20 * time.Millisecond) // two sockets keep no order
	_, _ = elsewhere.WriteToUDPAddrPort([]byte(answer), site.edge.Inside)
	if m := s.final(id); statusOf(m) != 200 {
		t.Errorf("the caller got %q", m)
	}
}

// replyVias (S31): whatever the platform does to the Vias below the edge's, the caller gets those that it sent.
func replyVias(t *testing.T) {
	site := newSite(t, "vias", "", monitor)
	sent := []string{"SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKtwo;x=\"a,b\"", "SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bKthree"}
	lower := regexp.MustCompile(`(?m)^Via: .*(two|three).*\r\n`)
	changes := map[string]func(string) string{
		"kept":    func(m string) string { return m },
		"removed": func(m string) string { return lower.ReplaceAllString(m, "") },
		"changed": func(m string) string { return strings.ReplaceAll(m, "10.0.0.1", "10.9.9.9") },
		"added": func(m string) string {
			return strings.Replace(m, "From:", "Via: SIP/2.0/UDP evil.example.com;branch=z9hG4bKevil\r\nFrom:", 1)
		},
		"reordered": func(m string) string { return strings.NewReplacer("two", "three", "three", "two").Replace(m) },
		"compact": func(m string) string {
			return lower.ReplaceAllStringFunc(m, func(v string) string { return "v" + v[3:] })
		},
		"folded":     func(m string) string { return strings.ReplaceAll(m, ";branch=z9hG4bKt", "\r\n ;branch=z9hG4bKt") },
		"tripled":    func(m string) string { return lower.ReplaceAllString(m, "$0$0$0") },
		"to an edge": func(m string) string { return strings.ReplaceAll(m, "10.0.0.1:5060", site.edge.Outside.String()) },
	}
	for _, way := range []string{"udp", "tcp", "tls", "ws"} {
		s := newStation(t, site, way)
		for name, change := range changes {
			id := newID()
			site.platform.answerWith(id, func(a *arrival) string { return change(a.reply(200)) })
			_ = s.wire().send(s.fill(honest().insert(1, "Via: "+sent[0]+"\r\nv: "+sent[1]+"\r\n"), id))
			m := s.final(id)
			got := read(m, way).all("via")
			if len(got) != 3 || !strings.Contains(got[0], id) || !slices.Equal(got[1:], sent) || strings.Contains(m, "evil") {
				t.Errorf("%s, %s: the caller's Vias are %q", way, name, got)
			}
		}
	}
}

// refusals are requests that can be answered, with the status that suits.
func refusals() map[string]struct {
	raw    string
	status int
} {
	set := func(at int, line string) string { return honest().set(at, line).String() }
	return map[string]struct {
		raw    string
		status int
	}{
		"Max-Forwards 256":        {set(lineMaxForwards, "Max-Forwards: 256"), 400},
		"Max-Forwards 0":          {set(lineMaxForwards, "Max-Forwards: 0"), 483},
		"CSeq method":             {set(lineCSeq, "CSeq: 7 BYE"), 400},
		"SIP/3.0":                 {honest().begin(strings.Replace(startLine, "2.0", "3.0", 1)).String(), 505},
		"an unknown scheme":       {honest().begin("INVITE x:" + caseID + " SIP/2.0").String(), 416},
		"a long URI":              {honest().begin("INVITE sip:" + strings.Repeat("a", 5000) + "@example.com SIP/2.0").String(), 414},
		"Proxy-Require":           {honest().insert(lineTo, "Proxy-Require: teleport\r\n"), 420},
		"Content-Type twice":      {honest().insert(lineTo, "Content-Type: a/b\r\n"), 400},
		"Content-Length differs":  {honest().insert(lineTo, "l: 1\r\n"), 400},
		"Content-Length of words": {set(lineLength, "Content-Length: many"), 400},
		"Content-Length of 70 kB": {set(lineLength, "Content-Length: 70000"), 413},
		"a bad Contact":           {set(lineContact, "Contact: <sip:a@b"), 400},
	}
}

// TestRefusals: what is refused is answered where the answer can hit nobody else: over connections, to known phones, and inside. An
// unproven source over UDP gets silence.
func TestRefusals(t *testing.T) {
	site := newSite(t, "refusals", "", siptest.Keys{"access": "{unknown: [REGISTER, INVITE]}"})
	for _, way := range []string{"udp", "tcp", "tls", "wss", "known"} {
		s := newStation(t, site, strings.Replace(way, "known", "udp", 1))
		if way == "known" {
			id := newID()
			_ = s.wire().send(s.fill(strings.NewReplacer("INVITE sip:"+caseID+"@", "REGISTER sip:", "7 INVITE", "7 REGISTER").Replace(honest().String()), id))
			if m := s.final(id); statusOf(m) != 200 {
				t.Fatalf("REGISTER: %q", m)
			}
		}
		for name, c := range refusals() {
			before := site.edge.Counter("ringwall_refused_total")
			id := newID()
			e := s.exchange(s.fill(c.raw, id), id)
			want := []int{c.status}
			if way == "udp" {
				want = nil
			}
			if !slices.Equal(e.status, want) || len(site.platform.arrived(id)) > 0 {
				t.Errorf("%s, %s: answered %v, not %v; %d arrived", way, name, e.status, want, len(site.platform.arrived(id)))
			}
			if !siptest.Eventually(func() bool { return site.edge.Counter("ringwall_refused_total") > before }) {
				t.Errorf("%s, %s: not counted", way, name)
			}
			if e.closed {
				s.hangup()
			}
		}
	}
	t.Run("inside", func(t *testing.T) { refusedInside(t, site) })
}

// refusedInside sends the same from the platform.
func refusedInside(t *testing.T, site *site) {
	for name, c := range refusals() {
		id := newID()
		raw := strings.NewReplacer(transport, "UDP", address, site.platform.addr.String(), caseID, id).Replace(c.raw)
		site.platform.speak(site.edge, raw)
		want := fmt.Sprintf("SIP/2.0 %d ", c.status)
		answered := func() bool {
			return slices.ContainsFunc(site.platform.arrived(id), func(a *arrival) bool { return strings.HasPrefix(a.raw, want) })
		}
		if !siptest.Eventually(answered) {
			t.Errorf("%s: no %d for the platform", name, c.status)
		}
	}
}

// TestReflection: answers go to the source, never to what a Via names as sent-by, received or maddr.
func TestReflection(t *testing.T) {
	site := newSite(t, "reflection", "", monitor)
	victim, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(siptest.OwnIP())})
	must(t, err)
	defer victim.Close()
	at := victim.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, way := range []string{"udp", "tcp", "tls", "ws"} {
		s := newStation(t, site, way)
		for _, via := range []string{"V;branch=z9hG4bKB", "V;branch=z9hG4bKB;rport", "V;branch=z9hG4bKB;rport=P", "V;branch=z9hG4bKB;received=H;rport=P", "H:P;branch=z9hG4bKB;maddr=H", "a.example.com:P;branch=z9hG4bKB;maddr=H;rport", "V;branch=z9hG4bKB;maddr=H;ttl=1;received=H"} {
			for what, raw := range map[string]string{"relayed": honest().String(), "refused": honest().set(lineMaxForwards, "Max-Forwards: 0").String()} {
				id := newID()
				value := strings.NewReplacer("V", at.String(), "H", at.Addr().String(), "P", fmt.Sprint(at.Port()), "B", id+"b").Replace(via)
				line := strings.Replace(honest().lines[lineVia], address+";branch=z9hG4bK"+caseID+";rport", value, 1)
				e := s.exchange(s.fill(strings.Replace(raw, honest().lines[lineVia], line, 1), id), id)
				if what == "relayed" && len(e.status) == 0 { // the other answer may have overtaken it
					e.status = append(e.status, statusOf(s.final(id)))
				}
				if !e.passed || what == "relayed" && !slices.Equal(e.status, []int{200}) {
					t.Errorf("%s, %s, %s: the source got %v", way, via, what, e.status)
				}
			}
		}
	}
	_ = victim.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	var b [2000]byte
	if n, from, err := victim.ReadFromUDPAddrPort(b[:]); err == nil {
		t.Errorf("a victim got %q from %v", b[:n], netip.AddrPortFrom(from.Addr(), from.Port()))
	}
}
