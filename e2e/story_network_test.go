package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// A rotator is a host that has all addresses of 198.51.100.0/24, and sends from one after the other.
type rotator struct {
	*host
	to   netip.AddrPort
	sent atomic.Int64 // requests
	from atomic.Int64 // connections, each from the next address
}

func (w *watched) rotator() *rotator {
	w.t.Helper()
	r := &rotator{host: w.host("rotator", "outside", "203.0.113.66"), to: w.edge.Outside}
	w.run("ip -n rotator route add local 198.51.100.0/24 dev lo")
	w.run("ip route add 198.51.100.0/24 dev outside")
	return r
}

// says sends requests over a new connection from the next address, and waits until something comes back or nothing does.
func (r *rotator) says(requests ...[]byte) {
	from := fmt.Sprintf("198.51.100.%d", 1+r.from.Add(1)%254)
	r.do(func() {
		c := dialFrom(from, r.to)
		if c == nil {
			return
		}
		defer c.Close()
		for _, b := range requests {
			_, _ = c.Write(b)
			r.sent.Add(1)
		}
		_ = c.SetReadDeadline(time.Now().Add(hush))
		_, _ = c.Read(make([]byte, 4096))
	})
}

// floods sends REGISTERs like those of phones, a few from each address, until stop.
func (r *rotator) floods(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		var few [][]byte
		for range 4 {
			few = append(few, plainRequest("REGISTER", "tcp", "net"+siptest.ID(), ""))
		}
		r.says(few...)
	}
}

// fromNetwork counts what the platform got of 198.51.100.0/24.
func (w *watched) fromNetwork() (n int) {
	for _, m := range w.registrar.Log() {
		if strings.HasPrefix(m.Get("X-Source"), "198.51.100.") {
			n++
		}
	}
	return n
}

// TestRotatingNetwork is row B7: somebody who answers, over TCP, rotates over the addresses of a /24. Together they have the budget of four strangers, whoever of them sends; phones
// of another /24 do not notice. When eight of them are found to be scanners all of the /24 is banned, and nobody else.
func TestRotatingNetwork(t *testing.T) {
	if !inWorld(t) {
		return
	}
	const burst, perSecond = 240, 40 // four times that of one address
	w := newWatched(t)
	homes := []*host{w.host("home", "outside", "203.0.113.31"), w.host("shop", "outside", "203.0.113.32")}
	r := w.rotator()
	stop, stopped, began := make(chan struct{}), make(chan struct{}), time.Now()
	go func() {
		defer close(stopped)
		r.floods(stop)
	}()
	over := func() float64 { return w.edge.Counter("ringwall_refused_total", `reason="flood.`) }
	if !siptest.Eventually(func() bool { return over() > 0 }) {
		t.Fatalf("%d requests of one /24 in %v, and it has not used up its budget", r.sent.Load(), time.Since(began))
	}
	t.Logf("the budget of the /24 is used up after %v, %d requests from %d addresses", time.Since(began).Round(time.Millisecond), r.sent.Load(), r.from.Load())
	for _, h := range homes {
		for _, d := range w.desks(h, 10) {
			if status, _ := d.register(); status != 200 {
				t.Errorf("%s at %s gets %d", d.User, h.addr, status)
			}
		}
		stream := h.phone("110", "tcp", w.edge.Outside)
		if transactUntil(stream, stream.Register(), 401) == nil {
			t.Errorf("a phone at %s is not served over TCP", h.addr)
		}
	}
	for range 5 {
		w.logIn("right", 200)
	}
	if n := over(); !siptest.Eventually(func() bool { return over() > n }) {
		t.Error("the flood ended before the phones came")
	}
	close(stop)
	<-stopped
	took := time.Since(began)
	got, most := w.fromNetwork(), burst+int(took.Seconds()*perSecond)+1
	t.Logf("%d of %d requests reached the platform in %v", got, r.sent.Load(), took.Round(time.Millisecond))
	if got > most || got == 0 {
		t.Errorf("%d requests of the /24 reached the platform in %v, want at most %d", got, took, most)
	}
	if all := w.bans(); len(all) > 0 {
		t.Errorf("banned for a flood: %v", all)
	}

	const whole = "198.51.100.0/24 ban.neighbours"
	scanners := 0
	for ; scanners < 20 && !slices.Contains(w.bans(), whole); scanners++ {
		r.says(plainRequest("REGISTER", "tcp", "net"+siptest.ID(), "User-Agent: friendly-scanner\r\n"))
	}
	for _, b := range w.bans() {
		if !strings.HasPrefix(b, "198.51.100.") {
			t.Errorf("banned: %s", b)
		}
	}
	if !slices.Contains(w.bans(), whole) || scanners > 10 {
		t.Errorf("after scanners at %d addresses banned: %v", scanners, w.bans())
	}
	got = w.fromNetwork()
	for range 5 {
		r.says(plainRequest("REGISTER", "tcp", "net"+siptest.ID(), ""))
	}
	w.logIn("right", 200)
	if now := w.fromNetwork(); now != got {
		t.Errorf("%d requests of a banned /24 reach the platform", now-got)
	}
}
