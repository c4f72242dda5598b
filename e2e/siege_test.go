package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// siegeMemory is limits.memory of the edge under siege, in MiB.
const siegeMemory = 512

// A siege is an edge that is flooded while others want to be served: a registered phone, a peer, and newcomers.
type siege struct {
	*testing.T
	edge     *siptest.Edge
	platform *sink
	phone    *siptest.UA // registered over UDP
	peer     netip.Addr  // of a carrier over TCP

	goroutines, descriptors, memory int // before
	most                            atomic.Int64
	probes                          []*probe
	began                           time.Time     // watch
	used                            time.Duration // processor time by then
	stop                            chan struct{}
	running                         sync.WaitGroup
}

// newSiege starts an edge whose limits are those of keys, or the defaults in siegeMemory. It must stand what comes without any check.
func newSiege(t *testing.T, keys siptest.Keys) *siege {
	t.Helper()
	peer := siptest.OwnIP()
	all := siptest.Keys{
		"checks": "{mode: off}",
		"limits": fmt.Sprintf("{memory: %dMiB}", siegeMemory),
		"peers":  fmt.Sprintf("[{name: carrier, uri: \"sip:%s\", transport: tcp, match: [%s]}]", peer, peer),
	}
	for key, value := range keys {
		all[key] = value
	}
	s := &siege{T: t, platform: newSink(t), peer: netip.MustParseAddr(peer), stop: make(chan struct{})}
	s.edge = siptest.StartEdge(t, siptest.Outlets{Upstream: []string{"sip:" + s.platform.addr.String()}, Secure: true}, all)
	s.phone = siptest.NewPhone(t, "alice", "udp", "", s.edge.Outside)
	s.phone.MustRegister()
	if !complete(s.phone) {
		t.Fatal("no call before the siege")
	}
	s.goroutines, s.descriptors, s.memory = int(s.edge.Counter("go_goroutines")), s.edge.Descriptors(), s.edge.Memory()
	return s
}

// watch lets phone, peer and newcomers work until relieved, and looks at the edge's memory.
func (s *siege) watch() {
	s.began, s.used = time.Now(), s.edge.CPU()
	known := s.phone.Addr.Addr().String()
	s.try("phone calls, UDP", 100, func() bool { return complete(s.phone) })
	s.try("phone connects", 100, func() bool { return s.ask(known, "REGISTER") })
	s.try("peer connects", 100, func() bool { return s.ask(s.peer.String(), "MESSAGE") })
	// A newcomer may meet the moment in which more connections come than the edge has had time to read from.
	s.try("newcomer connects", 90, func() bool { return s.ask(siptest.OwnIP(), "OPTIONS") })
	s.running.Go(func() {
		for s.pause(100 * time.Millisecond) {
			s.most.Store(max(s.most.Load(), int64(s.edge.Memory())))
		}
	})
}

