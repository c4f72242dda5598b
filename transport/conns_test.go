package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/edge"
)

// dialFrom connects from another loopback address.
func dialFrom(from string, to netip.AddrPort) (*net.TCPConn, error) {
	return net.DialTCP("tcp", net.TCPAddrFromAddrPort(addr(from+":0")), net.TCPAddrFromAddrPort(to))
}

// isOpen asks by a ping whether the connection was taken in.
func isOpen(t testing.TB, c *net.TCPConn) bool {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, werr := c.Write([]byte("\r\n\r\n"))
	_, rerr := c.Read(make([]byte, 2))
	return werr == nil && rerr == nil
}

func TestConnectionCaps(t *testing.T) {
	var live atomic.Bool
	cfg := oneTCP("127.0.0.1:0")
	cfg.Connections, cfg.ConnectionsPerSource = 16, 3
	cfg.Exempt = func(a netip.Addr) bool { return live.Load() && a == netip.MustParseAddr("127.0.0.2") }
	s := serve(t, cfg, &stage{})
	try := func(from string) (*net.TCPConn, bool) {
		c, err := dialFrom(from, s.Listeners()[0].Addr)
		if err != nil {
			return nil, false // reset before connect had returned
		}
		t.Cleanup(func() { c.Close() })
		return c, isOpen(t, c)
	}
	var first *net.TCPConn
	for i := range 3 {
		c, ok := try("127.0.0.2")
		if !ok {
			t.Fatalf("connection %d refused", i)
		}
		first = c
	}
	if _, ok := try("127.0.0.2"); ok {
		t.Error("fourth of one source taken")
	}
	live.Store(true)
	if _, ok := try("127.0.0.2"); !ok {
		t.Error("fourth of an exempt source refused")
	}
	first.Close()
	eventually(t, "one less", func() bool { return s.Counters().ConnectionsOpen == 3 })
	for i := range 11 { // strangers fill what is theirs: 14 of 16
		if _, ok := try(fmt.Sprintf("127.0.1.%d", i+1)); !ok {
			t.Fatalf("stranger %d refused", i)
		}
	}
	if _, ok := try("127.0.2.1"); !ok {
		t.Error("a stranger was refused although another could go")
	}
	if n := s.Counters().ConnectionsOpen; n != 14 {
		t.Errorf("%d connections: a stranger took what is kept for others", n)
	}
	for range 4 {
		if _, ok := try("127.0.0.2"); !ok {
			t.Error("exempt source refused")
		}
	}
	if c := s.Counters(); c.RefusedSource != 1 || c.RefusedTotal != 0 || c.Accepted != 20 || c.Evicted != 3 || c.ConnectionsOpen != 16 {
		t.Errorf("counted %+v", c)
	}
}

func TestSourceOf(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "::1": "::/64"} {
		if got := sourceOf(netip.MustParseAddr(in)); got.String() != want {
			t.Errorf("%s: %v, want %s", in, got, want)
		}
	}
}

// A flood of connections that say nothing, or half a message, leaves no goroutine and no descriptor behind.
func TestFloodLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	fds := descriptors(t)
	cfg := oneTCP("127.0.0.1:0")
	cfg.ConnectionsPerSource = 2000
	s := serve(t, cfg, &stage{})
	var conns []*net.TCPConn
	for i := range 1000 {
		c, err := dialFrom("127.0.0.1", s.Listeners()[0].Addr)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			fmt.Fprint(c, "INVITE sip:half")
		}
		conns = append(conns, c)
	}
	eventually(t, "all taken in", func() bool { return s.Counters().ConnectionsOpen == 1000 })
	for _, c := range conns[:300] {
		_ = c.SetLinger(0)
		c.Close()
	}
	eventually(t, "resets noticed", func() bool { return s.Counters().ConnectionsOpen == 700 })
	s.Close()
	for _, c := range conns {
		c.Close()
	}
	if n := s.Counters().ConnectionsOpen; n != 0 {
		t.Errorf("%d connections open after Close", n)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	if now := descriptors(t); now > fds {
		t.Errorf("%d descriptors, %d before", now, fds)
	}
}

