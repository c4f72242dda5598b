package batch

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// loopback returns 127.0.0.1 with any port.
func loopback() netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:0") }

func mustListen(t *testing.T) *Conn {
	t.Helper()
	c, err := Listen(loopback())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// receiveAll receives want datagrams and returns them as "from text" lines.
func receiveAll(t *testing.T, c *Conn, want int) []string {
	t.Helper()
	var got []string
	for len(got) < want {
		n, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			p := c.Packet(i)
			got = append(got, fmt.Sprintf("%s>%s %s", p.From, p.To, p.Data))
		}
	}
	return got
}

func TestQueueLargerThanOneBatch(t *testing.T) {
	a, b := mustListen(t), mustListen(t)
	const count = 2*Size + 5
	for i := range count {
		if err := a.Queue(fmt.Appendf(nil, "packet %d", i), netip.Addr{}, b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, got := range receiveAll(t, b, count) {
		if want := fmt.Sprintf("%s>invalid IP packet %d", a.LocalAddr(), i); got != want {
			t.Fatalf("datagram %d: got %q, want %q", i, got, want)
		}
	}
}

func TestLoopbackSourcesAndDestinations(t *testing.T) {
	many, err := ListenLoopback(0)
	if err != nil {
		t.Fatal(err)
	}
	defer many.Close()
	one := mustListen(t)
	port := many.LocalAddr().Port()
	sources := []string{"127.1.0.1", "127.1.0.2", "127.9.8.7"}
	for _, s := range sources {
		if err := many.Queue([]byte("from "+s), netip.MustParseAddr(s), one.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	if err := many.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, got := range receiveAll(t, one, len(sources)) {
		want := fmt.Sprintf("%s:%d>invalid IP from %s", sources[i], port, sources[i])
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		back := netip.AddrPortFrom(netip.MustParseAddr(sources[i]), port)
		if err := one.Queue([]byte("back"), netip.Addr{}, back); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, got := range receiveAll(t, many, len(sources)) {
		if want := fmt.Sprintf("%s>%s back", one.LocalAddr(), sources[i]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestQueueReceivedForwardsWithoutCopy(t *testing.T) {
	a, middle, out, b := mustListen(t), mustListen(t), mustListen(t), mustListen(t)
	for i := range 10 {
		if err := a.Queue(fmt.Appendf(nil, "%d", i), netip.Addr{}, middle.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	for moved := 0; moved < 10; {
		n, err := middle.Receive()
		if err != nil {
			t.Fatal(err)
		}
		out.QueueReceived(middle, b.LocalAddr())
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
		moved += n
	}
	for i, got := range receiveAll(t, b, 10) {
		if want := fmt.Sprintf("%s>invalid IP %d", out.LocalAddr(), i); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTryReceiveAndWaitDoNotBlock(t *testing.T) {
	a, b := mustListen(t), mustListen(t)
	Wait(a, b, time.Millisecond)
	if n, err := a.TryReceive(); n != 0 || err != nil {
		t.Fatalf("got %d, %v, want nothing", n, err)
	}
}

func TestCloseEndsReceive(t *testing.T) {
	c := mustListen(t)
	done := make(chan error)
	go func() { _, err := c.Receive(); done <- err }()
	c.Close()
	if err := <-done; err == nil {
		t.Fatal("Receive on a closed socket returned no error")
	}
}

func TestDetachedSocketMovesDatagrams(t *testing.T) {
	a, b := mustListen(t), mustListen(t)
	before := a.LocalAddr()
	if err := errors.Join(a.Detach(), b.Detach()); err != nil {
		t.Fatal(err)
	}
	if a.LocalAddr() != before {
		t.Errorf("bound to %s, was %s", a.LocalAddr(), before)
	}
	if n, err := b.TryReceive(); n != 0 || err != nil {
		t.Fatalf("got %d, %v, want nothing", n, err)
	}
	if err := errors.Join(a.Queue([]byte("hello"), netip.Addr{}, b.LocalAddr()), a.Flush()); err != nil {
		t.Fatal(err)
	}
	Wait(a, b, time.Minute)
	if n, err := b.TryReceive(); n != 1 || err != nil || string(b.Packet(0).Data) != "hello" {
		t.Fatalf("got %d, %v, want the datagram", n, err)
	}
}
