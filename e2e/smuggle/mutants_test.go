package smuggle

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// Mutants are messages spoilt at random, but always in the same way: number n of a file is made from the file's name and n.

// parents are what mutants are made from: all messages there are.
func parents(t testing.TB) (all []sample) {
	all = append(ownSamples(t), sample{name: "honest", raw: honest().String()}, sample{name: "evil", raw: evil})
	for _, row := range rows { // and every fortieth trial, which is odd already
		for i, trial := range row.trials() {
			if i%40 == 0 && len(trial.raw) < 8000 {
				all = append(all, sample{name: fmt.Sprint(row.id, i), raw: trial.raw})
			}
		}
	}
	return slices.Concat(all, rfcSamples(t, "rfc4475"), rfcSamples(t, "rfc5118"))
}

// spice is what is put into mutants.
var spice = []string{"\r\n", "\r", "\n", "\r\n\r\n", "\r\n ", "\x00", "\"", "\\", "<", ">", ";", ",", ":", "=", "@", "?", "&", "%", "%00", "%0d%0a", "[", "]", "[::]", " ", "\t", "*", "(", ")", "\xff", "\xc3\xa9", "\xe2\x80\xa8",
	"-1", "0", "00", "255", "256", "65535", "65536", "2147483648", "4294967296", "18446744073709551616", "SIP/2.0", "SIP/2.0 200 OK", "INVITE", "REGISTER sip:a SIP/2.0", "Via: SIP/2.0/UDP a;branch=z9hG4bK", "Content-Length: 0", "l: 5", "From: ", "t:", "sip:",
	"sips:a@b", "tel:+1", ";branch=z9hG4bK", ";received=10.0.0.1", ";rport", ";maddr=224.0.0.1", ";lr", "Route: <sip:127.0.0.1;lr>", "Contact: *", "Expires: 0", strings.Repeat("a", 300), strings.Repeat(";p", 70), strings.Repeat(",<sip:a>", 40)}

// mutant is number n of parent.
func mutant(all []sample, parent, n int) string {
	h := fnv.New64a()
	_, _ = io.WriteString(h, all[parent].name)
	r := rand.New(rand.NewPCG(h.Sum64(), uint64(n)))
	b := all[parent].raw
	for range 1 + r.IntN(1+r.IntN(4)) {
		b = mutate(r, b, all)
	}
	return b
}

// mutate changes b in one way.
func mutate(r *rand.Rand, b string, all []sample) string {
	at := r.IntN(len(b) + 1)
	to := min(len(b), at+1+r.IntN(1+r.IntN(40)))
	lines := strings.SplitAfter(b, "\r\n")
	i, k := r.IntN(len(lines)), r.IntN(len(lines))
	switch r.IntN(12) {
	case 0, 1:
		return b[:at] + spice[r.IntN(len(spice))] + b[at:]
	case 2:
		return b[:at] + spice[r.IntN(len(spice))] + b[to:]
	case 3:
		return b[:at] + string([]byte{byte(r.IntN(256))}) + b[to:]
	case 4:
		return b[:at] + string([]byte{byte(r.IntN(256))}) + b[at:]
	case 5:
		return b[:at] + b[to:]
	case 6:
		return b[:to] + b[at:]
	case 7:
		lines[i], lines[k] = lines[k], lines[i]
	case 8:
		lines[i] = strings.Repeat(lines[i], 1+r.IntN(4))
	case 9:
		other := all[r.IntN(len(all))].raw
		return b[:at] + other[r.IntN(len(other)+1):]
	case 10:
		lines[i] = strings.ToUpper(lines[i])
	case 11:
		return b[:at]
	}
	return strings.Join(lines, "")
}

// TestMutants is the short form, TestSlowMutants the full one.
func TestMutants(t *testing.T) { mutants(t, 16_000) }

func TestSlowMutants(t *testing.T) {
	if os.Getenv("RINGWALL_SLOW") != "1" {
		t.Skip("takes minutes: run it with RINGWALL_SLOW=1 (make e2e-slow)")
	}
	if raced {
		mutants(t, 100_000)
		return
	}
	mutants(t, 300_000)
}

// batch is how many mutants are sent between two heartbeats.
const batch = 40

