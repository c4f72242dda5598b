//go:build !race

package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
)

// A refresher registers the same phones again and again, without sockets: what the lane sends is read where it was written,
// and lost when the socket, which is closed, is to send it.
type refresher struct {
	*bench
	phones []edge.Flow
	asked  [][]byte // a REGISTER of each phone
	n      int64
	step   time.Duration // between two
	answer []byte
}

const refreshRequest = "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP %[1]s;branch=z9hG4bKc10000000;rport\r\n" +
	"Max-Forwards: 70\r\nFrom: \"Alice Example\" <sip:alice@example.com>;tag=f10000000\r\nTo: <sip:u%[2]d@example.com>\r\n" +
	"Call-ID: %[2]d@caller.example.net\r\nCSeq: 10000000 REGISTER\r\nContact: <sip:u%[2]d@%[1]s>\r\nExpires: 3600\r\n" +
	"User-Agent: Example Phone 7.2.1\r\nContent-Length: 0\r\n\r\n"

// newRefresher makes phones and registers each once, in one of the dryWays; path has them reached by Path. Judged ones have an address each, and register
// no more than once a second.
func newRefresher(t testing.TB, phones int, way string, path bool) *refresher {
	r := &refresher{n: 10_000_000, step: 20 * time.Microsecond}
	change := func(c *Config) {
		c.Path, c.Transactions.Linger, c.Transactions.Max = path, time.Second, 200_000
		if way != "shown" {
			hideDry(c)
		}
	}
	if way == "judged" {
		r.bench, r.step = newJudged(t, judge.Enforce, change), time.Second/time.Duration(phones)
	} else {
		r.bench = newBench(t, change)
	}
	r.p.srv.Close()
	r.now = time.Now() // as what is received is dated: with the clock that nobody sets
	for i := range phones {
		f := r.outside
		f.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, 0, byte(i % 16)}), uint16(5000+i/16))
		if way == "judged" {
			f.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(2 + i>>8), byte(i), 1}), 5066)
		}
		r.phones = append(r.phones, f)
		r.asked = append(r.asked, fmt.Appendf(nil, refreshRequest, f.Remote, i))
	}
	for range phones {
		r.refresh()
	}
	if n := r.p.bindings.Len(); n != phones {
		t.Fatalf("%d bindings of %d phones", n, phones)
	}
	return r
}

// refresh sends one REGISTER and its 200 through the lane, a step after the one before.
func (r *refresher) refresh() {
	if r.n++; r.n%512 == 0 {
		r.l.timers(r.now)
	}
	i := r.n % int64(len(r.asked))
	r.now = r.now.Add(r.step)
	renumber(r.asked[i], r.n)
	vias, rest := r.cut(r.through(r.asked[i], r.phones[i]), "Max-Forwards: 69\r\n")
	_, vias = r.cut(vias, " SIP/2.0\r\n")
	fields, _ := r.cut(rest, "\r\nExpires: 3600\r\n")
	r.answer = append(append(append(r.answer[:0], "SIP/2.0 200 OK\r\n"...), vias...), fields...)
	r.answer = append(r.answer, ";expires=3600\r\nContent-Length: 0\r\n\r\n"...)
	r.cut(r.through(r.answer, r.inside), "SIP/2.0 200 OK\r\n")
}

// cut cuts a message at a text that it must hold.
func (r *refresher) cut(msg []byte, at string) (before, after []byte) {
	before, after, ok := bytes.Cut(msg, []byte(at))
	if !ok {
		r.t.Fatalf("no %q in %q", at, msg)
	}
	return before, after
}

// through hands the lane a message and returns what it sends on.
func (r *refresher) through(msg []byte, from edge.Flow) []byte {
	free := r.l.out.Buffer()
	r.l.Receive(msg, from, r.now)
	sent := free[:4096]
	return sent[:bytes.Index(sent, []byte("\r\n\r\n"))+4]
}

// TestRefreshDoesNotAllocate: a registration that only goes on costs no memory.
func TestRefreshDoesNotAllocate(t *testing.T) {
	for _, way := range dryWays {
		for _, path := range []bool{false, true} {
			r := newRefresher(t, 100, way, path)
			for range 20_000 {
				r.refresh()
			}
			if n := testing.AllocsPerRun(1000, r.refresh); n >= 1 {
				t.Errorf("%s, path %v: %v allocations per refresh", way, path, n)
			}
		}
	}
}

// BenchmarkRefresh is one REGISTER and its 200 without the system calls; best-ns is the best of many short runs, which other
// work of the machine disturbs least.
func BenchmarkRefresh(b *testing.B) {
	for _, way := range dryWays {
		b.Run(way, func(b *testing.B) {
			r := newRefresher(b, 1000, way, false)
			for range 20_000 {
				r.refresh()
			}
			b.ReportAllocs()
			const run = 1000
			best := time.Duration(1 << 62)
			n := 0
			began := time.Now()
			for b.Loop() {
				r.refresh()
				if n++; n%run == 0 {
					best = min(best, time.Since(began))
					began = time.Now()
				}
			}
			b.ReportMetric(float64(best.Nanoseconds())/run, "best-ns/op")
		})
	}
}
