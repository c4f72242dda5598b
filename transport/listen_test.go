package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/edge"
)

func TestExpand(t *testing.T) {
	all, err := Expand(Listen{Side: edge.Outside, Addr: addr("0.0.0.0:5060"), Advertise: "sbc.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, l := range all {
		if !l.Addr.Addr().Is4() || l.Addr.Port() != 5060 || l.Advertise != "sbc.example.com" || l.Addr.Addr().IsUnspecified() {
			t.Errorf("expanded to %+v", l)
		}
		found = found || l.Addr == addr("127.0.0.1:5060")
	}
	if !found {
		t.Errorf("no loopback in %v", all)
	}
	six, err := Expand(Listen{Addr: addr("[::]:0")})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range six {
		if !l.Addr.Addr().Is6() || l.Addr.Addr().IsLinkLocalUnicast() || l.Addr.Port() != 0 {
			t.Errorf("expanded to %v", l)
		}
	}
	one, err := Expand(Listen{Addr: addr("192.0.2.77:5060")})
	if err != nil || len(one) != 1 || one[0].Addr != addr("192.0.2.77:5060") {
		t.Errorf("a concrete address became %v, %v", one, err)
	}
}

func TestListenerNames(t *testing.T) {
	bound := addr("10.0.0.1:5070")
	for _, c := range []struct {
		transport       edge.Transport
		advertise, via  string
		addr            netip.AddrPort
		spread, invalid bool
	}{
		{edge.UDP, "", "SIP/2.0/UDP 10.0.0.1:5070", bound, false, false},
		{edge.TCP, "", "SIP/2.0/TCP [2001:db8::1]:5060", addr("[2001:db8::1]:5060"), false, false},
		{edge.UDP, "sbc.example.com", "SIP/2.0/UDP sbc.example.com:5070", bound, false, false},
		{edge.UDP, "sbc.example.com:5062", "SIP/2.0/UDP sbc.example.com:5062", bound, false, false},
		{edge.UDP, "sbc.example.com:5062", "SIP/2.0/UDP sbc.example.com:5070", bound, true, false},
		{edge.UDP, "203.0.113.5", "SIP/2.0/UDP 203.0.113.5:5070", bound, false, false},
		{edge.UDP, "[2001:db8::5]", "SIP/2.0/UDP [2001:db8::5]:5070", bound, false, false},
		{edge.UDP, "[2001:db8::5]:5061", "SIP/2.0/UDP [2001:db8::5]:5061", bound, false, false},
		{edge.UDP, "2001:db8::5", "SIP/2.0/UDP [2001:db8::5]:5070", bound, false, false},
		{edge.UDP, "sbc example", "", bound, false, true},
		{edge.UDP, "a\r\nX: y", "", bound, false, true},
		{edge.UDP, "sbc.example.com:0", "", bound, false, true},
		{edge.UDP, "sbc.example.com:65536", "", bound, false, true},
		{edge.UDP, "-a.example", "", bound, false, true},
		{edge.UDP, "a..b", "", bound, false, true},
		{edge.UDP, "fe80::1%eth0", "", bound, false, true},
	} {
		l, err := newListener(Listen{Transport: c.transport, Advertise: c.advertise}, c.addr, c.spread)
		if l.Via != c.via || (err != nil) != c.invalid || !c.invalid && !strings.HasSuffix(l.Via, " "+l.SentBy) {
			t.Errorf("advertise %q: %+v, %v", c.advertise, l, err)
		}
	}
}

// Whoever holds the port is named, also when he shares it (SO_REUSEPORT), and the sentence says what to do.
func TestPortInUse(t *testing.T) {
	share := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return setReusePort(c) }}
	for _, held := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0"} {
		pc, err := share.ListenPacket(context.Background(), "udp", held)
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		ln, err := net.Listen("tcp", held)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ip := netip.MustParseAddr("127.0.0.1")
		if strings.HasPrefix(held, "[") {
			ip = netip.MustParseAddr("::1")
		}
		for _, l := range []Listen{
			{Transport: edge.UDP, Addr: netip.AddrPortFrom(ip, pc.LocalAddr().(*net.UDPAddr).AddrPort().Port())},
			{Transport: edge.TCP, Side: edge.Inside, Addr: netip.AddrPortFrom(ip, ln.Addr().(*net.TCPAddr).AddrPort().Port())},
		} {
			_, err := Open(Config{Listen: []Listen{l}, Workers: 2})
			e, ok := errors.AsType[*ListenError](err)
			if !ok || !errors.Is(err, syscall.EADDRINUSE) {
				t.Fatalf("%v: %v", l, err)
			}
			holder := fmt.Sprintf("process %d (", os.Getpid())
			for _, want := range []string{l.Transport.String(), l.Addr.String(), "in use by " + holder, sideName(l.Side) + ".listen"} {
				if !strings.Contains(e.Error(), want) {
					t.Errorf("%q lacks %q", e, want)
				}
			}
		}
	}
}

