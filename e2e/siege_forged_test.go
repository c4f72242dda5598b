package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/siptest"
)

// A forger sends datagrams of any source address that is local: with IP_PKTINFO the sender chooses, and all of 127.0.0.0/8 is local, so
// it needs no namespace, no raw socket and no right.
type forger struct {
	fd int
	to unix.SockaddrInet4
}

func newForger(to netip.AddrPort) (*forger, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &forger{fd, unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}}, unix.Bind(fd, &unix.SockaddrInet4{})
}

// send sends b from an address.
func (f *forger) send(from netip.Addr, b []byte) error {
	info := unix.Inet4Pktinfo{Spec_dst: from.As4()}
	return unix.Sendmsg(f.fd, b, unix.PktInfo4(&info), &f.to, 0)
}

// forged sends a datagram from each of many addresses.
func (f flood) forged() {
	sources, own := f.numbers[0], byte(f.numbers[1])
	from, err := newForger(f.to)
	began := time.Now()
	for i := 0; i < sources && err == nil; i++ {
		err = from.send(forgedSource(i*13, own), forgery(i))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "forge:", err)
		os.Exit(1)
	}
	f.done("%d forged sources at %.0f packets/s", sources, float64(sources)/time.Since(began).Seconds())
}

// forgedSource is the n-th of sixteen million addresses, those of this test's own agents left out.
func forgedSource(n int, own byte) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 127<<24|uint32(n)%(1<<24))
	if a[1] == own || a[1] == 0 {
		a[1] = own + 1
	}
	return netip.AddrFrom4(a)
}

// TestForgedSources is rows F1 and B5 in little: each datagram has another source, and every check is at work. Nothing is kept per source but what
// the share of unknown sources in transactions allows, nobody is banned, and those who are known are served.
func TestForgedSources(t *testing.T) { forged(t, 30_000, judging) }

// TestSlowForgedSources: 1,000,000 of them, with checks and without (F1, B5).
func TestSlowForgedSources(t *testing.T) {
	slow(t)
	t.Run("no checks", func(t *testing.T) { forged(t, 1_000_000, nil) })
	t.Run("every check", func(t *testing.T) { forged(t, 1_000_000, judging) })
}

// judging is every check at work; those who are to be served ask faster than the usual limit allows, so it is higher.
var judging = siptest.Keys{"checks": strings.Replace(allChecks, "flood: {mode: enforce}", "flood: {mode: enforce, rate: 500/s, burst: 1000}", 1)}

func forged(t *testing.T, sources int, keys siptest.Keys) {
	s := newSiege(t, keys)
	series := strings.Count(s.edge.Metrics(), "\n")
	lines := strings.Count(s.edge.Log(), "\n")
	s.withstand(func() {
		t.Logf("the edge took %.0f packets; %.0f transactions; refused for want of room %.0f", s.edge.Counter("ringwall_transport_packets_in_total"),
			s.edge.Counter("ringwall_transactions "), s.edge.Counter(`reason="limit.transactions"`))
		if now := strings.Count(s.edge.Metrics(), "\n"); now > series+20 {
			t.Errorf("%d lines of metrics before, %d now", series, now)
		}
		if grown := strings.Count(s.edge.Log(), "\n") - lines; grown > 20+20*int(time.Since(s.began).Seconds()) {
			t.Errorf("%d lines of log in %v", grown, time.Since(s.began))
		}
		if strings.Contains(s.edge.Log(), "level=ERROR") {
			t.Error("an error in the log")
		}
		if all := (&rig{T: t, edge: s.edge}).banned(); len(all) > 0 {
			t.Errorf("%d sources are banned, %s among them", len(all), all[0])
		}
	}, "forged", sources, int(s.phone.Addr.Addr().As4()[1]))
}

// forgery is the i-th datagram: requests that would begin something, some that are answered, garbage, and responses to nothing.
func forgery(i int) []byte {
	id := "quiet" + strconv.Itoa(i)
	switch i % 8 {
	case 0, 1, 2:
		return plainRequest("REGISTER", "udp", id, "")
	case 3, 4:
		return plainRequest("INVITE", "udp", id, "User-Agent: friendly-scanner\r\n")
	case 5:
		return plainRequest("OPTIONS", "udp", id, "User-Agent: agent"+id+"\r\n")
	case 6:
		return fmt.Appendf(nil, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK%s\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n"+
			"Call-ID: %s\r\nCSeq: 1 M%d\r\nContent-Length: 0\r\n\r\n", id, id, i)
	}
	return []byte("\x16\x03 garbage " + id)
}

