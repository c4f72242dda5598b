package smuggle

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// A site is an edge with a platform behind it.
type site struct {
	name     string
	edge     *siptest.Edge
	platform *platform
	refused  atomic.Int64
}

// to is where the site listens for a way.
func (s *site) to(way string) netip.AddrPort {
	switch way {
	case "tls":
		return s.edge.TLS
	case "ws":
		return s.edge.WS
	case "wss":
		return s.edge.WSS
	}
	return s.edge.UDP
}

// A station is a sender outside with an address of its own, which speaks one way to one site.
type station struct {
	*testing.T
	site *site
	way  string
	ip   string
	w    *wire // nil if there is none open
	ran  int
}

func newStation(t *testing.T, s *site, way string) *station {
	st := &station{T: t, site: s, way: way, ip: siptest.OwnIP()}
	t.Cleanup(st.hangup)
	return st
}

func (s *station) hangup() {
	if s.w != nil {
		s.w.Close()
		s.w = nil
	}
}

// wire is the open wire, or a new one.
func (s *station) wire() *wire {
	s.Helper()
	if s.w == nil {
		w, err := dial(s.way, s.ip, s.site.to(s.way))
		if err != nil {
			s.Fatalf("%s does not take a connection: %v\n%s", s.site.name, err, s.site.edge.Log())
		}
		s.w = w
	}
	return s.w
}

// lastID numbers trials and marks.
var lastID atomic.Int64

func newID() string { return fmt.Sprintf("k%07d", lastID.Add(1)) }

// fill replaces the placeholders of text.
func (s *station) fill(text, id string) string {
	name := map[string]string{"udp": "UDP", "tcp": "TCP", "tls": "TLS", "ws": "WS", "wss": "WSS"}[s.way]
	return strings.NewReplacer(caseID, id, transport, name, address, s.wire().LocalAddr().String()).Replace(text)
}

// filled is t with its placeholders replaced.
func (s *station) filled(t trial, id string) trial {
	t.raw, t.start = s.fill(t.raw, id), s.fill(t.start, id)
	fields := make([]field, len(t.fields))
	for i, f := range t.fields {
		fields[i] = field{f.name, s.fill(f.value, id)}
	}
	t.fields = fields
	if t.body != nil {
		body := s.fill(*t.body, id)
		t.body = &body
	}
	return t
}

// An echo is what came back of a trial.
type echo struct {
	status []int  // of the answers, without provisional ones
	closed bool   // the connection that brought it was closed by the edge
	passed bool   // what was sent behind it over the same connection got through
	mark   string // the id of that
}

// run sends one trial, then honest requests as marks, and judges what became of it. When a mark has got through, the trial has
// been dealt with.
func (s *station) run(t trial) {
	s.Helper()
	id := newID()
	t = s.filled(t, id)
	s.ran++
	if t.fate == none && !t.waits {
		s.site.refused.Add(1)
	}
	var e echo
	if t.waits && kind(s.way) == "stream" {
		s.leave(t.raw)
	} else {
		e = s.exchange(t.raw, id)
	}
	if e.closed {
		s.hangup()
		if next := s.mark(); !next.passed {
			s.Fatalf("%q: the edge takes nothing any more:\n%s", t.name, s.site.edge.Log())
		}
	}
	for _, wrong := range s.verdict(&t, id, e) {
		s.Errorf("%q: %s", t.name, wrong)
	}
	s.site.platform.finish(id)
}

// leave sends raw over a connection of its own, which is left alone.
func (s *station) leave(raw string) {
	s.Helper()
	s.hangup()
	_ = s.wire().send(raw)
	s.Cleanup(func(w *wire) func() { return func() { w.Close() } }(s.w))
	s.w = nil
	s.mark()
}

