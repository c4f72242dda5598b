package floor

import (
	"context"
	"net"
	"net/netip"
	"testing"
)

func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// exchange sends text from c to to and wants it at want, coming from from.
func exchange(t *testing.T, text string, c *net.UDPConn, to netip.AddrPort, want *net.UDPConn, from netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(text), to); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, src, err := want.ReadFromUDPAddrPort(b)
	if err != nil || string(b[:n]) != text || src != from {
		t.Fatalf("got %q from %s (%v), want %q from %s", b[:n], src, err, text, from)
	}
}

func TestForwardsBothWaysToTheLastCaller(t *testing.T) {
	platform, one, two := listen(t), listen(t), listen(t)
	f, err := New(Config{Outside: netip.MustParseAddrPort("127.0.0.1:0"), Inside: netip.MustParseAddrPort("127.0.0.1:0"), Upstream: addrOf(platform)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	exchange(t, "in 1", one, f.Outside(), platform, f.Inside())
	exchange(t, "out 1", platform, f.Inside(), one, f.Outside())
	exchange(t, "in 2", two, f.Outside(), platform, f.Inside())
	exchange(t, "out 2", platform, f.Inside(), two, f.Outside())
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run ended with %v after its context", err)
	}
}

func TestPackKeepsAddresses(t *testing.T) {
	for _, s := range []string{"127.0.0.1:5060", "255.254.253.252:65535", "0.0.0.1:1"} {
		if a := netip.MustParseAddrPort(s); unpack(pack(a)) != a {
			t.Errorf("%s came back as %s", a, unpack(pack(a)))
		}
	}
}

func TestDropLetsNothingThrough(t *testing.T) {
	platform, caller := listen(t), listen(t)
	f, err := New(Config{Outside: netip.MustParseAddrPort("127.0.0.1:0"), Inside: netip.MustParseAddrPort("127.0.0.1:0"), Upstream: addrOf(platform), Drop: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	if _, err := caller.WriteToUDPAddrPort([]byte("gone"), f.Outside()); err != nil {
		t.Fatal(err)
	}
	// What the platform sends to itself afterwards must be the first thing to arrive there.
	exchange(t, "here", platform, addrOf(platform), platform, addrOf(platform))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
