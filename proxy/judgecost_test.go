//go:build !race

package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/sip"
)

// BenchmarkInnocent is what the judge and all checks together cost the messages of innocent phones, each kind for itself and in the median over all
// of them. Goal: 300 ns. Hot is one phone, whose entries in all tables stay in the nearest cache; crowd is 10,000 phones at as many addresses, each of
// which sends its next message after all others have sent theirs; strangers are as many that the platform does not know yet; off is the crowd with
// no check at work.
func BenchmarkInnocent(b *testing.B) {
	for _, way := range []struct {
		name   string
		mode   judge.Mode
		phones int
		known  bool
	}{{"hot", judge.Enforce, 1, true}, {"crowd", judge.Enforce, 10_000, true}, {"strangers", judge.Enforce, 10_000, false}, {"off", judge.Off, 10_000, true}} {
		b.Run(way.name, func(b *testing.B) {
			s := &street{bench: newJudged(b, way.mode, nil), was: make([]edge.Asked, way.phones), cost: map[string][]float64{}}
			s.l.cfg, s.now = s.p.cfg.Load(), time.Now() // as what is received is dated: with the clock that nobody sets
			if way.known {
				s.live()
			}
			s.known = way.known
			clear(s.cost)
			for b.Loop() {
				s.live()
			}
			s.report(b)
		})
	}
}

// together is how many messages of one kind are timed together: few enough that what was read of them is in the nearest cache, as it is when the
// judge comes to the one message that has just been read.
const together = 8

// A street is where phones live that register and make a call each.
type street struct {
	*bench
	was   []edge.Asked // the last request of each phone
	days  int          // that the phones lived for
	known bool
	batch [together]visit
	cost  map[string][]float64 // nanoseconds for one message of each kind, batch by batch
}

// A visit is one phone and what it sends and gets at the moment.
type visit struct {
	n    int
	text []byte
	msg  sip.Message
	x    edge.Exchange
	was  edge.Asked
}

// live has each phone register and make a call.
func (s *street) live() {
	for _, step := range steps {
		for n := 0; n < len(s.was); n += together {
			for i := range s.batch {
				s.batch[i].prepare(s, step, (n+i)%len(s.was))
			}
			began := time.Now()
			for i := range s.batch {
				s.batch[i].happen(s, step)
			}
			s.cost[step.name] = append(s.cost[step.name], float64(time.Since(began))/together)
			for i := range s.batch {
				s.was[s.batch[i].n] = s.batch[i].was
			}
		}
	}
	s.days++
}

// happen is what is measured.
func (v *visit) happen(s *street, step step) {
	switch {
	case step.match == edge.MatchACK: // as admit, which does not ask about it
	case step.response == "":
		if out := s.l.hear(&v.x); out.Action > edge.Note {
			s.t.Fatalf("%s of an innocent phone: %+v", step.name, out)
		}
		v.was = v.x.Asked
	case judge.Telling(&v.was, v.msg.Status):
		s.l.watched(&v.x, &v.was)
	}
}

// report gives the median of each kind and of all.
func (s *street) report(b *testing.B) {
	var all []float64
	for _, step := range steps {
		list := s.cost[step.name]
		all = append(all, list...)
		slices.Sort(list)
		b.ReportMetric(list[len(list)/2], step.name)
	}
	slices.Sort(all)
	b.ReportMetric(all[len(all)/2], "median-ns")
	b.ReportMetric(0, "ns/op")
}

// A step is one message of a phone, or a response to the one before.
type step struct {
	name, method, response, fields string
	uri, to                        string
	match                          edge.Match
}

const (
	answerField = `uri="sip:example.com", response="5d41402abc4b2a76b9719d911017c592", algorithm=MD5, cnonce="9a7b3c5d", qop=auth, nc=00000001` + "\r\n"
	allows      = "Allow: PRACK, INVITE, ACK, BYE, CANCEL, UPDATE, INFO, SUBSCRIBE, NOTIFY, REFER, MESSAGE, OPTIONS\r\nSupported: replaces, 100rel, timer, norefersub\r\n"
	contactLine = "Contact: \"Phone\" <sip:u%[1]d@192.168.1.20:5060;ob>\r\n"
)

