package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/sdp"
	"github.com/ringwall/ringwall/siptest"
)

// An engine is Debian's rtpengine in user space.
type engine struct {
	*daemon
	ng netip.AddrPort
}

// engines counts them, for ranges of ports of their own.
var engines atomic.Int32

// newEngine starts one whose outside and inside are addresses of its own, and waits until it answers.
func newEngine(t *testing.T) *engine {
	t.Helper()
	ng := place(t, siptest.OwnIP())
	first := 40000 + int(engines.Add(1))%100*200
	d := startDaemon(t, "rtpengine", "--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=5", "--num-threads=1",
		"--interface=outside/"+ng.Addr().String(), "--interface=inside/"+siptest.OwnIP(), "--listen-ng="+ng.String(),
		fmt.Sprint("--port-min=", first), fmt.Sprint("--port-max=", first+199))
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(ng))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !siptest.Eventually(func() bool {
		_, _ = conn.Write([]byte("1 d7:command4:pinge"))
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, _ := conn.Read(make([]byte, 100))
		return n > 0
	}) {
		t.Fatal("rtpengine does not answer")
	}
	return &engine{daemon: d, ng: ng}
}

// engaging lets the edge relay media by rtpengine.
func engaging(all ...*engine) siptest.Keys {
	list := make([]string, len(all))
	for i, e := range all {
		list[i] = fmt.Sprintf("\"udp:%v\"", e.ng)
	}
	return siptest.Keys{"media": "{relay: rtpengine, rtpengine: [" + strings.Join(list, ", ") + "]}"}
}

// TestConformanceRTPEngine runs rows about calls once more while rtpengine relays media, and the platform is hidden.
func TestConformanceRTPEngine(t *testing.T) {
	t.Parallel()
	rowsAgain(t, "P2 P3 P4 P8 P15 P16 P17 P29 P31 P33 P35 P36 P43 P45 P46 P64 P66-hidden", 1, engaging(newEngine(t)))
}

// A speaker is one end of a call with media: its socket, and where it was told to send.
type speaker struct {
	conn *net.UDPConn
	to   netip.AddrPort
	seq  uint16
}

func newSpeaker(r *rig) *speaker {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(siptest.OwnIP())})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { conn.Close() })
	return &speaker{conn: conn}
}

// says gives a message the description of k.
func (k *speaker) says(direction string) func(*siptest.Message) {
	at := k.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return func(m *siptest.Message) {
		m.WithBody("application/sdp", fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %v\r\ns=-\r\nc=IN IP4 %v\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\na=%s\r\na=rtcp-mux\r\n",
			at.Addr(), at.Addr(), at.Port(), direction))
	}
}

// told notes where m wants media, which must not be other.
func (k *speaker) told(r *rig, m *siptest.Received, other *speaker) {
	r.Helper()
	var s sdp.Session
	if err := s.Parse([]byte(m.Body)); err != nil || len(s.Media) != 1 {
		r.Fatalf("%v\n%s", err, m.Raw)
	}
	k.to = netip.AddrPortFrom(s.Media[0].Addr, s.Media[0].Port)
	if k.to == other.conn.LocalAddr().(*net.UDPAddr).AddrPort() || s.Origin.ID == nil || string(s.Origin.Username) != "-" {
		r.Errorf("not relayed:\n%s", m.Body)
	}
}

// hears wants count packets that other sends.
func (k *speaker) hears(r *rig, other *speaker, count int) {
	r.Helper()
	room := make([]byte, 2000)
	for range count {
		other.seq++
		packet := append([]byte{0x80, 0, byte(other.seq >> 8), byte(other.seq), 0, 0, 0, 1, 0, 0, 0, 1}, make([]byte, 160)...)
		if _, err := other.conn.WriteToUDPAddrPort(packet, other.to); err != nil {
			r.Fatal(err)
		}
		_ = k.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := k.conn.Read(room); err != nil || n != len(packet) {
			r.Fatalf("heard %d bytes, %v", n, err)
		}
	}
}

// finds waits until what other sends is heard again: the server is told what holds after a refused offer once the refusal is on its way.
func (k *speaker) finds(r *rig, other *speaker) {
	r.Helper()
	room := make([]byte, 2000)
	if !siptest.Eventually(func() bool {
		_, _ = other.conn.WriteToUDPAddrPort(append([]byte{0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2}, make([]byte, 160)...), other.to)
		_ = k.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, err := k.conn.Read(room)
		return err == nil && n > 0
	}) {
		r.Fatal("not heard again")
	}
	for err := error(nil); err == nil; _, err = k.conn.Read(room) { // those that were late
		_ = k.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	}
}