// verdict compares what should be with what is.
func (s *station) verdict(t *trial, id string, e echo) (wrong []string) {
	arrived := s.site.platform.arrived(id)
	for _, a := range arrived {
		for _, what := range t.judge(a, t.raw) {
			wrong = append(wrong, fmt.Sprintf("%s\n%q", what, a.raw))
		}
	}
	switch {
	case len(arrived) > 1:
		wrong = append(wrong, fmt.Sprintf("%d messages arrived", len(arrived)))
	case len(arrived) == 0 && t.fate == pass:
		wrong = append(wrong, fmt.Sprintf("did not arrive; answered %v; sent\n%.3000q", e.status, t.raw))
	}
	if t.fate == none {
		wrong = append(wrong, s.refusal(t, e)...)
	}
	behind := e.passed || e.closed && len(s.site.platform.arrived(e.mark)) > 0
	if kind(s.way) != "datagram" && t.closes && (!e.closed || behind) {
		wrong = append(wrong, fmt.Sprintf("the connection is used on (closed %v, next passed %v)", e.closed, behind))
	}
	return wrong
}

// refusal says what is wrong with the answer to what is refused: over UDP nothing, over a connection the status.
func (s *station) refusal(t *trial, e echo) (wrong []string) {
	if kind(s.way) == "datagram" {
		if len(e.status) > 0 {
			wrong = append(wrong, fmt.Sprintf("a source that proved nothing gets %v", e.status))
		}
		return wrong
	}
	if t.status != 0 && (len(e.status) != 1 || e.status[0] != t.status) && !t.waits {
		wrong = append(wrong, fmt.Sprintf("answered %v, not %d", e.status, t.status))
	}
	for _, status := range e.status {
		if status < 400 {
			wrong = append(wrong, fmt.Sprintf("refused, and answered %d", status))
		}
	}
	return wrong
}

// mark sends an honest request and waits until it is answered.
func (s *station) mark() echo {
	s.Helper()
	return s.exchange("", "")
}

// exchange sends raw and an honest request behind it, and collects what comes back until that is answered or the wire ends.
func (s *station) exchange(raw, id string) (e echo) {
	s.Helper()
	w := s.wire()
	markID := newID()
	e.mark = markID
	mark := s.filled(trial{raw: honest().String(), fate: pass}, markID)
	if raw != "" {
		_ = w.send(raw) // fails if the edge was quick to close
	}
	_ = w.send(mark.raw)
	for end := time.Now().Add(siptest.Deadline); time.Now().Before(end); {
		m, err := w.next(siptest.Deadline / 5)
		switch {
		case err != nil && isTimeout(err):
			if s.way == "udp" { // lost?
				_ = w.send(mark.raw)
			}
		case err != nil && s.way == "udp": // an ICMP error
		case err != nil:
			e.closed = true
			return e
		case strings.Contains(m, markID):
			if !strings.HasPrefix(m, "SIP/2.0 1") {
				e.passed = true
				s.honest(&mark, markID, m)
				return e
			}
		case id != "" && strings.Contains(m, id) || strings.HasPrefix(m, "SIP/2.0 4"):
			if status := statusOf(m); status >= 200 {
				e.status = append(e.status, status)
			}
		}
	}
	s.Errorf("no answer to an honest request within %v after %.300q", siptest.Deadline, raw)
	return e
}

// final waits for the final response that holds id, "" if none comes.
func (s *station) final(id string) string {
	s.Helper()
	for end := time.Now().Add(siptest.Deadline); time.Now().Before(end); {
		m, err := s.wire().next(siptest.Deadline)
		if err != nil {
			return ""
		}
		if strings.Contains(m, id) && statusOf(m) >= 200 {
			return m
		}
	}
	return ""
}

// honest wants the mark relayed as it should be.
func (s *station) honest(mark *trial, id, answer string) {
	s.Helper()
	arrived := s.site.platform.arrived(id)
	defer s.site.platform.finish(id)
	if statusOf(answer) != 200 || len(arrived) != 1 {
		s.Errorf("an honest request arrived %d times and is answered %q", len(arrived), answer)
		return
	}
	for _, what := range mark.judge(arrived[0], mark.raw) {
		s.Errorf("an honest request: %s\n%q", what, arrived[0].raw)
	}
}

func statusOf(m string) (status int) {
	_, _ = fmt.Sscanf(m, "SIP/2.0 %d", &status)
	return status
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}
