package demo

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	rtpHeader   = 12                    // RFC 3550 §5.1, without CSRCs
	ptime       = 20 * time.Millisecond // of the tone
	ptimeBytes  = 160                   // PCMU and PCMA: 8 a millisecond
	silentAfter = 10 * time.Second      // a far end on a public address that sends nothing gets nothing
)

// media is the RTP end of one call: it echoes, or plays a tone. It never sends where nobody asked for it: the echo goes
// back to the first source of RTP only; the tone goes to that source while it sends, and before that to the address in
// the SDP only if that is a loopback or private one.
type media struct {
	udp   *net.UDPConn
	local netip.AddrPort
	tone  bool
	done  chan struct{}
	once  sync.Once

	mu     sync.Mutex // guards what follows; never held while sending
	remote netip.AddrPort
	source netip.AddrPort // of the first RTP packet; not valid before
	heard  time.Time
	codec  int
	send   bool // the far end wants to hear us
	ssrc   uint32
	seq    uint16
	stamp  uint32
}

// openMedia binds an RTP socket on the local address that routes to toward, so that a phone there can reach it.
func (p *Platform) openMedia(toward netip.Addr, tone bool) (*media, error) {
	probe, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(toward, 9))) // sends nothing
	if err != nil {
		return nil, fmt.Errorf("find the way to media at %v: %w", toward, err)
	}
	local := unmapped(probe.LocalAddr().(*net.UDPAddr).AddrPort()).Addr()
	probe.Close()
	udp, err := listenEven(local)
	if err != nil {
		return nil, fmt.Errorf("open RTP socket on %v: %w", local, err)
	}
	m := &media{udp: udp, tone: tone, done: make(chan struct{}), ssrc: rand.Uint32(), seq: uint16(rand.Uint32()), stamp: rand.Uint32()}
	m.local = unmapped(udp.LocalAddr().(*net.UDPAddr).AddrPort())
	p.wg.Go(m.receive)
	if tone {
		p.wg.Go(m.play)
	}
	return m, nil
}

// listenEven prefers an even port (RFC 3550 §11).
func listenEven(local netip.Addr) (udp *net.UDPConn, err error) {
	for range 16 {
		if udp != nil {
			udp.Close()
		}
		udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
		if err != nil || udp.LocalAddr().(*net.UDPAddr).Port%2 == 0 {
			return udp, err
		}
	}
	return udp, nil
}

// close ends the media; its goroutines follow at once. A nil media is closed already.
func (m *media) close() {
	if m != nil {
		m.once.Do(func() {
			close(m.done)
			m.udp.Close()
		})
	}
}

// follow takes up what the far end's session description says. A new address there makes us wait for a new source.
func (m *media) follow(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.codec, m.send = s.codec, s.hears()
	if s.remote != m.remote && !s.remote.Addr().IsUnspecified() {
		m.remote, m.source = s.remote, netip.AddrPort{}
	}
}

// receive reads RTP and, for the echo, sends it back.
func (m *media) receive() {
	buf := make([]byte, 1500)
	for {
		n, from, err := m.udp.ReadFromUDPAddrPort(buf)
		select {
		case <-m.done:
			return
		default:
		}
		if err == nil && m.accept(buf[:n], unmapped(from), time.Now()) {
			m.udp.WriteToUDPAddrPort(buf[:n], from)
		}
	}
}

// accept latches the first source and reports whether packet, now with our SSRC, is to go back to it.
func (m *media) accept(packet []byte, from netip.AddrPort, now time.Time) bool {
	const version2NoCSRC = 0x80
	if len(packet) < rtpHeader || packet[0]&0xcf != version2NoCSRC {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if int(packet[1]&0x7f) != m.codec {
		return false
	}
	if !m.source.IsValid() {
		m.source = from
	}
	if m.source != from {
		return false
	}
	m.heard = now
	binary.BigEndian.PutUint32(packet[8:], m.ssrc)
	return m.send && !m.tone
}

// play sends the tone, a packet every 20 ms, until the media is closed.
func (m *media) play() {
	tick := time.NewTicker(ptime)
	defer tick.Stop()
	packet := make([]byte, rtpHeader+ptimeBytes)
	for {
		select {
		case <-m.done:
			return
		case now := <-tick.C:
			if to := m.next(packet, now); to.IsValid() {
				m.udp.WriteToUDPAddrPort(packet, to)
			}
		}
	}
}

// next writes the next packet of the tone and returns where it may go, if anywhere.
func (m *media) next(packet []byte, now time.Time) (to netip.AddrPort) {
	m.mu.Lock()
	defer m.mu.Unlock()
	near := m.remote.Addr().IsLoopback() || m.remote.Addr().IsPrivate()
	switch {
	case !m.send:
	case m.source.IsValid() && (near || now.Sub(m.heard) < silentAfter):
		to = m.source
	case near:
		to = m.remote
	}
	packet[0], packet[1] = 0x80, byte(m.codec)
	binary.BigEndian.PutUint16(packet[2:], m.seq)
	binary.BigEndian.PutUint32(packet[4:], m.stamp)
	binary.BigEndian.PutUint32(packet[8:], m.ssrc)
	fillTone(packet[rtpHeader:], m.stamp, m.codec)
	m.seq++
	m.stamp += ptimeBytes
	return to
}
