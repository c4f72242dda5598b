package replay

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
)

var platform6 = netip.MustParseAddrPort("[2001:db8:10::10]:5060")

// A scene is a capture that is written in any order, and of any length: who says what, and when.
type scene struct {
	lines []line
	n     int // for branches and nonces
}

// A line is one message.
type line struct {
	at       time.Duration
	src, dst netip.AddrPort
	text     string
	stream   bool
}

// A caller is somebody outside, and how he writes.
type caller struct {
	at      netip.AddrPort
	agent   string // the User-Agent; "": a phone's
	compact bool   // he writes v, f, t, i, m and l
	lower   bool   // and names of fields in lower case
	stream  bool   // he comes over TCP
}

// nth is the nth caller at the address of c, each with a port of his own.
func (c caller) nth(n int) caller {
	c.at = netip.AddrPortFrom(c.at.Addr(), c.at.Port()+uint16(n))
	return c
}

// neighbour is a caller on the nth address after c's.
func (c caller) neighbour(n int) caller {
	b := c.at.Addr().AsSlice()
	b[len(b)-1] += byte(n)
	b[len(b)-2] += byte(n >> 8)
	addr, _ := netip.AddrFromSlice(b)
	c.at = netip.AddrPortFrom(addr, c.at.Port())
	return c
}

var compactNames = strings.NewReplacer("\r\nVia:", "\r\nv:", "\r\nFrom:", "\r\nf:", "\r\nTo:", "\r\nt:", "\r\nCall-ID:", "\r\ni:", "\r\nContact:", "\r\nm:", "\r\nContent-Length:", "\r\nl:")

// writes is text as c writes it.
func (c caller) writes(text string) string {
	text = strings.Replace(text, "ExamplePhone 4.0", cmp.Or(c.agent, "ExamplePhone 4.0"), 1)
	text = c.home(text)
	if c.stream {
		text = strings.Replace(text, "SIP/2.0/UDP", "SIP/2.0/TCP", 1)
	}
	if c.compact {
		text = compactNames.Replace(text)
	}
	if c.lower {
		lines := strings.Split(text, "\r\n")
		for i := 1; i < len(lines); i++ {
			if name, rest, found := strings.Cut(lines[i], ":"); found {
				lines[i] = strings.ToLower(name) + ":" + rest
			}
		}
		text = strings.Join(lines, "\r\n")
	}
	return text
}

// home is text with the address that c's phone has for its own.
func (c caller) home(text string) string {
	if c.at.Addr().Is6() {
		return strings.ReplaceAll(text, "192.168.1.20", "["+c.at.Addr().String()+"]")
	}
	return text
}

// server is the platform as c reaches it.
func (c caller) server() netip.AddrPort {
	if c.at.Addr().Is6() {
		return platform6
	}
	return platform
}

// says lets c send a request.
func (s *scene) says(at time.Duration, c caller, text string) {
	s.lines = append(s.lines, line{at, c.at, c.server(), c.writes(text), c.stream})
}

// hears lets the platform answer.
func (s *scene) hears(at time.Duration, c caller, text string) {
	s.lines = append(s.lines, line{at, c.server(), c.at, c.home(text), c.stream})
}

// trip is how long the platform takes.
const trip = 20 * time.Millisecond

// next is a request with a branch and a Call-ID of its own, if it has none.
func (s *scene) next(q request) request {
	s.n++
	q.id = cmp.Or(q.id, fmt.Sprintf("id%d-%s", s.n, q.user))
	q.cseq = max(q.cseq, 1)
	q.branch = fmt.Sprintf("z9hG4bK-%d", s.n)
	return q
}

// ask lets c ask and the platform answer at once; to a challenge nobody answers. A refused call is acknowledged.
func (s *scene) ask(at time.Duration, c caller, q request, status int) request {
	q = s.next(q)
	text := q.String()
	s.says(at, c, text)
	s.answer(at+trip, c, q, text, status, "")
	return q
}