// A second server finds the port taken by the first although that one shares it between its workers.
func TestSecondServer(t *testing.T) {
	cfg := Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0")}, Workers: 4}
	s := serve(t, cfg, &stage{})
	cfg.Listen[0].Addr = s.Listeners()[0].Addr
	if _, err := Open(cfg); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second server: %v", err)
	}
}

// A bind that fails leaves nothing of the binds before it.
func TestOpenAllOrNothing(t *testing.T) {
	before := descriptors(t)
	_, err := Open(Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0"), tcp(edge.Inside, "127.0.0.1:0"), udp(edge.Inside, "192.0.2.199:0")}, Workers: 3})
	if e, ok := errors.AsType[*ListenError](err); !ok || !strings.Contains(e.Error(), "no address 192.0.2.199; correct inside.listen") {
		t.Errorf("error %v", err)
	}
	if now := descriptors(t); now > before {
		t.Errorf("%d descriptors, %d before", now, before)
	}
}

func TestListenErrorSentences(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		unix.EADDRINUSE:    "in use by another process",
		unix.EADDRNOTAVAIL: "this machine has no address 192.0.2.1",
		unix.EACCES:        "CAP_NET_BIND_SERVICE",
		unix.EAFNOSUPPORT:  "no support for that address family",
		unix.EIO:           "input/output error",
	} {
		e := &ListenError{Addr: addr("192.0.2.1:80"), Err: fmt.Errorf("bind: %w", errno)}
		if !strings.HasPrefix(e.Error(), "cannot listen on udp 192.0.2.1:80: ") || !strings.Contains(e.Error(), want) || strings.Contains(e.Error(), "\n") {
			t.Errorf("%v: %q", errno, e)
		}
	}
}

func TestParseProcAddr(t *testing.T) {
	for in, want := range map[string]string{
		"0100007F:13C4":                         "127.0.0.1:5060",
		"00000000:0050":                         "0.0.0.0:80",
		"B80D0120000000000000000001000000:13C4": "[2001:db8::1]:5060",
		"0000000000000000FFFF00000100007F:13C4": "127.0.0.1:5060",
	} {
		if got, ok := parseProcAddr(in); !ok || got.String() != want {
			t.Errorf("%s: %v %v", in, got, ok)
		}
	}
	for _, in := range []string{"", ":", "0100007F", "0100007F:XYZ", "01007F:13C4", "local_address"} {
		if got, ok := parseProcAddr(in); ok {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestValidate(t *testing.T) {
	good := Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:5060"), tcp(edge.Outside, "127.0.0.1:5060"), udp(edge.Inside, "127.0.0.1:0"), udp(edge.Inside, "127.0.0.1:0")}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, c := range map[string]Config{
		"no address":       {},
		"expanded first":   {Listen: []Listen{udp(edge.Outside, "0.0.0.0:5060")}},
		"IPv4 address":     {Listen: []Listen{udp(edge.Outside, "[::ffff:127.0.0.1]:5060")}},
		"link-local":       {Listen: []Listen{udp(edge.Outside, "[fe80::1]:5060")}},
		"listed twice":     {Listen: []Listen{udp(edge.Outside, "127.0.0.1:5060"), udp(edge.Inside, "127.0.0.1:5060")}},
		"advertise":        {Listen: []Listen{{Addr: addr("127.0.0.1:5060"), Advertise: "a b"}}},
		"-1 workers":       {Listen: good.Listen, Workers: -1},
		"message limit":    {Listen: good.Listen, MaxMessage: 100},
		"connections":      {Listen: good.Listen, ConnectionsPerSource: -1},
		"negative timeout": {Listen: good.Listen, ReadTimeout: -1},
		"unknown side":     {Listen: []Listen{{Addr: addr("127.0.0.1:5060"), Transport: 9}}},
		"not an address":   {Listen: []Listen{{}}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if d := Default(); d.MaxMessage != 64<<10 || d.Exempt == nil || d.Log == nil {
		t.Errorf("defaults %+v", d)
	}
}