// invites describes a again in a re-INVITE of the call, which b accepts, and wants media both ways after that.
func (c *call) invites(r *rig, a, b *speaker, direction, back string) {
	r.Helper()
	m := c.phone.Request("INVITE")
	a.says(direction)(m)
	c.phone.UA.Send(m)
	got := c.platform.UA.Expect("INVITE")
	b.told(r, got, a)
	c.platform.UA.Reply(got, 200, b.says(back))
	a.told(r, c.phone.UA.Expect("200 INVITE"), b)
	c.phone.Send("ACK")
	c.platform.UA.Expect("ACK")
}

// talk lets a phone call the platform, with media both ways.
func (r *rig) talk(phone *siptest.UA, a, b *speaker) *call {
	r.Helper()
	sent, got := r.invite(phone, a.says("sendrecv"))
	b.told(r, got, a)
	answer := r.platform.Reply(got, 200, b.says("sendrecv"))
	ok := phone.Expect("200 INVITE")
	a.told(r, ok, b)
	c := &call{phone.NewCallerDialog(sent, ok), r.platform.NewCalleeDialog(got, answer), sent, got}
	c.phone.Send("ACK")
	r.platform.Expect("ACK")
	b.hears(r, a, 5)
	a.hears(r, b, 5)
	return c
}

// TestStoryRTPEngine: calls with media through rtpengine: hold and resume, a refused re-INVITE, its figures in `ringwall calls`, and its end.
func TestStoryRTPEngine(t *testing.T) {
	t.Parallel()
	r := newRig(t, way{out: "udp", in: "udp"}, engaging(newEngine(t)))
	phone := r.phone("alice")
	a, b := newSpeaker(r), newSpeaker(r)
	c := r.talk(phone, a, b)
	c.invites(r, a, b, "sendonly", "recvonly")
	b.hears(r, a, 5)
	c.invites(r, a, b, "sendrecv", "sendrecv")
	b.hears(r, a, 5)
	a.hears(r, b, 5)

	m := c.phone.Request("INVITE")
	newSpeaker(r).says("sendrecv")(m)
	phone.Send(m)
	r.platform.Reply(r.platform.Expect("INVITE"), 488)
	phone.Send(siptest.AckOf(m, phone.Expect("488 INVITE")))
	b.finds(r, a)
	a.finds(r, b)
	b.hears(r, a, 5)
	a.hears(r, b, 5)

	if n := r.edge.Counter("ringwall_media_calls"); n != 1 {
		t.Errorf("%v calls", n)
	}
	r.bye(c.phone, c.platform)
	if !siptest.Eventually(func() bool { return r.edge.Counter("ringwall_media_calls") == 0 }) {
		t.Error("the call is still there")
	}
}

// TestStoryRTPEngineUnusable: a 2xx whose description can't be read is acknowledged and hung up aside, too.
func TestStoryRTPEngineUnusable(t *testing.T) {
	t.Parallel()
	unusable(newRig(t, udp, concealed(engaging(newEngine(t)))))
}

// TestStoryRTPEngineGone: of two rtpengines one is killed. New calls go to the other one at once, its calls go on there with a re-INVITE, and when both are gone calls get 503.
func TestStoryRTPEngineGone(t *testing.T) {
	t.Parallel()
	all := []*engine{newEngine(t), newEngine(t)}
	r := newRig(t, way{out: "udp", in: "udp"}, engaging(all...))
	phone := r.phone("alice")
	var calls []*call
	var ends [][2]*speaker
	for range 8 {
		a, b := newSpeaker(r), newSpeaker(r)
		calls, ends = append(calls, r.talk(phone, a, b)), append(ends, [2]*speaker{a, b})
	}
	all[0].kill()
	for range 4 {
		c := r.talk(phone, newSpeaker(r), newSpeaker(r))
		r.bye(c.phone, c.platform)
	}
	for i, c := range calls {
		c.invites(r, ends[i][0], ends[i][1], "sendrecv", "sendrecv")
		ends[i][1].hears(r, ends[i][0], 2)
		ends[i][0].hears(r, ends[i][1], 2)
		r.bye(c.phone, c.platform)
	}
	all[1].kill()
	phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
	r.edge.WaitLog("media.down")
	r.platform.Silence(hush, "INVITE")
}

