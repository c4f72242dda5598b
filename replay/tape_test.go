package replay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/ringwall/ringwall/judge"
)

var (
	start    = time.Unix(1_700_000_000, 0)
	platform = netip.MustParseAddrPort("203.0.113.10:5060")
	phone    = netip.MustParseAddrPort("192.0.2.20:5062")
	stranger = netip.MustParseAddrPort("198.51.100.7:5060")
	inside   = []netip.Prefix{netip.MustParsePrefix("203.0.113.10/32")}
)

// A tape is a capture that a test makes: what is sent is written, one millisecond after the other.
type tape struct {
	t     testing.TB
	buf   bytes.Buffer
	link  layers.LinkType
	write func(gopacket.CaptureInfo, []byte) error
	done  func() error
	at    time.Time
}

// newTape begins a pcap file of Ethernet packets.
func newTape(t testing.TB) *tape { return newTapeOf(t, layers.LinkTypeEthernet, false) }

// newTapeOf begins a capture of a kind of link; ng: a pcapng.
func newTapeOf(t testing.TB, link layers.LinkType, ng bool) *tape {
	t.Helper()
	c := &tape{t: t, link: link, at: start, done: func() error { return nil }}
	if ng {
		w, err := pcapgo.NewNgWriter(&c.buf, link)
		if err != nil {
			t.Fatal(err)
		}
		c.write, c.done = w.WritePacket, w.Flush
		return c
	}
	w := pcapgo.NewWriterNanos(&c.buf)
	if err := w.WriteFileHeader(65535, link); err != nil {
		t.Fatal(err)
	}
	c.write = w.WritePacket
	return c
}

// bytes is the file.
func (c *tape) bytes() []byte {
	c.t.Helper()
	if err := c.done(); err != nil {
		c.t.Fatal(err)
	}
	return c.buf.Bytes()
}

// packet writes an IP packet, in a frame of the link.
func (c *tape) packet(ip []byte) {
	c.t.Helper()
	c.frame(c.framed(ip), 0)
}

// frame writes a frame of which missing bytes at the end were not captured.
func (c *tape) frame(b []byte, missing int) {
	c.t.Helper()
	c.at = c.at.Add(time.Millisecond)
	if err := c.write(gopacket.CaptureInfo{Timestamp: c.at, CaptureLength: len(b) - missing, Length: len(b)}, b[:len(b)-missing]); err != nil {
		c.t.Fatal(err)
	}
}

// framed is ip in a frame.
func (c *tape) framed(ip []byte) []byte {
	kind := uint16(etherIPv4)
	if ip[0]>>4 == 6 {
		kind = etherIPv6
	}
	switch c.link {
	case layers.LinkTypeEthernet:
		return append(binary.BigEndian.AppendUint16(make([]byte, 12, 14+len(ip)), kind), ip...)
	case layers.LinkTypeLinuxSLL:
		return append(binary.BigEndian.AppendUint16(make([]byte, 14, 16+len(ip)), kind), ip...)
	case layers.LinkTypeLinuxSLL2:
		return append(append(binary.BigEndian.AppendUint16(nil, kind), make([]byte, 18)...), ip...)
	case layers.LinkTypeNull:
		return append([]byte{2, 0, 0, 0}, ip...)
	case layers.LinkTypeLoop:
		return append([]byte{0, 0, 0, 2}, ip...)
	}
	return ip
}

// ipPacket is an IP packet. frag is the flags and offset of IPv4.
func ipPacket(src, dst netip.Addr, protocol byte, frag, id uint16, payload []byte) []byte {
	if src.Is6() {
		b := append(make([]byte, 8, 40+len(payload)), src.AsSlice()...)
		b[0], b[6], b[7] = 0x60, protocol, 64
		binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
		return append(append(b, dst.AsSlice()...), payload...)
	}
	b := make([]byte, 12, 20+len(payload))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], frag)
	return append(append(append(b, src.AsSlice()...), dst.AsSlice()...), payload...)
}

// udpPacket is a datagram without IP.
func udpPacket(src, dst netip.AddrPort, text string) []byte {
	b := binary.BigEndian.AppendUint16(nil, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(text)))
	return append(append(b, 0, 0), text...)
}

