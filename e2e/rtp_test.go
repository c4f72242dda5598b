package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// A mouth is a socket that media leaves by and comes to.
type mouth struct {
	t    *testing.T
	udp  *net.UDPConn
	ssrc uint32
	seq  uint16
}

// newMouth opens one at the address of ua.
func newMouth(ua *siptest.UA, t *testing.T) *mouth {
	t.Helper()
	return newMouthAt(t, ua.Addr.Addr())
}

func newMouthAt(t *testing.T, at netip.Addr) *mouth {
	t.Helper()
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	m := &mouth{t: t, udp: udp}
	m.ssrc = uint32(m.addr().Port()) << 8
	return m
}

func (m *mouth) addr() netip.AddrPort { return m.udp.LocalAddr().(*net.UDPAddr).AddrPort() }

// sdp describes m as audio; more are further lines of its media line.
func (m *mouth) sdp(more ...string) string {
	return m.described("audio %d RTP/AVP 0", more...)
}

func (m *mouth) described(media string, more ...string) string {
	at := "IN IP4 " + m.addr().Addr().String()
	if m.addr().Addr().Is6() {
		at = "IN IP6 " + m.addr().Addr().String()
	}
	lines := append([]string{"v=0", "o=- 1 " + strconv.Itoa(int(time.Now().UnixNano()%1e9)) + " " + at, "s=-", "c=" + at, "t=0 0",
		fmt.Sprintf("m="+media, m.addr().Port())}, more...)
	return strings.Join(lines, "\r\n") + "\r\n"
}

// with lets a message carry a description.
func with(sdp string) func(*siptest.Message) {
	return func(m *siptest.Message) {
		if m.Del("Content-Type"); sdp == "" {
			m.Body = ""
			return
		}
		m.WithBody("application/sdp", sdp)
	}
}

// packet is the next one of m with payload.
func (m *mouth) packet(payload string) []byte {
	m.seq++
	b := []byte{0x80, 0}
	b = binary.BigEndian.AppendUint16(b, m.seq)
	b = binary.BigEndian.AppendUint32(b, uint32(m.seq)*160)
	b = binary.BigEndian.AppendUint32(b, m.ssrc)
	return append(b, payload...)
}

// say sends a packet of RTP with payload to an address.
func (m *mouth) say(to netip.AddrPort, payload string) {
	m.t.Helper()
	if _, err := m.udp.WriteToUDPAddrPort(m.packet(payload), to); err != nil {
		m.t.Fatal(err)
	}
}

// hear waits until a packet with payload has come, and returns where from.
func (m *mouth) hear(payload string) netip.AddrPort {
	m.t.Helper()
	b := make([]byte, 2048)
	m.udp.SetReadDeadline(time.Now().Add(5 * time.Second))
	for {
		n, from, err := m.udp.ReadFromUDPAddrPort(b)
		if err != nil {
			m.t.Fatalf("%v: %q never came", m.addr(), payload)
		}
		if bytes.HasSuffix(b[:n], []byte(payload)) {
			return from
		}
	}
}

// deaf wants nothing to come for a while.
func (m *mouth) deaf() {
	m.t.Helper()
	b := make([]byte, 2048)
	m.udp.SetReadDeadline(time.Now().Add(hush))
	if n, from, err := m.udp.ReadFromUDPAddrPort(b); err == nil {
		m.t.Errorf("%v heard %q from %v", m.addr(), b[:n], from)
	}
}

// wanted is where a description wants media, of its first or a further media line.
func wanted(t *testing.T, body string, line int) (at netip.AddrPort) {
	t.Helper()
	var addr netip.Addr
	i := -1
	var port uint16
	for text := range strings.SplitSeq(body, "\r\n") {
		f := strings.Fields(text)
		switch {
		case strings.HasPrefix(text, "c=") && (i < 0 || i == line):
			addr = netip.MustParseAddr(f[2])
		case strings.HasPrefix(text, "m="):
			if i++; i == line {
				n, _ := strconv.Atoi(f[1])
				port = uint16(n)
			}
		}
	}
	if !addr.IsValid() || i < line {
		t.Fatalf("no media line %d in %q", line, body)
	}
	return netip.AddrPortFrom(addr, port)
}

// A chat is a call with media: both ends, and where each was told to send.
type chat struct {
	*call
	r                 *rig
	near, far         *mouth // of the phone, and of the platform
	towardFar, toward netip.AddrPort
}

// chat lets phone call the platform; both talk.
func (r *rig) chat(phone *siptest.UA) *chat {
	r.Helper()
	c := &chat{r: r, near: newMouth(phone, r.T), far: newMouth(r.platform, r.T)}
	sent, got := r.invite(phone, with(c.near.sdp()))
	answer := r.platform.Reply(got, 200, with(c.far.sdp()))
	ok := phone.Expect("200 INVITE")
	c.call = &call{phone.NewCallerDialog(sent, ok), r.platform.NewCalleeDialog(got, answer), sent, got}
	c.call.phone.Send("ACK")
	r.platform.Expect("ACK")
	c.toward, c.towardFar = wanted(r.T, got.Body, 0), wanted(r.T, ok.Body, 0)
	c.talk()
	return c
}

// talk wants what each end says to come to the other.
func (c *chat) talk() {
	c.r.Helper()
	c.near.say(c.towardFar, "from the phone")
	c.far.hear("from the phone")
	c.far.say(c.toward, "from the platform")
	c.near.hear("from the platform")
}

// reoffer sends an INVITE or UPDATE in a dialog with an offer, which is answered.
func (c *chat) reoffer(method string, from, to *siptest.Dialog, offer, answer string) (asked, answered *siptest.Received) {
	c.r.Helper()
	m := from.Request(method)
	with(offer)(m)
	from.UA.Send(m)
	asked = to.UA.Expect(method)
	to.UA.Reply(asked, 200, with(answer))
	answered = from.UA.Expect("200 " + method)
	if method == "INVITE" {
		from.Send("ACK")
		to.UA.Expect("ACK")
	}
	return asked, answered
}

// streams waits until n media lines have ports.
func (r *rig) streams(n int) {
	r.Helper()
	if !siptest.Eventually(func() bool { return int(r.edge.Counter("ringwall_media_streams")) == n }) {
		r.Errorf("%v media lines have ports, want %d", r.edge.Counter("ringwall_media_streams"), n)
	}
}
