package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// binaryHeader is one of version 2: command, family and protocol, what follows.
func binaryHeader(command, family byte, payload ...byte) string {
	n := len(payload)
	return proxySignature + string([]byte{command, family, byte(n >> 8), byte(n)}) + string(payload)
}

var (
	ends4 = []byte{192, 0, 2, 1, 198, 51, 100, 1, 0x13, 0xC4, 0x13, 0xC5}
	ends6 = append(append(bytes.Repeat([]byte{0x20}, 16), bytes.Repeat([]byte{1}, 16)...), 0x13, 0xC4, 0, 1)
)

func TestProxyHeader(t *testing.T) {
	const six = "2020:2020:2020:2020:2020:2020:2020:2020"
	for header, want := range map[string]string{
		"PROXY TCP4 192.0.2.1 198.51.100.1 5060 5061\r\n": "192.0.2.1:5060",
		"PROXY TCP6 2001:db8::1 2001:db8::2 65535 1\r\n":  "[2001:db8::1]:65535",
		"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 7 1\r\n": "192.0.2.1:7",
		"PROXY UNKNOWN\r\n": "local",
		"PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n":                     "local",
		binaryHeader(0x21, 0x11, ends4...):                                      "192.0.2.1:5060",
		binaryHeader(0x21, 0x21, ends6...):                                      "[" + six + "]:5060",
		binaryHeader(0x21, 0x11, append(ends4[:12:12], 4, 0, 2, 1, 1)...):       "192.0.2.1:5060",
		binaryHeader(0x21, 0x11, append(ends4[:12:12], 4, 0, 0, 5, 0, 0)...):    "192.0.2.1:5060",
		binaryHeader(0x20, 0x00):                                                "local",
		binaryHeader(0x20, 0x11, ends4...):                                      "local",
		binaryHeader(0x20, 0x00, make([]byte, maxProxyPayload)...):              "local",
		binaryHeader(0x20, 0x00, make([]byte, maxProxyPayload+1)...):            "",
		binaryHeader(0x22, 0x11, ends4...):                                      "",
		binaryHeader(0x11, 0x11, ends4...):                                      "",
		binaryHeader(0x21, 0x00, ends4...):                                      "",
		binaryHeader(0x21, 0x12, ends4...):                                      "",
		binaryHeader(0x21, 0x31, make([]byte, 216)...):                          "",
		binaryHeader(0x21, 0x11, ends4[:11]...):                                 "",
		binaryHeader(0x21, 0x21, ends6[:35]...):                                 "",
		binaryHeader(0x21, 0x11, append(ends4[:12:12], 4, 0)...):                "",
		binaryHeader(0x21, 0x11, append(ends4[:12:12], 4, 0, 3, 1, 1)...):       "",
		binaryHeader(0x21, 0x11, make([]byte, 12)...):                           "",
		binaryHeader(0x21, 0x11, append([]byte{224, 0, 0, 1}, ends4[4:]...)...): "",
		binaryHeader(0x21, 0x11, append(ends4[:8:8], 0, 0, 1, 1)...):            "",
		"PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n":                     "",
		"PROXY TCP4 192.0.2.1 198.51.100.1 5060 5061\n":                         "",
		"PROXY TCP4 192.0.2.1 198.51.100.1 5060 5061 \r\n":                      "",
		"PROXY TCP4  192.0.2.1 198.51.100.1 5060 5061\r\n":                      "",
		"PROXY TCP4 192.0.2.1 198.51.100.1 05060 5061\r\n":                      "",
		"PROXY TCP4 192.0.2.1 198.51.100.1 +1 5061\r\n":                         "",
		"PROXY TCP4 192.0.2.1 198.51.100.1 65536 5061\r\n":                      "",
		"PROXY TCP4 192.0.2.1 198.51.100.1 0 5061\r\n":                          "",
		"PROXY TCP4 192.0.2.1 198.51.100.1 1 x\r\n":                             "",
		"PROXY TCP4 192.0.2.1 198.51.100 1 1\r\n":                               "",
		"PROXY TCP4 2001:db8::1 2001:db8::2 1 1\r\n":                            "",
		"PROXY TCP6 192.0.2.1 192.0.2.2 1 1\r\n":                                "",
		"PROXY TCP6 fe80::1%eth0 fe80::2 1 1\r\n":                               "",
		"PROXY TCP4 0.0.0.0 192.0.2.2 1 1\r\n":                                  "",
		"PROXY TCP4 255.255.255.255 192.0.2.2 1 1\r\n":                          "",
		"PROXY UDP4 192.0.2.1 192.0.2.2 1 1\r\n":                                "",
		"PROXY TCP4\r\n":                                                        "", "PROXY \r\n    \r\n": "", "proxy UNKNOWN\r\n": "", "PROXY UNKNOWN\rx\r\n": "",
		"REGISTER sip:a SIP/2.0\r\n": "", "": "", "PROXY": "", proxySignature: "", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n": "",
	} {
		const behind = "\x16\x03\x01"
		r := strings.NewReader(header + behind)
		source, local, err := readProxyHeader(r)
		got := source.String()
		if local {
			got = "local"
		}
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%q: %q, %v, want %q", header, got, err, want)
		}
		if rest, _ := io.ReadAll(r); want != "" && string(rest) != behind {
			t.Errorf("%q: %q is left", header, rest)
		}
	}
}