// platform is a TCP listener that is not ours.
func platform(t testing.TB) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	_ = ln.SetDeadline(time.Now().Add(patience))
	return ln
}

// Messages to one far end share a connection, arrive in order, and what it sends back comes by it.
func TestDial(t *testing.T) {
	ln := platform(t)
	st := &stage{}
	s := serve(t, Config{Listen: []Listen{tcp(edge.Inside, "127.0.0.1:0")}, Workers: 1}, st)
	o := s.NewOut()
	f, ok := o.Route(edge.Inside, edge.TCP, ln.Addr().(*net.TCPAddr).AddrPort())
	if !ok || f.Conn != 0 || !s.Alive(f) {
		t.Fatalf("route %+v", f)
	}
	for i := range 10 {
		if err := o.Send(fmt.Append(nil, i), f); err != nil {
			t.Fatal(err)
		}
		o.Flush()
	}
	c, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := readAll(t, c, 10); got != "0123456789" {
		t.Errorf("got %q", got)
	}
	fmt.Fprint(c, message("back", 1))
	in := st.next(t, "receive")
	if in.flow.Remote != f.Remote || in.flow.Conn == 0 || in.flow.Side != edge.Inside {
		t.Errorf("flow %+v", in.flow)
	}
	_, _ = o.Send([]byte("by number"), in.flow), o.Send([]byte(" or not"), f)
	o.Flush()
	if got := readAll(t, c, 16); got != "by number or not" {
		t.Errorf("got %q", got)
	}
	if n := s.Counters(); n.Dialed != 1 || n.ConnectionsOpen != 1 {
		t.Errorf("counted %+v", n)
	}
	c.Close()
	eventually(t, "gone", func() bool { return !s.Alive(in.flow) })
	if err := o.Send([]byte("x"), in.flow); !errors.Is(err, ErrGone) {
		t.Errorf("send to a closed connection: %v", err)
	}
	if err := o.Send([]byte("again"), f); err != nil { // dials anew
		t.Error(err)
	}
	o.Flush()
	if c, err = ln.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	readAll(t, c, 5)
}

