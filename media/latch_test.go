package media

import (
	"fmt"
	"net/netip"
	"testing"
)

// A sprayer sends RTP, RTCP, STUN, DTLS and junk to every port of the stream, from many sockets of one address.
func spray(t *testing.T, c *call, n int) {
	t.Helper()
	var all []*phone
	for range 4 {
		all = append(all, newPhone(t, stranger))
	}
	for i := range n {
		a := all[i%len(all)]
		a.ssrc = c.phone.ssrc // even the right one
		for _, e := range []End{Caller, Callee} {
			a.talk(c.Port(e), "sprayed")
			a.send(next(c.Port(e)), []byte{0x80, 200, 0, 1, 0, 0, 0, 0})
			a.send(c.Port(e), []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1})
			a.send(c.Port(e), []byte("junk"))
		}
	}
	for _, e := range []End{Caller, Callee} {
		st := c.Stats(e)
		settled(t, c.Stream, e, st.Packets+st.RTCP+1)
	}
	t.Cleanup(func() {
		for _, a := range all {
			a.deaf()
		}
	})
}

// In strict mode a sprayer before, during and after latching gets nothing, and nothing of his is forwarded.
func TestSprayer(t *testing.T) {
	r := newRelay(t, nil)
	for _, behindNAT := range []bool{false, true} {
		t.Run(fmt.Sprint("NAT ", behindNAT), func(t *testing.T) {
			c := newCall(t, r, func(m *Remote) {
				if behindNAT {
					m.RTP, m.Signalling = netip.MustParseAddrPort("192.168.1.5:4000"), phoneAddr
				}
			})
			spray(t, c, 50)
			c.platform.talk(c.Port(Callee), "early")
			settled(t, c.Stream, Callee, 201)
			for range 3 {
				c.both(t)
				spray(t, c, 50)
			}
			st := settled(t, c.Stream, Caller, 3+4*200)
			if st.Packets != 3 || st.Sent != 3 || st.Refused[RefusedSource] != 3*200+200 && st.Refused[RefusedSource] == 0 {
				t.Errorf("caller %+v", st)
			}
			if got := c.Stats(Callee); got.Packets != 4 || got.Sent != 3 {
				t.Errorf("callee %+v", got)
			}
		})
	}
}