func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.1 5060 5061\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(binaryHeader(0x21, 0x11, ends4...)))
	f.Add([]byte(binaryHeader(0x21, 0x21, append(ends6[:36:36], 4, 0, 1, 0)...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		source, local, err := readProxyHeader(r)
		if n := len(b) - r.Len(); n > proxyFixed+maxProxyPayload {
			t.Errorf("%d bytes read", n)
		}
		if err == nil && !local && (!source.IsValid() || source.Port() == 0 || source.Addr().Is4In6() || source.Addr().Zone() != "") {
			t.Errorf("source %v", source)
		}
		if err != nil && (local || source.IsValid()) {
			t.Errorf("%v, %v beside %v", source, local, err)
		}
	})
}

// dialFromBalancer connects from 127.0.0.9, which is one.
func dialFromBalancer(t testing.TB, to netip.AddrPort, say string) *net.TCPConn {
	t.Helper()
	c, err := dialFrom("127.0.0.9", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, say)
	return c
}

func behindBalancer(cfg Config) Config {
	cfg.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("127.0.0.8/31")}
	return cfg
}

func TestProxyProtocolSource(t *testing.T) {
	st := &stage{}
	s := serve(t, behindBalancer(oneTCP("127.0.0.1:0")), st)
	to := s.Listeners()[0].Addr
	for header, want := range map[string]netip.AddrPort{
		"PROXY TCP4 192.0.2.1 198.51.100.1 5060 5061\r\n": addr("192.0.2.1:5060"),
		binaryHeader(0x21, 0x21, ends6...):                addr("[2020:2020:2020:2020:2020:2020:2020:2020]:5060"),
		"PROXY UNKNOWN\r\n":                               {},
	} {
		c := dialFromBalancer(t, to, header+message("a", 3))
		got := st.next(t, "receive")
		if !want.IsValid() {
			want = c.LocalAddr().(*net.TCPAddr).AddrPort()
		}
		if got.flow.Remote != want || got.bytes != message("a", 3) {
			t.Errorf("%q: from %v: %q", header, got.flow.Remote, got.bytes)
		}
		if err := s.NewOut().Send([]byte("x"), got.flow); err != nil {
			t.Errorf("%q: no way back: %v", header, err)
		}
		o := s.NewOut()
		_ = o.Send([]byte(message("back", 0)), got.flow)
		o.Flush()
		if back := readAll(t, c, len(message("back", 0))+1); !strings.HasSuffix(back, message("back", 0)) {
			t.Errorf("%q: back came %q", header, back)
		}
	}
}

