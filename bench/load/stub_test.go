package load

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// A stub is the smallest proxy that the generator accepts: one Via, one Record-Route, its own 100, no memory. tamper, if
// set, sees every message that it sends and may return another one, or nil to lose it.
type stub struct {
	outside, inside *net.UDPConn
	platform        netip.AddrPort
	tamper          func(b []byte) []byte
	done            sync.WaitGroup
}

func startStub(t *testing.T, platform netip.AddrPort, tamper func([]byte) []byte) *stub {
	t.Helper()
	s := &stub{platform: platform, tamper: tamper}
	s.outside, s.inside = listenUDP(t, "127.0.10.1"), listenUDP(t, "127.0.10.2")
	s.done.Go(func() { s.serve(s.outside, s.request) })
	s.done.Go(func() { s.serve(s.inside, s.response) })
	t.Cleanup(func() {
		s.outside.Close()
		s.inside.Close()
		s.done.Wait()
	})
	return s
}

func listenUDP(t *testing.T, host string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func (s *stub) serve(c *net.UDPConn, handle func(text string, from netip.AddrPort)) {
	b := make([]byte, 65536)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		handle(string(b[:n]), from)
	}
}

func (s *stub) send(c *net.UDPConn, text string, to netip.AddrPort) {
	b := []byte(text)
	if s.tamper != nil {
		b = s.tamper(b)
	}
	if b != nil {
		_, _ = c.WriteToUDPAddrPort(b, to) // a closed socket ends the test anyway
	}
}

// request relays a request from a caller to the platform.
func (s *stub) request(text string, from netip.AddrPort) {
	start, rest, _ := strings.Cut(text, "\r\n")
	rest = strings.Replace(rest, ";rport", fmt.Sprintf(";rport=%d;received=%s", from.Port(), from.Addr()), 1)
	rest = strings.Replace(rest, "Max-Forwards: 70", "Max-Forwards: 69", 1)
	via, _, _ := strings.Cut(rest, "\r\n")
	if strings.HasPrefix(start, "INVITE") {
		s.send(s.outside, trying(rest), from)
	}
	if i := strings.Index(rest, "Route: "); i >= 0 {
		end := i + strings.Index(rest[i:], "\r\n") + 2
		rest = rest[:i] + rest[end:]
	}
	h := fnv.New64()
	fmt.Fprint(h, via)
	added := fmt.Sprintf("\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKstub%x\r\n", addrOf(s.inside), h.Sum64())
	if strings.HasPrefix(start, "INVITE") {
		added += fmt.Sprintf("Record-Route: <sip:%s;lr>\r\n", addrOf(s.outside))
	}
	s.send(s.inside, start+added+rest, s.platform)
}

// trying is the stub's own 100 for a request whose lines after the first are given.
func trying(rest string) string {
	out := "SIP/2.0 100 Trying\r\n"
	for _, line := range strings.Split(rest, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Via", "From", "To", "Call-ID", "CSeq":
			out += line + "\r\n"
		}
	}
	return out + "Content-Length: 0\r\n\r\n"
}

// response relays a response from the platform to the caller named by the second Via.
func (s *stub) response(text string, _ netip.AddrPort) {
	start, rest, _ := strings.Cut(text, "\r\n")
	_, rest, _ = strings.Cut(rest, "\r\n")
	via, _, _ := strings.Cut(rest, "\r\n")
	_, after, _ := strings.Cut(via, "SIP/2.0/UDP ")
	caller, _, _ := strings.Cut(after, ";")
	if strings.HasPrefix(start, "SIP/2.0 100") {
		return
	}
	s.send(s.outside, start+"\r\n"+rest, netip.MustParseAddrPort(caller))
}

// runThroughStub makes calls through a stub and returns the report, strays included. Unless a test has a T1 of its own nothing is sent
// again because the machine is busy: that would excuse what is missing.
func runThroughStub(t *testing.T, cfg Config, count int, tamper func([]byte) []byte) Report {
	t.Helper()
	cfg.T1 = cmp.Or(cfg.T1, 30*time.Second)
	settle := 20 * time.Millisecond
	if cfg.Mode == Flood { // which waits for nothing by itself
		settle = 500 * time.Millisecond
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	s := startStub(t, g.Platform(), tamper)
	g.Aim(addrOf(s.outside), addrOf(s.inside).Addr())
	report, err := g.Run(context.Background(), count)
	if err != nil {
		t.Fatal(err)
	}
	if report, err = g.Settle(report, settle); err != nil {
		t.Fatal(err)
	}
	return report
}

// replaceIn returns a tamper function that replaces old by new in messages that start with prefix.
func replaceIn(prefix, old, new string) func([]byte) []byte {
	return func(b []byte) []byte {
		if !bytes.HasPrefix(b, []byte(prefix)) {
			return b
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
}