// TestGarbage is rows F4 (processes and log lines) and F31 over the wire: 100,000 pieces of garbage and 100,000 stray responses of one source. The log stays short, the edge
// as it was.
func TestGarbage(t *testing.T) { garbage(t, 20_000) }

// TestSlowGarbage is TestGarbage at full size.
func TestSlowGarbage(t *testing.T) {
	slow(t)
	garbage(t, 200_000)
}

func garbage(t *testing.T, n int) {
	s := newSiege(t, nil)
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(foreign(1))}, net.UDPAddrFromAddrPort(s.edge.Outside))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.watch()
	before := len(s.edge.Log())
	began := time.Now()
	for i := range n {
		_, _ = c.Write(forgery(6 + i%2 + 8*i))
	}
	s.relieve()
	grown, seconds := len(s.edge.Log())-before, time.Since(began).Seconds()
	t.Logf("%d messages in %.1f s: %d bytes of log", n, seconds, grown)
	if grown > 20_000+int(seconds*20_000) || strings.Contains(s.edge.Log(), "level=ERROR") || strings.Contains(s.edge.Log(), "garbage") {
		t.Errorf("%d bytes of log", grown)
	}
	if children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.edge.PID)); err == nil && len(children) > 0 {
		t.Errorf("it has started processes: %s", children) // F4
	}
	if n := s.edge.Counter("ringwall_transactions "); n > 2000 {
		t.Errorf("%.0f transactions", n)
	}
	s.recovered()
}

// TestShortMemory: with little memory and a peer that fills its part of it, strangers are turned away first, over streams with 503, while
// phone and peer are served; when it is over everybody is.
func TestShortMemory(t *testing.T) {
	s := newSiege(t, siptest.Keys{"limits": "{memory: 64MiB}", "timers": "{t1: 20ms, linger: 4s, drain: 300ms}"})
	level := func() float64 { return s.edge.Counter("ringwall_memory_pressure ") }
	body := strings.Repeat("b", 8_000) // memory gets short before a shard of the transaction table is full, which would be another reason
	c := dialFrom(s.peer.String(), s.edge.Outside)
	if c == nil {
		t.Fatal("the peer is not connected")
	}
	defer c.Close()
	go func() { // answers are read, and say nothing
		buf := make([]byte, 1<<16)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	refused := false
	for i := 0; i < 5000 && !refused; i++ {
		m := strings.Replace(string(plainRequest("INVITE", "tcp", "quiet"+siptest.ID(), "")), "Content-Length: 0\r\n\r\n",
			"Content-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body, 1)
		if _, err := c.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
		if i%20 == 0 && level() >= 1 {
			refused = !s.ask(siptest.OwnIP(), "REGISTER")
		}
	}
	if !refused {
		t.Fatalf("memory never got short, %.0f MiB", s.edge.Counter("ringwall_memory_used_bytes ")/(1<<20))
	}
	t.Logf("pressure %.0f at %.0f MiB, %d MiB resident", level(), s.edge.Counter("ringwall_memory_used_bytes ")/(1<<20), s.edge.Memory()>>20)
	if !complete(s.phone) && level() < 3 {
		t.Error("the registered phone was refused, too")
	}
	if got := s.edge.Counter(`ringwall_refused_total{reason="limit.memory"}`); got == 0 {
		t.Error("nobody was refused by reason limit.memory")
	}
	s.edge.WaitLog("reason=limit.memory")
	if n := s.edge.Memory(); n > 80<<20 && !raced() {
		t.Errorf("%d MiB resident for limits.memory 64 MiB", n>>20)
	}
	served := false
	for end := time.Now().Add(40 * time.Second); !served && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		served = level() == 0 && s.ask(siptest.OwnIP(), "REGISTER")
	}
	if !served {
		t.Errorf("pressure %.0f long after it", level())
	}
}