// answer is the platform's answer to q, and the ACK for a refused call.
func (s *scene) answer(at time.Duration, c caller, q request, text string, status int, nonce string, fields ...string) {
	if status == 0 {
		return
	}
	if status == 401 || status == 407 {
		s.n++
		name := map[int]string{401: "WWW", 407: "Proxy"}[status]
		fields = append(fields, strings.Replace(fmt.Sprintf(challenge, cmp.Or(nonce, fmt.Sprintf("nonce-number-%d", s.n))), "WWW", name, 1))
	}
	if status == 200 && q.method == "REGISTER" {
		fields = append(fields, fmt.Sprintf(contact, q.user, 3600))
	}
	s.hears(at, c, reply(text, status, "t-"+q.branch, fields...))
	if q.method == "INVITE" && status >= 300 {
		ack := q
		ack.method, ack.toTag = "ACK", "t-"+q.branch
		s.says(at+trip/2, c, ack.String())
	}
}

// login lets c ask, be challenged, and answer with a password, to which the platform says status.
func (s *scene) login(at time.Duration, c caller, q request, password string, challenges, status int) request {
	q = s.next(q)
	s.n++
	nonce := fmt.Sprintf("nonce-number-%d", s.n)
	text := q.String()
	s.says(at, c, text)
	s.answer(at+trip, c, q, text, challenges, nonce)
	second := s.next(q)
	second.cseq++
	second.fields += fmt.Sprintf(credentials, cmp.Or(q.name, q.user, "1001"), nonce, password+nonce)
	if challenges == 407 {
		second.fields = strings.Replace(second.fields, "Authorization:", "Proxy-Authorization:", 1)
	}
	text = second.String()
	s.says(at+2*trip, c, text)
	s.answer(at+3*trip, c, second, text, status, "")
	return second
}

// call is an answered call of who need not say who he is, of a length; ring is how long it rings before.
func (s *scene) call(at time.Duration, c caller, q request, ring, length time.Duration) {
	q = s.next(q)
	text := q.String()
	s.says(at, c, text)
	s.hears(at+trip, c, reply(text, 100, ""))
	s.hears(at+ring/2, c, reply(text, 180, "t-"+q.branch))
	s.talk(at+ring, c, q, text, length)
}

// talk lets q, an INVITE, be answered and ended by the caller.
func (s *scene) talk(at time.Duration, c caller, q request, text string, length time.Duration) {
	s.hears(at, c, reply(text, 200, "t-"+q.branch))
	for _, method := range []string{"ACK", "BYE"} {
		end := s.next(q)
		end.method, end.toTag = method, "t-"+q.branch
		if method == "BYE" {
			end.cseq++
			at += length
		}
		s.says(at+trip, c, end.String())
		if method == "BYE" {
			s.hears(at+2*trip, c, reply(end.String(), 200, ""))
		}
	}
}

// run judges the scene.
func (s *scene) run(t *testing.T, checks []judge.Charge) *Report {
	t.Helper()
	slices.SortStableFunc(s.lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	c := newTape(t)
	next := map[[2]netip.AddrPort]uint32{}
	for _, l := range s.lines {
		c.at = start.Add(l.at)
		way := [2]netip.AddrPort{l.src, l.dst}
		switch seq := next[way]; {
		case !l.stream:
			c.udp(l.src, l.dst, l.text)
			continue
		case seq == 0:
			c.tcp(l.src, l.dst, 1, syn, "")
			next[way] = 2
			fallthrough
		default:
			c.tcp(l.src, l.dst, next[way], ack, l.text)
			next[way] += uint32(len(l.text))
		}
	}
	r, err := Run(bytes.NewReader(c.bytes()), Config{Inside: []netip.Prefix{netip.PrefixFrom(platform.Addr(), 32), netip.PrefixFrom(platform6.Addr(), 128)}, Checks: checks, Key: testKey})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// blames are callers who are to be found, one source each.
func blames(list ...caller) Label {
	l := Label{Kind: "attack", Class: "variant"}
	for _, c := range list {
		if s := edge.SourceOf(c.at.Addr()); !slices.Contains(l.Attackers, s) {
			l.Attackers = append(l.Attackers, s)
		}
	}
	return l
}
