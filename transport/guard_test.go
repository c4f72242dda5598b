package transport

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// guarded makes a server that is bound to nothing: an outside listener on a public address and one on loopback.
func guardedServer() *Server {
	s := &Server{
		listeners: []Listener{{Addr: addr("203.0.113.5:5060")}, {Addr: addr("127.0.0.1:5060")}, {Side: edge.Inside, Addr: addr("127.0.0.1:5070")}},
		local: &local{
			prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.5/24"), netip.MustParsePrefix("127.0.0.1/8")},
			own: map[netip.Addr]bool{netip.MustParseAddr("203.0.113.5"): true, netip.MustParseAddr("203.0.113.6"): true,
				netip.MustParseAddr("127.0.0.1"): true, netip.MustParseAddr("2001:db8::5"): true},
		},
	}
	s.SetInside([]netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")},
		[]netip.AddrPort{addr("198.51.100.77:5060"), addr("127.0.0.1:5080")})
	return s
}

// TestSetInside moves the platform: its new addresses are guarded, its old ones no longer.
func TestSetInside(t *testing.T) {
	s := guardedServer()
	s.SetInside(nil, []netip.AddrPort{addr("192.0.2.10:5060"), addr("127.0.0.1:5081")})
	for _, c := range []struct {
		to       string
		listener uint16
		want     GuardError
	}{
		{"192.0.2.10:9", 0, "inside"}, {"198.51.100.3:5060", 0, ""}, {"198.51.100.77:5060", 0, ""},
		{"127.0.0.1:5081", 1, "inside"}, {"127.0.0.1:5080", 1, ""},
	} {
		var why GuardError
		if err := s.Guard(addr(c.to), c.listener); err != nil && !errors.As(err, &why) {
			t.Fatal(err)
		}
		if why != c.want {
			t.Errorf("%s: %q, want %q", c.to, why, c.want)
		}
	}
}

func TestGuard(t *testing.T) {
	s := guardedServer()
	for to, want := range map[string]GuardError{
		"192.0.2.10:5060":           "",
		"198.51.100.200:5060":       "",
		"[2001:db8::10]:5060":       "",
		"[64:ff9b::c000:20a]:5060":  "", // NAT64 of 192.0.2.10
		"192.0.2.10:0":              "port",
		"0.0.0.0:5060":              "unspecified",
		"[::]:5060":                 "unspecified",
		"169.254.169.254:80":        "link-local",
		"[fe80::1]:5060":            "link-local",
		"[::ffff:169.254.1.1]:5060": "link-local",
		"224.0.1.75:5060":           "multicast",
		"[ff02::1]:5060":            "multicast",
		"255.255.255.255:5060":      "broadcast",
		"203.0.113.255:5060":        "broadcast",
		"203.0.113.5:5060":          "own",
		"203.0.113.6:22":            "own",
		"[::ffff:203.0.113.5]:5060": "own",
		"[2001:db8::5]:5060":        "own",
		"198.51.100.3:5060":         "inside",
		"198.51.100.77:9999":        "inside",
		"[::ffff:198.51.100.3]:1":   "inside",
		"127.0.0.1:7060":            "own",
		"127.0.0.2:5060":            "loopback",
		"[::1]:5060":                "loopback",
		"10.1.2.3:5060":             "private",
		"172.16.0.1:5060":           "private",
		"172.31.255.255:5060":       "private",
		"192.168.1.1:5060":          "private",
		"100.64.0.1:5060":           "private",
		"[fd00::7]:5060":            "private",
		"[64:ff9b::a00:1]:5060":     "private", // NAT64 of 10.0.0.1
		"[2002:7f00:1::]:5060":      "own",     // 6to4 of 127.0.0.1
		"[2002:a9fe:a9fe::]:80":     "link-local",
		"0.1.2.3:5060":              "reserved",
		"240.0.0.1:5060":            "reserved",
		"[::7f00:2]:5060":           "reserved", // IPv4-compatible
	} {
		err := s.Guard(addr(to), 0)
		got, _ := errors.AsType[GuardError](err)
		if got != want || (err == nil) != (want == "") {
			t.Errorf("%s: %v, want %q", to, err, want)
		}
	}
	if err := s.Guard(addr("192.0.2.10:5060"), 9); err != GuardError("listener") {
		t.Errorf("unknown listener: %v", err)
	}
	if err := s.Guard(netip.AddrPort{}, 0); err == nil {
		t.Error("no address is let through")
	}
}

// On one machine phones, edge and platform share 127.0.0.1 and differ in their ports.
func TestGuardOnLoopback(t *testing.T) {
	s := guardedServer()
	for to, want := range map[string]GuardError{
		"127.0.0.1:6000":   "",
		"127.0.0.2:5060":   "",
		"[::1]:6000":       "",
		"127.0.0.1:5060":   "own",
		"127.0.0.1:5070":   "own",
		"127.0.0.1:5080":   "inside",
		"10.1.2.3:5060":    "private",
		"169.254.1.1:5060": "link-local",
		"192.0.2.10:5060":  "",
	} {
		if got, _ := errors.AsType[GuardError](s.Guard(addr(to), 1)); got != want {
			t.Errorf("%s: %q, want %q", to, got, want)
		}
	}
}

func TestRoute(t *testing.T) {
	l := &local{
		prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("203.0.113.5/24"), netip.MustParsePrefix("10.9.0.1/16")},
		defaults: [2]netip.Addr{netip.MustParseAddr("203.0.113.5")},
	}
	ls := []Listener{
		{Addr: addr("127.0.0.1:5060")}, {Addr: addr("10.0.0.1:5060")}, {Addr: addr("203.0.113.5:5060")}, {Addr: addr("10.9.0.1:5060")},
		{Addr: addr("[::1]:5060")}, {Addr: addr("10.0.0.1:5060"), Transport: edge.TCP}, {Addr: addr("127.0.0.1:5070"), Side: edge.Inside},
	}
	for _, c := range []struct {
		side      edge.Side
		transport edge.Transport
		remote    string
		want      int
	}{
		{edge.Outside, edge.UDP, "127.0.0.1", 0},
		{edge.Outside, edge.UDP, "127.9.9.9", 0},
		{edge.Outside, edge.UDP, "10.0.0.77", 1},
		{edge.Outside, edge.UDP, "10.9.77.77", 3},
		{edge.Outside, edge.UDP, "192.0.2.1", 2},
		{edge.Outside, edge.UDP, "::1", 4},
		{edge.Outside, edge.UDP, "2001:db8::1", -1},
		{edge.Outside, edge.TCP, "192.0.2.1", 5},
		{edge.Outside, edge.TCP, "127.0.0.1", 5},
		{edge.Inside, edge.UDP, "127.0.0.1", 6},
		{edge.Inside, edge.UDP, "10.0.0.77", -1},
		{edge.Inside, edge.TCP, "127.0.0.1", -1},
	} {
		if got := l.route(ls, c.side, c.transport, netip.MustParseAddr(c.remote)); got != c.want {
			t.Errorf("%v %v to %s: listener %d, want %d", c.side, c.transport, c.remote, got, c.want)
		}
	}
}