// mutants sends total mutants to one edge, half of them over UDP and half over TCP, and wants an honest request answered after each
// batch, no panic, only canonical messages behind the edge, and memory and descriptors in the end as they were in the beginning.
func mutants(t *testing.T, total int) {
	all := parents(t)
	site := newSite(t, "mutants", "", monitor)
	var next, arrived atomic.Int64
	site.platform.watch = func(a *arrival) {
		arrived.Add(1)
		for _, fault := range a.faults {
			t.Errorf("what arrived is not canonical: %s\n%q", fault, a.raw)
		}
	}
	send := func(until int) {
		var running sync.WaitGroup
		for i := range 6 {
			s := newStation(t, site, []string{"udp", "tcp"}[i%2])
			running.Go(func() {
				for n := int(next.Add(batch)); n <= until && !t.Failed(); n = int(next.Add(batch)) {
					s.batch(all, n-batch)
				}
				s.hangup()
			})
		}
		running.Wait()
		next.Store(int64(until))
	}
	send(total / 8) // warms up
	settled(site)
	memory, descriptors := site.edge.Memory(), site.edge.Descriptors()
	send(total)
	settled(site)
	grown := site.edge.Memory() - memory
	t.Logf("%d mutants of %d messages, %d got through; memory %d KiB, grown by %d; descriptors %d, before %d", total, len(all), arrived.Load(), memory>>10, grown>>10, site.edge.Descriptors(), descriptors)
	if n := site.edge.Counter("ringwall_transport_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
	if grown > 24<<20 && !raced { // the race detector keeps a lot
		t.Errorf("memory grew by %d KiB", grown>>10)
	}
	if !siptest.Eventually(func() bool { return site.edge.Descriptors() <= descriptors }) {
		t.Errorf("%d descriptors, %d before", site.edge.Descriptors(), descriptors)
	}
}

// TestMutantReplies spoils what the platform answers: what comes back to the caller is canonical, and the edge goes on.
func TestMutantReplies(t *testing.T) {
	site := newSite(t, "replies", "", monitor)
	all := parents(t)
	for _, way := range []string{"udp", "tcp"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s, came := newStation(t, site, way), 0
			for n := range 1500 {
				id := newID()
				site.platform.answerWith(id, func(a *arrival) string {
					r := rand.New(rand.NewPCG(uint64(n), 1))
					b := a.reply(200)
					for range 1 + r.IntN(2) {
						b = mutate(r, b, all)
					}
					return b
				})
				s.hangup()
				_ = s.wire().send(s.fill(honest().String(), id))
				markID := newID()
				_ = s.wire().send(s.fill(honest().String(), markID))
				for {
					m, err := s.w.next(siptest.Deadline)
					if err != nil {
						t.Fatalf("%s: after reply %d: %v", way, n, err)
					}
					for _, fault := range readReply(m) {
						t.Errorf("reply %d is not canonical: %s\n%q", n, fault, m)
					}
					if strings.Contains(m, id) && statusOf(m) >= 200 {
						came++
					}
					if strings.Contains(m, markID) && statusOf(m) >= 200 {
						break
					}
				}
				site.platform.finish(id)
				site.platform.finish(markID)
			}
			t.Logf("%d of 1500 came back", came)
		})
	}
}

// settled waits until what was sent has been forgotten.
func settled(s *site) {
	siptest.Eventually(func() bool { return s.edge.Counter("ringwall_transactions") == 0 })
}

// batch sends mutants from number first on, then an honest request.
func (s *station) batch(all []sample, first int) {
	s.hangup()
	s.ip = siptest.OwnIP()
	var open []*wire
	for n := first; n < first+batch; n++ {
		raw := mutant(all, n%len(all), n/len(all))
		if s.way == "udp" {
			_ = s.wire().send(raw)
			continue
		}
		w, err := dial("tcp", s.ip, s.site.to("tcp"))
		if err != nil {
			s.Errorf("mutant %d: %v", n, err)
			return
		}
		_ = w.send(raw)
		_ = w.Conn.(*net.TCPConn).CloseWrite()
		open = append(open, w)
	}
	for _, w := range open {
		_ = w.SetReadDeadline(time.Now().Add(siptest.Deadline))
		if _, err := io.Copy(io.Discard, w.Conn); err != nil && isTimeout(err) {
			s.Errorf("a connection stays open after one of mutants %d to %d", first, first+batch)
		}
		w.Close()
	}
	if !s.mark().passed {
		s.Errorf("no heartbeat after mutants %d to %d", first, first+batch)
	}
}