var steps = []step{
	{name: "REGISTER", method: "REGISTER", uri: "sip:example.com", to: "<sip:u%[1]d@example.com>", fields: contactLine + allows + "Expires: 300\r\n"},
	{name: "401", method: "REGISTER", response: "401 Unauthorized", fields: `WWW-Authenticate: Digest realm="example.com", nonce="a%023[2]d", qop="auth", algorithm=MD5` + "\r\n"},
	{name: "REGISTER+auth", method: "REGISTER", uri: "sip:example.com", to: "<sip:u%[1]d@example.com>", fields: contactLine + allows + "Expires: 300\r\n" +
		`Authorization: Digest username="u%[1]d", realm="example.com", nonce="a%023[2]d", ` + answerField},
	{name: "200-REGISTER", method: "REGISTER", response: "200 OK", fields: contactLine},
	{name: "OPTIONS", method: "OPTIONS", uri: "sip:example.com", to: "<sip:example.com>", fields: contactLine + allows},
	{name: "INVITE", method: "INVITE", uri: "sip:0301234567@example.com", to: "<sip:0301234567@example.com>", fields: contactLine + allows},
	{name: "407", method: "INVITE", response: "407 Proxy Authentication Required", fields: `Proxy-Authenticate: Digest realm="example.com", nonce="b%023[2]d", qop="auth", algorithm=MD5` + "\r\n"},
	{name: "ACK-407", method: "ACK", uri: "sip:0301234567@example.com", to: "<sip:0301234567@example.com>;tag=b", match: edge.MatchACK},
	{name: "INVITE+auth", method: "INVITE", uri: "sip:0301234567@example.com", to: "<sip:0301234567@example.com>", fields: contactLine + allows +
		`Proxy-Authorization: Digest username="u%[1]d", realm="example.com", nonce="b%023[2]d", ` + answerField},
	{name: "100", method: "INVITE", response: "100 Trying"},
	{name: "180", method: "INVITE", response: "180 Ringing", fields: contactLine},
	{name: "200-INVITE", method: "INVITE", response: "200 OK", fields: contactLine},
	{name: "ACK", method: "ACK", uri: "sip:0301234567@192.0.2.1", to: "<sip:0301234567@example.com>;tag=b", match: edge.MatchInDialog},
	{name: "BYE", method: "BYE", uri: "sip:0301234567@192.0.2.1", to: "<sip:0301234567@example.com>;tag=b", match: edge.MatchInDialog},
	{name: "200-BYE", method: "BYE", response: "200 OK"},
}

// prepare makes the message of a step of phone n, and reads it as the lane does.
func (v *visit) prepare(s *street, step step, n int) {
	s.now = s.now.Add(2 * time.Second / time.Duration(min(len(s.was), 2000)))
	id := s.days*len(s.was) + n
	v.n, v.was = n, s.was[n]
	head, to := step.method+" "+step.uri+" SIP/2.0", step.to
	if step.response != "" {
		head, to = "SIP/2.0 "+step.response, "<sip:u%[1]d@example.com>;tag=b"
	}
	text := head + "\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bKPj%[1]d.%[2]d\r\nMax-Forwards: 70\r\nFrom: <sip:u%[1]d@example.com>;tag=f%[2]d\r\nTo: " + to +
		"\r\nCall-ID: 3c26700d-%[2]d\r\nCSeq: 4711 " + step.method + "\r\nUser-Agent: ExamplePhone 5.18.2 (x86_64/linux)\r\n" + step.fields + "Content-Length: 0\r\n\r\n"
	if v.text = fmt.Appendf(v.text[:0], text, 1000+n, id); v.msg.Parse(v.text, true) != nil {
		s.t.Fatalf("%s", v.text)
	}
	v.x = edge.Exchange{Msg: &v.msg, From: s.outside, At: s.now, Match: step.match}
	if step.response != "" {
		v.x.From, v.x.Match, v.x.Trust = s.inside, edge.MatchReply, edge.Peer
		return
	}
	if s.known {
		v.x.Trust = edge.Known
	} else {
		n = id // each day brings other strangers
	}
	v.x.From.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(11 + n>>16), byte(n >> 8), byte(n), 7}), uint16(1024+n%50_000))
}
