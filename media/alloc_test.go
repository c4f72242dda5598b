//go:build !race

package media

import (
	"net/netip"
	"testing"
	"time"
)

// newStillLoop returns a call whose loop has ended, so that the test is the loop.
func newStillLoop(t testing.TB, change func(*Remote)) (*call, *loop) {
	r := newRelay(t, nil)
	c := newCall(t, r, change)
	l := r.loops[0]
	l.stop()
	l.now = time.Now()
	return c, l
}

// TestNoAllocation: nothing is allocated for a packet, whether it is moved or refused, nor for a check.
func TestNoAllocation(t *testing.T) {
	c, l := newStillLoop(t, nil)
	from, strange := c.phone.addr(), netip.AddrPortFrom(stranger, 4000)
	e := &c.ends[Caller]
	packet, junk := c.phone.packet("payload"), []byte("junk")
	words := rtcpPacket(1, 202, source, item(1, mark))
	for name, f := range map[string]func(){
		"moved":        func() { c.take(l, &e.rtp, packet, from) },
		"of a strange": func() { c.take(l, &e.rtp, packet, strange) },
		"junk":         func() { c.take(l, &e.rtp, junk, from) },
		"words":        func() { c.take(l, &c.ends[Callee].rtcp, words, c.platform.addr()) },
		"read, moved, sent": func() {
			c.phone.send(c.Port(Caller), packet)
			l.move(&e.rtp)
		},
		"turn": func() { l.turn(nil) },
	} {
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	ufrag, pwd := c.OfferICE(Caller, false)
	check := checker{username: ufrag + ":far", password: pwd}.request()
	if n := testing.AllocsPerRun(200, func() { c.take(l, &e.rtp, check, from) }); n != 0 {
		t.Errorf("check: %v allocations", n)
	}
}

// BenchmarkTake is what judging one packet costs, without the kernel.
func BenchmarkTake(b *testing.B) {
	c, l := newStillLoop(b, nil)
	packet := c.phone.packet(string(make([]byte, 160)))
	from := c.phone.addr()
	b.ReportAllocs()
	for b.Loop() {
		c.phone.seq++
		packet[2], packet[3] = byte(c.phone.seq>>8), byte(c.phone.seq)
		c.take(l, &c.ends[Caller].rtp, packet, from)
	}
}