// udp sends text.
func (c *tape) udp(src, dst netip.AddrPort, text string) {
	c.t.Helper()
	c.packet(ipPacket(src.Addr(), dst.Addr(), protoUDP, 0, 0, udpPacket(src, dst, text)))
}

// Flags of TCP.
const (
	fin = 1
	syn = 2
	rst = 4
	ack = 16
)

// tcp sends a segment.
func (c *tape) tcp(src, dst netip.AddrPort, seq uint32, flags byte, text string) {
	c.t.Helper()
	b := binary.BigEndian.AppendUint16(nil, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = append(binary.BigEndian.AppendUint32(b, seq), 0, 0, 0, 0, 5<<4, flags, 255, 255, 0, 0, 0, 0)
	c.packet(ipPacket(src.Addr(), dst.Addr(), protoTCP, 0, 0, append(b, text...)))
}

// A request is what a phone or a stranger sends.
type request struct {
	method, uri, user, id, fields string
	tag, toTag, branch            string
	name                          string // in credentials; "": the user's
	cseq                          int
}

func (q request) String() string {
	or := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	or(&q.uri, "sip:example.com")
	or(&q.user, "1001")
	or(&q.id, "call-"+q.user)
	or(&q.tag, "f-"+q.id)
	to := "<sip:" + q.user + "@example.com>"
	if q.method != "REGISTER" {
		to = "<" + q.uri + ">"
	}
	if q.toTag != "" {
		to += ";tag=" + q.toTag
	}
	method := q.method
	if method == "ACK" || method == "CANCEL" {
		method = "INVITE"
	}
	or(&q.branch, fmt.Sprintf("z9hG4bK-%s-%s-%d", q.id, method, q.cseq))
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20:5062;rport;branch=%s\r\nMax-Forwards: 70\r\nFrom: <sip:%s@example.com>;tag=%s\r\n"+
		"To: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:%s@192.168.1.20:5062>\r\nUser-Agent: ExamplePhone 4.0\r\n%sContent-Length: 0\r\n\r\n",
		q.method, q.uri, q.branch, q.user, q.tag, to, q.id, q.cseq, q.method, q.user, q.fields)
}

// reply is the answer to the request with that text.
func reply(request string, status int, toTag string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d X\r\n", status)
	for line := range strings.SplitSeq(request, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "To":
			if toTag != "" && !strings.Contains(line, ";tag=") {
				line += ";tag=" + toTag
			}
			fallthrough
		case "Via", "From", "Call-ID", "CSeq":
			b.WriteString(line + "\r\n")
		}
	}
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	return b.String() + "Content-Length: 0\r\n\r\n"
}

const (
	challenge   = `WWW-Authenticate: Digest realm="example.com", nonce="%s", algorithm=MD5`
	credentials = `Authorization: Digest username="%s", realm="example.com", nonce="%s", uri="sip:example.com", response="%s"` + "\r\n"
	contact     = "Contact: <sip:%s@192.168.1.20:5062>;expires=%d"
)

// register lets a phone register, challenged; status is the answer to its password.
func (c *tape) register(from netip.AddrPort, user, password string, cseq, status int) {
	c.t.Helper()
	nonce := fmt.Sprintf("nonce-of-%s-%d-%v", user, cseq, from)
	first := request{method: "REGISTER", user: user, cseq: cseq}.String()
	c.udp(from, platform, first)
	c.udp(platform, from, reply(first, 401, "platform-tag-1", fmt.Sprintf(challenge, nonce)))
	second := request{method: "REGISTER", user: user, cseq: cseq + 1, fields: fmt.Sprintf(credentials, user, nonce, password)}.String()
	c.udp(from, platform, second)
	switch status {
	case 200:
		c.udp(platform, from, reply(second, 200, "platform-tag-2", fmt.Sprintf(contact, user, 3600)))
	case 401:
		c.udp(platform, from, reply(second, 401, "platform-tag-3", fmt.Sprintf(challenge, nonce+"x")))
	default:
		c.udp(platform, from, reply(second, status, "platform-tag-4"))
	}
}

// run judges the tape.
func (c *tape) run(checks ...judge.Charge) *Report {
	c.t.Helper()
	if checks == nil {
		checks = allChecks()
	}
	r, err := Run(bytes.NewReader(c.bytes()), Config{Inside: inside, Checks: checks, Key: testKey})
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}