// newSlowEngine answers like rtpengine, with the description that it was given, but only when it is let; true: also pings.
func newSlowEngine(t *testing.T, pings bool) (e *engine, let chan struct{}) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(siptest.OwnIP())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	let = make(chan struct{})
	answer := func(packet string, from netip.AddrPort) {
		cookie, dict, _ := strings.Cut(packet, " ")
		reply := "d6:result4:ponge"
		if _, after, found := strings.Cut(dict, "3:sdp"); found {
			<-let
			size, text, _ := strings.Cut(after, ":")
			n, _ := strconv.Atoi(size)
			reply = fmt.Sprintf("d6:result2:ok3:sdp%d:%se", n, text[:n])
		} else if !pings {
			return
		}
		_, _ = conn.WriteToUDPAddrPort([]byte(cookie+" "+reply), from)
	}
	go func() {
		room := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(room)
			if err != nil {
				return
			}
			go answer(string(room[:n]), from)
		}
	}()
	return &engine{ng: conn.LocalAddr().(*net.UDPAddr).AddrPort()}, let
}

// TestStoryRTPEngineSlow: who waits for rtpengine is the call, and nothing else. A CANCEL stays behind its INVITE and cancels it, and calls that rtpengine never answers get 503.
func TestStoryRTPEngineSlow(t *testing.T) {
	t.Parallel()
	slow, let := newSlowEngine(t, true)
	r := newRig(t, udp, engaging(slow))
	phone := r.phone("alice")
	sent := phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
	phone.Send(siptest.CancelOf(sent))
	for range 10 {
		phone.Send(phone.Request("OPTIONS", "sip:bob@example.com"))
		phone.Next("200 OPTIONS")
	}
	close(let)
	phone.Expect("200 CANCEL")
	got := r.platform.Expect("INVITE")
	r.platform.Reply(got, 180)
	r.platform.Expect("CANCEL")
	r.platform.Reply(got, 487)
	phone.Expect("487 INVITE")

	dead, _ := newSlowEngine(t, false)
	r = newRig(t, tcp, engaging(dead))
	phone = r.phone("alice")
	phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
	phone.Expect("503 INVITE")
	r.platform.Silence(hush, "INVITE")
}

// browserOffer is what a browser offers. Its keys and addresses are nobody's.
const browserOffer = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n" +
	"a=rtcp:9 IN IP4 0.0.0.0\r\na=candidate:1 1 udp 2122260223 127.0.0.1 9 typ host\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=ice-options:trickle\r\n" +
	"a=fingerprint:sha-256 49:66:12:17:0D:1C:91:AE:57:4C:C6:36:DD:D5:97:D2:7D:62:C9:9A:7F:B9:A3:F4:70:03:E7:43:91:73:23:5E\r\na=setup:actpass\r\na=mid:0\r\n" +
	"a=sendrecv\r\na=rtcp-mux\r\na=rtpmap:0 PCMU/8000\r\n"

// TestStoryRTPEngineBrowser: a browser's DTLS-SRTP and ICE end at rtpengine; the platform gets plain RTP.
func TestStoryRTPEngineBrowser(t *testing.T) {
	t.Parallel()
	r := newRig(t, way{out: "ws", in: "udp"}, engaging(newEngine(t)))
	phone := r.phone("alice")
	_, got := r.invite(phone, func(m *siptest.Message) { m.WithBody("application/sdp", browserOffer) })
	for _, gone := range []string{"fingerprint", "candidate", "ice-", "SAVP", "setup", "crypto"} {
		if strings.Contains(got.Body, gone) {
			t.Errorf("%s is left at the platform:\n%s", gone, got.Body)
		}
	}
	if !strings.Contains(got.Body, " RTP/AVP 0\r\n") {
		t.Errorf("the platform gets\n%s", got.Body)
	}
	r.platform.Reply(got, 200, newSpeaker(r).says("sendrecv"))
	ok := phone.Expect("200 INVITE")
	for _, there := range []string{" UDP/TLS/RTP/SAVPF 0\r\n", "a=fingerprint:", "a=setup:", "a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=rtcp-mux"} {
		if !strings.Contains(ok.Body, there) {
			t.Errorf("the browser gets no %q:\n%s", there, ok.Body)
		}
	}
	if strings.Contains(ok.Body, "ice-lite") {
		t.Errorf("rtpengine is called ICE-lite:\n%s", ok.Body)
	}
}