// From a balancer a header is required, from anybody else it is no SIP, and inside there are no balancers.
func TestProxyProtocolRefused(t *testing.T) {
	st := &stage{}
	cfg := behindBalancer(oneTCP("127.0.0.1:0"))
	cfg.Listen = append(cfg.Listen, tcp(edge.Inside, "127.0.0.1:0"))
	cfg.HandshakeTimeout = 100 * time.Millisecond
	s := serve(t, cfg, st)
	to := s.Listeners()[0].Addr
	for _, say := range []string{message("a", 0), "PROXY TCP4 nonsense\r\n" + message("a", 0), "PROXY TC", "", proxySignature + "\x21\x11\xff\xff"} {
		if _, err := dialFromBalancer(t, to, say).Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%.20q: %v, want a reset", say, err)
		}
	}
	eventually(t, "all are refused", func() bool { n := s.Counters(); return n.RefusedProxy == 5 && n.ConnectionsOpen == 0 })
	if n := s.Counters(); n.Accepted != 0 {
		t.Errorf("accepted %d", n.Accepted)
	}
	const header = "PROXY TCP4 192.0.2.1 198.51.100.1 5060 5061\r\n"
	fmt.Fprint(dialTCP(t, to), header+message("a", 0))
	if got := st.next(t, "refused"); got.flow.Remote.Addr() != addr("127.0.0.1:1").Addr() || !strings.HasPrefix(got.bytes, "PROXY ") {
		t.Errorf("from %v: %q", got.flow.Remote, got.bytes)
	}
	dialFromBalancer(t, s.Listeners()[1].Addr, message("inside", 0))
	if got := st.next(t, "receive"); got.bytes != message("inside", 0) {
		t.Errorf("inside: %q", got.bytes)
	}
}

// The limit per source counts real sources, those that have not said theirs yet count against the total.
func TestProxyProtocolLimits(t *testing.T) {
	st := &stage{}
	cfg := behindBalancer(oneTCP("127.0.0.1:0"))
	cfg.ConnectionsPerSource, cfg.Connections = 2, 8 // seven for strangers
	s := serve(t, cfg, st)
	to := s.Listeners()[0].Addr
	from := func(ip string) string { return "PROXY TCP4 " + ip + " 198.51.100.1 5060 5061\r\n" + message("a", 0) }
	var open []*net.TCPConn
	for i := range 3 {
		for _, ip := range []string{"192.0.2.1", "192.0.2.2"} {
			open = append(open, dialFromBalancer(t, to, from(ip)))
			if i < 2 {
				st.next(t, "receive")
			}
		}
	}
	eventually(t, "two are over the limit of their source", func() bool { return s.Counters().RefusedSource == 2 })
	for range 3 {
		open = append(open, dialFromBalancer(t, to, ""))
	}
	eventually(t, "all are counted", func() bool { return s.Counters().ConnectionsOpen == 7 })
	if c, err := dialFrom("127.0.0.9", to); err == nil { // the reset may come before it is made
		open = append(open, c)
	}
	eventually(t, "one over the total takes another's place", func() bool { return s.Counters().Evicted == 1 })
	for _, c := range open {
		c.Close()
	}
	eventually(t, "nothing is left", func() bool { return s.Counters().ConnectionsOpen == 0 })
}

func TestProxyProtocolTLS(t *testing.T) {
	a := newAuthority(t)
	st := &stage{}
	s := serve(t, behindBalancer(oneTLS(t, a, "127.0.0.1:0")), st)
	c := tls.Client(dialFromBalancer(t, s.Listeners()[0].Addr, "PROXY TCP4 192.0.2.1 198.51.100.1 5060 5061\r\n"), &tls.Config{RootCAs: a.pool, ServerName: "sip.example.com"})
	fmt.Fprint(c, message("a", 0))
	if got := st.next(t, "receive"); got.flow.Remote != addr("192.0.2.1:5060") {
		t.Errorf("from %v", got.flow.Remote)
	}
}

// Close does not wait for a balancer that says nothing.
func TestProxyProtocolClose(t *testing.T) {
	s := serve(t, behindBalancer(oneTCP("127.0.0.1:0")), &stage{})
	dialFromBalancer(t, s.Listeners()[0].Addr, "PROXY ")
	eventually(t, "it is counted", func() bool { return s.Counters().ConnectionsOpen == 1 })
	s.Close()
	if n := s.Counters(); n.ConnectionsOpen != 0 || n.RefusedProxy != 0 {
		t.Errorf("%+v", n)
	}
}