// The end of a connection that we dialled is told once, whatever was on its way; that of one which we were called by is if requests went over it.
func TestBroken(t *testing.T) {
	ln := platform(t)
	st := &stage{}
	s := serve(t, Config{Listen: []Listen{tcp(edge.Inside, "127.0.0.1:0")}, Workers: 1}, st)
	o := s.NewOut()
	f, _ := o.Route(edge.Inside, edge.TCP, ln.Addr().(*net.TCPAddr).AddrPort())
	for _, abort := range []bool{false, true} {
		if err := o.Send([]byte("one"), f); err != nil {
			t.Fatal(err)
		}
		o.Flush()
		c, err := ln.AcceptTCP()
		if err != nil {
			t.Fatal(err)
		}
		readAll(t, c, 3)
		if abort {
			_ = c.SetLinger(0)
		}
		c.Close()
		if got := <-st.calls; got.what != "broken" || got.flow != f {
			t.Errorf("aborted %v: %+v", abort, got)
		}
	}
	caller, err := dialFrom("127.0.0.1", s.Listeners()[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(caller, message("hello", 1))
	st.next(t, "receive")
	caller.Close()
	eventually(t, "table empty", func() bool { return s.Counters().ConnectionsOpen == 0 })
	if n := len(st.calls); n > 0 {
		t.Errorf("%d more were told: %+v", n, <-st.calls)
	}
}

// TestBrokenPhone: the end of a connection that we were called by is told if requests went over it, and not if responses did alone.
func TestBrokenPhone(t *testing.T) {
	st := &stage{}
	s := serve(t, Config{Listen: []Listen{tcp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, st)
	o := s.NewOut()
	for _, row := range []struct {
		sent string
		told bool
	}{{"SIP/2.0 200 OK", false}, {"INVITE sip:bob@127.0.0.1 SIP/2.0", true}} {
		phone, err := dialFrom("127.0.0.1", s.Listeners()[0].Addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(phone, message("hello", 1))
		flow := st.next(t, "receive").flow
		if err := o.Send([]byte(row.sent), flow); err != nil {
			t.Fatal(err)
		}
		o.Flush()
		readAll(t, phone, len(row.sent))
		phone.Close()
		eventually(t, "table empty", func() bool { return s.Counters().ConnectionsOpen == 0 })
		if !row.told {
			continue // the next row would see it
		}
		if got := st.next(t, "broken"); got.flow != flow {
			t.Errorf("%q: told of %v, want %v", row.sent, got.flow, flow)
		}
	}
}

// Each message that waited for a connection that cannot be made is reported.
func TestDialRefused(t *testing.T) {
	ln := platform(t)
	remote := ln.Addr().(*net.TCPAddr).AddrPort()
	ln.Close()
	st := &stage{}
	s := serve(t, Config{Listen: []Listen{tcp(edge.Inside, "127.0.0.1:0")}, Workers: 1}, st)
	o := s.NewOut()
	f, _ := o.Route(edge.Inside, edge.TCP, remote)
	_ = o.Send([]byte("one"), f)
	o.Flush()
	u := st.next(t, "undelivered")
	if u.bytes != "one" || u.flow.Remote != remote || u.err == nil {
		t.Errorf("undelivered %+v", u)
	}
	eventually(t, "table empty", func() bool { return s.Counters().ConnectionsOpen == 0 })
}

// deaf returns the address of a listener whose queue of connections is full: nobody ever gets one.
func deaf(t *testing.T) netip.AddrPort {
	ln := platform(t)
	raw, err := ln.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) })
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		d := net.Dialer{Timeout: 200 * time.Millisecond}
		if c, err := d.Dial("tcp", ln.Addr().String()); err == nil {
			t.Cleanup(func() { c.Close() })
		}
	}
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// A far end that does not answer costs DialTimeout, every message that waited is reported, and Close waits for no dialling.
func TestDialTimeout(t *testing.T) {
	to := edge.Flow{Remote: deaf(t), Transport: edge.TCP}
	st := &stage{}
	s := serve(t, Config{Listen: []Listen{tcp(edge.Outside, "127.0.0.1:0")}, Workers: 1, DialTimeout: 100 * time.Millisecond}, st)
	o := s.NewOut()
	_, _ = o.Send([]byte("one"), to), o.Send([]byte("two"), to)
	o.Flush()
	for _, want := range []string{"one", "two"} {
		if u := st.next(t, "undelivered"); u.bytes != want || u.flow.Remote != to.Remote {
			t.Errorf("undelivered %+v", u)
		}
	}
	patient := serve(t, Config{Listen: []Listen{tcp(edge.Outside, "127.0.0.1:0")}, Workers: 1, DialTimeout: time.Hour}, &stage{})
	o = patient.NewOut()
	_ = o.Send([]byte("three"), to)
	o.Flush()
	patient.Close() // or the test ends by its own timeout
}

// A callback that panics exempts nobody and stops nothing.
func TestPanicInExempt(t *testing.T) {
	cfg := oneTCP("127.0.0.1:0")
	cfg.ConnectionsPerSource = 1
	cfg.Exempt = func(netip.Addr) bool { panic("on purpose") }
	s := serve(t, cfg, &stage{})
	first := dialTCP(t, s.Listeners()[0].Addr)
	if !isOpen(t, first) {
		t.Fatal("first refused")
	}
	if c, err := dialFrom("127.0.0.1", s.Listeners()[0].Addr); err == nil {
		defer c.Close()
		if isOpen(t, c) {
			t.Error("second taken")
		}
	}
	if !isOpen(t, first) {
		t.Error("first closed")
	}
}

// The queue of a connection that is being made is bounded, too.
func TestDialQueueBounded(t *testing.T) {
	s := serve(t, Config{Listen: []Listen{tcp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, &stage{})
	c := s.newConn(0, addr("127.0.0.1:9"), true)
	var err error
	n := 0
	for ; err == nil && n < 10*queueMessages; n++ {
		err = c.enqueue([]byte("x"))
	}
	if !errors.Is(err, ErrFull) || n != queueMessages+1 {
		t.Errorf("%v after %d messages", err, n)
	}
	c = s.newConn(0, addr("127.0.0.1:9"), true)
	for n, err = 0, nil; err == nil && n < queueMessages; n++ {
		err = c.enqueue([]byte(strings.Repeat("x", 50_000)))
	}
	if !errors.Is(err, ErrFull) || n > 7 {
		t.Errorf("%v after %d messages of 50 kB", err, n)
	}
}

// Connections we dial count as well, and the table has an end.
func TestDialTableBounded(t *testing.T) {
	cfg := Config{Listen: []Listen{tcp(edge.Outside, "127.0.0.1:0")}, Workers: 1, Connections: 2}
	s := serve(t, cfg, &stage{})
	o := s.NewOut()
	var err error
	for range 3 {
		ln := platform(t)
		err = o.Send([]byte("x"), edge.Flow{Remote: ln.Addr().(*net.TCPAddr).AddrPort(), Transport: edge.TCP})
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("third connection of two: %v", err)
	}
}

// A flow of an earlier run, or one that was tampered with, never reaches somebody else's connection.
func TestFlowMustMatch(t *testing.T) {
	st := &stage{}
	s := serve(t, oneTCP("127.0.0.1:0"), st)
	fmt.Fprint(dialTCP(t, s.Listeners()[0].Addr), message("a", 0))
	f := st.next(t, "receive").flow
	f.Remote = addr("127.0.0.9:5060")
	if err := s.NewOut().Send([]byte("x"), f); !errors.Is(err, ErrGone) || s.Alive(f) {
		t.Errorf("send by number with another remote address: %v", err)
	}
}

// Close writes what is queued, and is not held up by a far end that does not read.
func TestCloseDrains(t *testing.T) {
	st := &stage{}
	s := serve(t, oneTCP("127.0.0.1:0"), st)
	reading, stuck := dialTCP(t, s.Listeners()[0].Addr), dialTCP(t, s.Listeners()[0].Addr)
	_ = stuck.SetReadBuffer(4096)
	o := s.NewOut()
	fmt.Fprint(stuck, message("s", 0))
	stuckFlow := st.next(t, "receive").flow
	fmt.Fprint(reading, message("r", 0))
	flow := st.next(t, "receive").flow
	for s.Alive(stuckFlow) && s.conns.find(stuckFlow).queued() < 100_000 {
		_ = o.Send(make([]byte, 20_000), stuckFlow)
		o.Flush()
		time.Sleep(time.Millisecond)
	}
	for range 4 {
		_ = o.Send(make([]byte, 50_000), flow)
	}
	o.Flush()
	s.Close()
	readAll(t, reading, 200_000)
	if n := s.Counters().ConnectionsOpen; n != 0 {
		t.Errorf("%d open", n)
	}
	if err := o.Send([]byte("x"), flow); !errors.Is(err, ErrGone) {
		t.Errorf("send after Close: %v", err)
	}
	if err := o.Send([]byte("x"), edge.Flow{Remote: flow.Remote, Transport: edge.TCP}); !errors.Is(err, ErrGone) {
		t.Errorf("dial after Close: %v", err)
	}
}

func (c *conn) queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending.bytes) + c.flying
}