// pause waits, and reports whether the siege goes on.
func (s *siege) pause(d time.Duration) bool {
	select {
	case <-s.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// A probe does one thing again and again.
type probe struct {
	name   string
	least  int             // percent that must work
	took   []time.Duration // of what worked
	failed int
}

func (s *siege) try(name string, least int, work func() bool) {
	s.tryEvery(20*time.Millisecond, name, least, work)
}

// tryEvery is try with a pause of one's own. It begins within half a second.
func (s *siege) tryEvery(pause time.Duration, name string, least int, work func() bool) {
	p := &probe{name: name, least: least}
	s.probes = append(s.probes, p)
	s.running.Go(func() {
		for wait := min(pause, 500*time.Millisecond); s.pause(wait); wait = pause {
			began := time.Now()
			if work() {
				p.took = append(p.took, time.Since(began))
			} else {
				p.failed++
			}
		}
	})
}

// at is how long the fastest so many percent took at most.
func (p *probe) at(percent int) time.Duration {
	return p.took[(len(p.took)-1)*percent/100].Round(100 * time.Microsecond)
}

// withstand goes through one flood: those inside are served while it lasts, told says what else it did, and afterwards all is as before.
func (s *siege) withstand(told func(), name string, args ...int) {
	s.Helper()
	s.watch()
	f := s.flood(name, args...)
	s.relieve()
	told()
	f.over()
	s.recovered()
}

// relieve ends the probes and tells how they and the edge's memory fared.
func (s *siege) relieve() {
	s.Helper()
	s.fared()
	s.Logf("memory: %d MiB before, at most %d, now %d; limit %d; processor time %v in %v", s.memory>>20, s.most.Load()>>20, s.edge.Memory()>>20,
		siegeMemory, s.edge.CPU()-s.used, time.Since(s.began).Round(time.Millisecond))
	if s.most.Load() > siegeMemory<<20 && !raced() {
		s.Errorf("memory: %d MiB", s.most.Load()>>20)
	}
}

// fared ends the probes, a second after the beginning at the earliest, and tells how they fared.
func (s *siege) fared() {
	s.Helper()
	time.Sleep(time.Until(s.began.Add(time.Second))) // so that there is something to tell
	close(s.stop)
	s.running.Wait()
	for _, p := range s.probes {
		if len(p.took) == 0 {
			if !raced() {
				s.Errorf("%s: never worked, %d times", p.name, p.failed)
			}
			continue
		}
		slices.Sort(p.took)
		s.Logf("%-18s %5d of %5d, median %v, p99 %v, longest %v", p.name, len(p.took), len(p.took)+p.failed, p.at(50), p.at(99), p.at(100))
		if all := len(p.took) + p.failed; len(p.took)*100 < all*p.least && !raced() {
			s.Errorf("%s: %d of %d failed", p.name, p.failed, all)
		}
	}
}

// recovered waits until goroutines and descriptors are what they were. It is given the minute of the requirement, and more on a busy
// machine.
func (s *siege) recovered() {
	s.Helper()
	began := time.Now()
	var goroutines, descriptors int
	for time.Since(began) < 90*time.Second {
		goroutines, descriptors = int(s.edge.Counter("go_goroutines")), s.edge.Descriptors()
		if goroutines <= s.goroutines+5 && descriptors <= s.descriptors+5 {
			s.Logf("%v after it: %d goroutines (%d before), %d descriptors (%d before)", time.Since(began).Round(100*time.Millisecond),
				goroutines, s.goroutines, descriptors, s.descriptors)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Errorf("%d goroutines (%d before), %d descriptors (%d before) are left", goroutines, s.goroutines, descriptors, s.descriptors)
}

// ask makes a connection from ip, sends a request, and reports whether a 200 came.
func (s *siege) ask(ip, method string) bool {
	c := dialFrom(ip, s.edge.Outside)
	if c == nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * siptest.Deadline))
	if _, err := c.Write(plainRequest(method, "tcp", "ask"+siptest.ID(), "")); err != nil {
		return false
	}
	answer := make([]byte, 4096)
	for n := 0; n < len(answer); {
		k, err := c.Read(answer[n:])
		if n += k; bytes.Contains(answer[:n], []byte("\r\n\r\n")) {
			return bytes.HasPrefix(answer, []byte("SIP/2.0 200 "))
		}
		if err != nil {
			return false
		}
	}
	return false
}

// plainRequest is a request with a Call-ID and further lines.
func plainRequest(method, transport, id, more string) []byte {
	return fmt.Appendf(nil, "%s sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/%s 192.0.2.1:5060;branch=z9hG4bK%s;rport\r\nFrom: <sip:m@example.com>;tag=%s\r\n"+
		"To: <sip:bob@example.com>\r\nCall-ID: %s\r\nCSeq: 1 %s\r\nContact: <sip:m@192.0.2.1:5060>\r\nMax-Forwards: 70\r\n%sContent-Length: 0\r\n\r\n",
		method, strings.ToUpper(transport), id, id, id, method, more)
}

// A sink is a platform on UDP that keeps nothing: it answers every request with 200 at once, but for those whose Call-ID begins with "quiet".
type sink struct {
	addr netip.AddrPort
	got  atomic.Int64 // requests
}

func newSink(t *testing.T) *sink {
	t.Helper()
	addr, err := siptest.FreeAddr(siptest.OwnIP())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	s := &sink{addr: addr}
	var reading sync.WaitGroup
	reading.Go(func() { s.serve(c) })
	t.Cleanup(func() { c.Close(); reading.Wait() })
	return s
}

func (s *sink) serve(c *net.UDPConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < 20 || bytes.HasPrefix(buf[:n], []byte("SIP/2.0")) {
			continue
		}
		s.got.Add(1)
		if answer := s.answer(string(buf[:n])); answer != "" {
			_, _ = c.WriteToUDPAddrPort([]byte(answer), from)
		}
	}
}

// answer is the 200 to a request, "" for none.
func (s *sink) answer(request string) string {
	method, rest, _ := strings.Cut(request, " ")
	var b strings.Builder
	b.WriteString("SIP/2.0 200 OK\r\n")
	for line := range strings.SplitSeq(rest, "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "To":
			if !strings.Contains(value, ";tag=") {
				line += ";tag=sink"
			}
		case "Call-ID":
			if strings.HasPrefix(value, "quiet") {
				return ""
			}
		case "Contact":
			if method != "REGISTER" {
				continue
			}
			line += ";expires=3600"
		case "Via", "From", "CSeq", "Record-Route":
		default:
			continue
		}
		b.WriteString(line + "\r\n")
	}
	if method == "ACK" {
		return ""
	}
	if method == "INVITE" {
		fmt.Fprintf(&b, "Contact: <sip:sink@%v>\r\n", s.addr)
	}
	return b.String() + "Content-Length: 0\r\n\r\n"
}

// size is full where a story has its full size, or what the race detector bears: it knows 8,128 goroutines.
func size(full int) int {
	if raced() {
		return min(full, 3000)
	}
	return full
}

// raced reports whether the edge has the race detector in it, which takes several times the memory and the time: then a siege looks for races
// and for what is left over, not for how others fare.
func raced() bool { return os.Getenv("RINGWALL_RACE") != "" }
