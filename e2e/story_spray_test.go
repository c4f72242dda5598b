package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/media"
)

// Ports of the relay that is sprayed.
const sprayFirst, sprayLast = 30000, 30999

// udp opens a socket on the host.
func (h *host) udp() *net.UDPConn {
	h.t.Helper()
	var conn *net.UDPConn
	h.do(func() {
		var err error
		if conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: h.addr.AsSlice()}); err != nil {
			h.t.Fatal(err)
		}
	})
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

// rtpPacket is an RTP packet with a payload.
func rtpPacket(seq uint16, ssrc uint32, payload string) []byte {
	b := make([]byte, 12, 12+len(payload))
	b[0] = 0x80
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return append(b, payload...)
}

// A sprayer sends to all ports of the relay, on both of its addresses, as fast as it can, and counts what comes back.
type sprayer struct {
	conn      *net.UDPConn
	sent, got atomic.Uint64
	stop      chan struct{}
	all       sync.WaitGroup
}

func (h *host) spray() *sprayer {
	s := &sprayer{conn: h.udp(), stop: make(chan struct{})}
	s.all.Go(func() {
		for seq := uint16(0); ; seq++ {
			for port := uint16(sprayFirst); port <= sprayLast; port++ {
				for _, to := range []string{worldOutside, worldInside} {
					_, _ = s.conn.WriteToUDPAddrPort(rtpPacket(seq, uint32(port), "sprayed"), netip.AddrPortFrom(netip.MustParseAddr(to), port))
					s.sent.Add(1)
				}
				select {
				case <-s.stop:
					return
				default:
				}
			}
		}
	})
	s.all.Go(func() {
		for b := make([]byte, 2048); ; s.got.Add(1) {
			if _, _, err := s.conn.ReadFromUDPAddrPort(b); errors.Is(err, net.ErrClosed) {
				return
			}
		}
	})
	return s
}

// sweep waits until every port has been sprayed once more.
func (s *sprayer) sweep() {
	for enough := s.sent.Load() + 2*2*(sprayLast-sprayFirst+1); s.sent.Load() < enough; {
		time.Sleep(time.Millisecond)
	}
}

func (s *sprayer) end() {
	close(s.stop)
	time.Sleep(200 * time.Millisecond) // what is on its way back
	s.conn.Close()
	s.all.Wait()
}

// A sprayedCall is one place of a call after the other: a phone outside and the platform's end inside.
type sprayedCall struct {
	phone, platform *net.UDPConn
	spray           *sprayer
	alien           *atomic.Uint64 // packets that came and were neither's
}

// run makes a call: early media, both ways, a re-INVITE, both ways.
func (c *sprayedCall) run(r *media.Relay) error {
	s, err := r.Open(media.Spec{Ends: [media.Ends]media.Place{{Side: edge.Outside}, {Side: edge.Inside}}})
	if err != nil {
		return err
	}
	defer s.Close()
	addr := func(conn *net.UDPConn) netip.AddrPort { return conn.LocalAddr().(*net.UDPAddr).AddrPort() }
	c.spray.sweep() // before anything is expected
	ssrc, seq := rand.Uint32(), uint16(0)
	for range 2 {
		s.Expect(media.Caller, media.Remote{RTP: addr(c.phone), Signalling: addr(c.phone).Addr()})
		s.Expect(media.Callee, media.Remote{RTP: addr(c.platform), Trusted: true})
		c.spray.sweep() // before anything is accepted, and before it may change
		_, _ = c.platform.WriteToUDPAddrPort(rtpPacket(seq, ssrc+1, "platform"), s.Port(media.Callee))
		for range 3 {
			if err := c.talk(c.phone, c.platform, s.Port(media.Caller), &seq, ssrc, "phone"); err != nil {
				return err
			}
			if err := c.talk(c.platform, c.phone, s.Port(media.Callee), &seq, ssrc+1, "platform"); err != nil {
				return err
			}
		}
		c.spray.sweep()
	}
	for _, e := range []media.End{media.Caller, media.Callee} {
		if st := s.Stats(e); st.Moves != 0 {
			return fmt.Errorf("the source of end %d moved: %+v", e, st)
		}
	}
	return nil
}

// talk sends from one end until the other hears it: a sprayed port may lose packets, as its buffer is full of others.
func (c *sprayedCall) talk(from, to *net.UDPConn, port netip.AddrPort, seq *uint16, ssrc uint32, word string) error {
	b := make([]byte, 2048)
	for range 200 {
		*seq++
		if _, err := from.WriteToUDPAddrPort(rtpPacket(*seq, ssrc, word), port); err != nil {
			return err
		}
		_ = to.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		n, _, err := to.ReadFromUDPAddrPort(b)
		switch {
		case err == nil && string(b[12:n]) == word:
			return nil
		case err == nil && strings.HasPrefix(string(b[12:n]), "spray"):
			c.alien.Add(1)
		}
	}
	return fmt.Errorf("what the %s says to %v is not heard", word, port)
}

// TestMediaUnderSpray: from another machine somebody sends RTP to every port of the relay, as fast as he can, before, during and after calls latch. Nothing
// of his is forwarded, nothing is sent to him, and the calls go on (audit F22, ES2017-04, ES2025-01).
func TestMediaUnderSpray(t *testing.T) { mediaUnderSpray(t, 200) }

// TestSlowMediaUnderSpray is TestMediaUnderSpray in full size.
func TestSlowMediaUnderSpray(t *testing.T) {
	slow(t)
	mediaUnderSpray(t, 1000)
}

func mediaUnderSpray(t *testing.T, calls int) {
	if !aloneInWorld(t) {
		return
	}
	w := newWorld(t)
	phones, platform, attacker := w.host("phones", "outside", "203.0.113.20"), w.host("platform", "inside", "10.77.0.10"), w.host("attacker", "outside", "203.0.113.66")
	w.run("ip -n attacker route add default via " + worldOutside) // to the inside address by the outside network
	r, err := media.NewRelay(media.RelayConfig{Outside: []netip.Addr{netip.MustParseAddr(worldOutside)}, Inside: []netip.Addr{netip.MustParseAddr(worldInside)},
		First: sprayFirst, Last: sprayLast, Quarantine: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	spray := attacker.spray()
	const atOnce = 100
	var alien, done atomic.Uint64
	var all sync.WaitGroup
	for range atOnce {
		c := &sprayedCall{phone: phones.udp(), platform: platform.udp(), spray: spray, alien: &alien}
		all.Go(func() {
			for range calls / atOnce {
				if err := c.run(r); err != nil {
					t.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	spray.end()
	t.Logf("%d calls under %d sprayed packets", done.Load(), spray.sent.Load())
	if got := spray.got.Load(); got != 0 {
		t.Errorf("%d packets were sent to the attacker", got)
	}
	if n := alien.Load(); n != 0 {
		t.Errorf("%d packets of the attacker were forwarded", n)
	}
	if spray.sent.Load() < 10_000 {
		t.Errorf("only %d packets were sprayed", spray.sent.Load())
	}
}
