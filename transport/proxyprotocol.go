package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// The PROXY protocol, versions 1 and 2, as a load balancer in front of stream listeners speaks it: a header before the first byte of a
// connection says where it really comes from. It is read byte for byte, so that TLS and WebSocket find theirs untouched.

const (
	maxProxyLine    = 107 // of version 1 with its CRLF
	proxySignature  = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixed      = 16  // bytes of version 2 before the addresses
	maxProxyPayload = 520 // addresses and extensions of version 2
)

var errProxyHeader = errors.New("no PROXY protocol header")

func badProxyHeader(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errProxyHeader}, args...)...)
}

// readProxyHeader reads a header from r, and not a byte more. local: the balancer speaks for itself, as in a health check, and source
// means nothing.
func readProxyHeader(r io.Reader) (source netip.AddrPort, local bool, err error) {
	var b [proxyFixed + maxProxyPayload]byte
	first := b[:len(proxySignature)] // every header is longer
	if _, err := io.ReadFull(r, first); err != nil {
		return source, false, fmt.Errorf("read the PROXY protocol header: %w", err)
	}
	switch {
	case string(first) == proxySignature:
		return readBinary(r, b[:])
	case bytes.HasPrefix(first, []byte("PROXY ")):
		return readLine(r, b[:maxProxyLine], len(first))
	}
	return source, false, errProxyHeader
}

// readLine reads the rest of version 1 behind the n bytes that b holds.
func readLine(r io.Reader, b []byte, n int) (source netip.AddrPort, local bool, err error) {
	for ; !bytes.HasSuffix(b[:n], []byte("\r\n")); n++ {
		if n == len(b) {
			return source, false, badProxyHeader("no end of line within %d bytes", maxProxyLine)
		}
		if _, err := io.ReadFull(r, b[n:n+1]); err != nil {
			return source, false, fmt.Errorf("read the PROXY protocol header: %w", err)
		}
	}
	f := strings.Split(string(b[:n-2]), " ")
	if f[1] == "UNKNOWN" {
		return source, true, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return source, false, badProxyHeader("not PROXY TCP4 or TCP6 with two addresses and two ports")
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		addr, err := netip.ParseAddr(f[2+i])
		port, ok := proxyPort(f[4+i])
		if err != nil || addr.Is4() != (f[1] == "TCP4") || addr.Zone() != "" || !ok {
			return source, false, badProxyHeader("not an address and a port of %s", f[1])
		}
		ends[i] = netip.AddrPortFrom(addr, port)
	}
	return oneSource(ends[0])
}

// proxyPort reads a port without signs and leading zeros.
func proxyPort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && strconv.FormatUint(n, 10) == s
}

// readBinary reads the rest of version 2 behind the signature that b begins with.
func readBinary(r io.Reader, b []byte) (source netip.AddrPort, local bool, err error) {
	if _, err := io.ReadFull(r, b[len(proxySignature):proxyFixed]); err != nil {
		return source, false, fmt.Errorf("read the PROXY protocol header: %w", err)
	}
	version, family, size := b[12], b[13], int(binary.BigEndian.Uint16(b[14:]))
	if version != 0x20 && version != 0x21 {
		return source, false, badProxyHeader("version and command 0x%02x", version)
	}
	if size > maxProxyPayload {
		return source, false, badProxyHeader("%d bytes behind its fixed part, more than %d", size, maxProxyPayload)
	}
	p := b[proxyFixed : proxyFixed+size]
	if _, err := io.ReadFull(r, p); err != nil {
		return source, false, fmt.Errorf("read the PROXY protocol header: %w", err)
	}
	if version == 0x20 {
		return source, true, nil
	}
	width := map[byte]int{0x11: 4, 0x21: 16}[family] // TCP over IPv4, over IPv6
	if width == 0 {
		return source, false, badProxyHeader("address family and protocol 0x%02x", family)
	}
	if len(p) < 2*width+4 || !extensionsWhole(p[2*width+4:]) {
		return source, false, badProxyHeader("addresses or extensions are cut short")
	}
	addr, _ := netip.AddrFromSlice(p[:width])
	return oneSource(netip.AddrPortFrom(addr, binary.BigEndian.Uint16(p[2*width:])))
}

// extensionsWhole reports whether the type-length-value fields of version 2 fill p. What they say is not looked at.
func extensionsWhole(p []byte) bool {
	for len(p) > 0 {
		if len(p) < 3 || len(p)-3 < int(binary.BigEndian.Uint16(p[1:])) {
			return false
		}
		p = p[3+int(binary.BigEndian.Uint16(p[1:])):]
	}
	return true
}

// oneSource refuses what cannot be the address of one far end.
func oneSource(source netip.AddrPort) (netip.AddrPort, bool, error) {
	a := source.Addr().Unmap()
	if source.Port() == 0 || a.IsUnspecified() || a.IsMulticast() || a == broadcast {
		return netip.AddrPort{}, false, badProxyHeader("%v is nobody's address", source)
	}
	return netip.AddrPortFrom(a, source.Port()), false, nil
}

// balanced reports whether connections from a to a listener of that side begin with a header.
func (s *Server) balanced(side edge.Side, a netip.Addr) bool {
	if side != edge.Outside {
		return false
	}
	return within(*s.balancers.Load(), a)
}

// introduced is the goroutine of a connection from a load balancer until it is known where it comes from. It counts against the
// total meanwhile, and against its real source from then on.
func (s *Server) introduced(nc *net.TCPConn, balancer netip.AddrPort, listener uint16) {
	stop := context.AfterFunc(s.ctx, func() { nc.Close() })
	_ = nc.SetReadDeadline(time.Now().Add(s.cfg.HandshakeTimeout))
	source, local, err := netip.AddrPort{}, false, errPanicked
	s.survived(func() { source, local, err = readProxyHeader(nc) })
	_ = nc.SetReadDeadline(time.Time{})
	s.conns.unreserve()
	if !stop() {
		return
	}
	if err != nil {
		s.count.refusedProxy.Add(1)
		if s.proxyLog.allow(time.Now()) {
			s.cfg.Log.Warn("a connection from a load balancer is refused", slog.Any("source", balancer), slog.Any("error", err))
		}
		reset(nc)
		return
	}
	if local {
		source = balancer
	}
	s.take(nc, source, listener)
}

// reserve counts a connection that nobody is counted for yet, unless there are as many as most.
func (t *connTable) reserve(most int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count >= most {
		return false
	}
	t.count++
	return true
}

func (t *connTable) unreserve() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count--
}
