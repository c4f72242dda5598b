package transport

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A crowdRig is a Server with a small table and clients from many addresses.
type crowdRig struct {
	*testing.T
	*Server
	stage    stage
	pressure atomic.Uint32
	friend   atomic.Value // netip.Addr, exempt
}

func newCrowdRig(t *testing.T, change func(*Config)) *crowdRig {
	r := &crowdRig{T: t}
	r.stage.on = echo
	r.friend.Store(netip.Addr{})
	cfg := oneTCP("127.0.0.1:0")
	cfg.Connections, cfg.ReadTimeout = 16, time.Hour
	cfg.Exempt = func(a netip.Addr) bool { return a == r.friend.Load() }
	cfg.Pressure = func() edge.Pressure { return edge.Pressure(r.pressure.Load()) }
	if change != nil {
		change(&cfg)
	}
	r.Server = serve(t, cfg, &r.stage)
	return r
}

// from connects from an address and waits until the connection was taken.
func (r *crowdRig) from(ip string) *net.TCPConn {
	r.Helper()
	before := r.Counters().Accepted
	c, err := dialFrom(ip, r.Listeners()[0].Addr)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	eventually(r, "taken", func() bool { return r.Counters().Accepted > before })
	return c
}

// says sends a message and waits for its echo.
func (r *crowdRig) says(c *net.TCPConn) *net.TCPConn {
	r.Helper()
	m := message("x", 0)
	if _, err := io.WriteString(c, m); err != nil {
		r.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	readAll(r, c, len(m))
	return c
}

// isClosed waits for the end of c.
func isClosed(t testing.TB, c *net.TCPConn) bool {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, err := c.Read(make([]byte, 1))
	return err != nil && !isTimeout(err)
}

// TestWhoGoesFirst: without a whole message, oldest first; then idle ones of sources with many; exempt ones never.
func TestWhoGoesFirst(t *testing.T) {
	r := newCrowdRig(t, nil) // 16, strangers have 14
	lone := r.says(r.from("127.0.1.1"))
	phone := r.from("127.0.1.2")
	var crowd []*net.TCPConn
	for range 4 {
		crowd = append(crowd, r.says(r.from("127.0.1.3")))
	}
	var silent []*net.TCPConn
	for i := range 8 {
		silent = append(silent, r.from(fmt.Sprintf("127.0.2.%d", i)))
	}
	r.friend.Store(netip.MustParseAddr("127.0.1.2"))
	for i, c := range silent {
		r.says(r.from(fmt.Sprintf("127.0.3.%d", i)))
		if !isClosed(t, c) {
			t.Errorf("silent %d is still there", i)
		}
	}
	r.says(crowd[0]) // does something
	for i, c := range crowd[1:3] {
		r.says(r.from(fmt.Sprintf("127.0.4.%d", i)))
		if !isClosed(t, c) {
			t.Errorf("crowd %d is still there", i+1)
		}
	}
	for i := range 40 { // as many as you like
		r.says(r.from(fmt.Sprintf("127.0.5.%d", i)))
	}
	if !isOpen(t, phone) {
		t.Error("an exempt source was closed")
	}
	if c := r.Counters(); c.Evicted != 50 || c.ConnectionsOpen != 14 || c.RefusedTotal != 0 {
		t.Errorf("counted %+v", c)
	}
	_ = lone
}

// TestNobodyCanGo: a table full of exempt sources refuses strangers, and stays as it is.
func TestNobodyCanGo(t *testing.T) {
	r := newCrowdRig(t, nil)
	r.friend.Store(netip.MustParseAddr("127.0.1.2"))
	for range 16 {
		r.from("127.0.1.2")
	}
	for _, ip := range []string{"127.0.1.2", "127.0.1.3"} {
		before := r.Counters().RefusedTotal
		if c, err := dialFrom(ip, r.Listeners()[0].Addr); err == nil {
			defer c.Close()
		}
		eventually(t, "refused", func() bool { return r.Counters().RefusedTotal == before+1 })
	}
	if c := r.Counters(); c.Evicted != 0 || c.ConnectionsOpen != 16 {
		t.Errorf("counted %+v", c)
	}
}

// TestOneFriendIsNotEverybody: one registered phone does not fill the table from its address: beyond what a stranger may have, only connections that
// are registered themselves are kept.
func TestOneFriendIsNotEverybody(t *testing.T) {
	var bound atomic.Uint64
	r := newCrowdRig(t, func(c *Config) {
		c.ConnectionsPerSource = 4
		c.Bound = func(f edge.Flow) bool { return uint64(f.Remote.Port()) == bound.Load() }
	})
	r.friend.Store(netip.MustParseAddr("127.0.1.2"))
	phone := r.says(r.from("127.0.1.2"))
	bound.Store(uint64(phone.LocalAddr().(*net.TCPAddr).Port))
	for range 15 {
		r.says(r.from("127.0.1.2"))
	}
	for i := range 40 {
		r.says(r.from(fmt.Sprintf("127.0.5.%d", i)))
	}
	if !isOpen(t, phone) {
		t.Error("the phone's own connection was closed")
	}
	if c := r.Counters(); c.RefusedTotal != 0 {
		t.Errorf("counted %+v", c)
	}
}

// TestDialTakesAPlace: what we dial needs a place as well.
func TestDialTakesAPlace(t *testing.T) {
	r := newCrowdRig(t, func(c *Config) { c.Connections = 1 })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	stranger := r.from("127.0.1.1")
	o := r.NewOut()
	to, _ := o.Route(edge.Outside, edge.TCP, ln.Addr().(*net.TCPAddr).AddrPort())
	if err := o.Send([]byte("hello"), to); err != nil {
		t.Fatal(err)
	}
	o.Flush()
	if !isClosed(t, stranger) {
		t.Error("the stranger is still there")
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := readAll(t, c, 5); got != "hello" {
		t.Error(got)
	}
}

// TestStrangersShareShrinks: the shorter memory is, the fewer strangers; the scarce drive off those that have brought nothing.
func TestStrangersShareShrinks(t *testing.T) {
	r := newCrowdRig(t, func(c *Config) { c.Connections = 64 })
	talker := r.says(r.from("127.0.1.1"))
	for i := range 40 {
		r.from(fmt.Sprintf("127.0.2.%d", i))
	}
	r.pressure.Store(uint32(edge.Tight)) // 16
	for i := range 10 {
		r.from(fmt.Sprintf("127.0.3.%d", i))
	}
	eventually(t, "41 stay 41", func() bool { return r.Counters().ConnectionsOpen == 41 })
	r.pressure.Store(uint32(edge.Scarce))
	eventually(t, "4", func() bool { return r.Counters().ConnectionsOpen == 4 })
	r.pressure.Store(uint32(edge.Drought))
	eventually(t, "1", func() bool { return r.Counters().ConnectionsOpen == 1 })
	r.says(talker)
	r.pressure.Store(uint32(edge.Calm))
	for i := range 55 {
		r.from(fmt.Sprintf("127.0.4.%d", i))
	}
	if n := r.Counters().ConnectionsOpen; n != 56 {
		t.Errorf("%d after it is over", n)
	}
}

func TestStrangersShare(t *testing.T) {
	for _, c := range []struct {
		most int
		p    edge.Pressure
		want int
	}{
		{1, edge.Calm, 1}, {1, edge.Drought, 1}, {2, edge.Calm, 1}, {2, edge.Tight, 1}, {16, edge.Calm, 14}, {1000, edge.Calm, 875},
		{1024, edge.Tight, 256}, {1024, edge.Scarce, 64}, {1024, edge.Drought, 16},
	} {
		if got := strangersShare(c.most, c.p); got != c.want {
			t.Errorf("%d, %v: %d, want %d", c.most, c.p, got, c.want)
		}
	}
}

// TestReadBytesAreBounded: large messages that are dripped use up their room, and then the oldest go; one that is sent in one go gets
// through, and an exempt source has all the time of ReadTimeout.
func TestReadBytesAreBounded(t *testing.T) {
	r := newCrowdRig(t, func(c *Config) { c.Connections, c.ReadBytes = 64, 256<<10 })
	r.friend.Store(netip.MustParseAddr("127.0.1.9"))
	large := message("large", 60_000)
	half := func(ip string) *net.TCPConn {
		c := r.from(ip)
		if _, err := io.WriteString(c, large[:len(large)-1]); err != nil {
			t.Fatal(err)
		}
		return c
	}
	slow := half("127.0.1.9")
	var drips []*net.TCPConn
	for i := range 12 { // 64 KiB each of 256
		drips = append(drips, half(fmt.Sprintf("127.0.2.%d", i)))
		eventually(t, "it is read", func() bool { return r.held() >= min(i+1, 3)*60<<10 })
	}
	for i, c := range drips[:8] {
		if !isClosed(t, c) {
			t.Errorf("drip %d is still there", i)
		}
	}
	honest := r.from("127.0.3.1")
	if _, err := io.WriteString(honest, large); err != nil {
		t.Fatal(err)
	}
	_ = honest.SetReadDeadline(time.Now().Add(patience))
	readAll(t, honest, len(large))
	if _, err := io.WriteString(slow, large[len(large)-1:]); err != nil {
		t.Fatal(err)
	}
	_ = slow.SetReadDeadline(time.Now().Add(patience))
	if got := readAll(t, slow, len(large)); !strings.HasPrefix(got, "OPTIONS") {
		t.Error("another echo")
	}
	for _, c := range drips {
		c.Close()
	}
	eventually(t, "nothing is held", func() bool { return r.held() == 0 })
}

// held is what the crowd's unfinished messages hold. Who asks for more is counted before room is made for it, and gets it afterwards.
func (r *crowdRig) held() int {
	t := r.conns
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.crowd.bytes; (n == 0) != (t.crowd.reading.Len() == 0) || n > r.cfg.ReadBytes+r.cfg.MaxMessage {
		r.Errorf("%d bytes held by %d", n, t.crowd.reading.Len())
	}
	return t.crowd.bytes
}
