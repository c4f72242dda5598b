package e2e

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestPhoneLosesConnection breaks a real phone's connection in the middle of a call. Once the phone has registered over a new one,
// the other side's BYE reaches it; before, its own BYE reaches the other side.
func TestPhoneLosesConnection(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "kamailio")
	siptest.NeedTool(t, "baresip")
	siptest.NeedTool(t, "linphone-daemon")
	for _, l := range []line{{"baresip", "tcp", false}, {"baresip", "tls", false}, {"linphone", "tcp", false}, {"linphone", "tls", true}} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			k := newKamailio(t)
			f := newFloor(t, siptest.Outlets{Upstream: []string{k.uri("udp")}}, nil)
			c := newCable(t, f.server(l))
			stays := f.phone(line{"baresip", "udp", false}, "stays", kamailioPassword) // for so long that it cannot expire on a busy machine
			f.expires = shortly
			moves := f.phoneAt(c.addr, l, "moves", kamailioPassword)
			for _, pair := range [][2]talker{{moves, stays}, {stays, moves}} {
				begin(pair[0], pair[1])
				c.cut()
				k.again("moves")
				stays.hold()
				moves.held()
				stays.resume()
				moves.resumed()
				stays.end()
				moves.ended()
				begin(pair[0], pair[1])
				c.cut()
				moves.end()
				stays.ended()
				k.again("moves")
			}
			f.content("flow.dead", "route.foreign") // an ACK may be on its way when the connection is cut; the cable is the phone's outbound proxy
			k.registeredOnce("moves")
		})
	}
}

// again waits until user registers once more.
func (k *kamailio) again(user string) {
	k.t.Helper()
	times := func() int { return strings.Count(k.said(), "story: "+user+" has 1 ") }
	before := times()
	if !patiently(func() bool { return times() > before }) {
		k.t.Fatalf("%s does not register again", user)
	}
}

// A cable is what a phone reaches the edge through: TCP in, TCP out, until it is cut.
type cable struct {
	addr netip.AddrPort // what the phone connects to

	to      netip.AddrPort
	running sync.WaitGroup
	mu      sync.Mutex
	ends    []*net.TCPConn
}

// newCable lays a cable to an address, from another one of the same version of IP.
func newCable(t *testing.T, to netip.AddrPort) *cable {
	t.Helper()
	ip := siptest.OwnIP()
	if to.Addr().Is6() {
		ip = "::1"
	}
	c := &cable{addr: place(t, ip), to: to}
	listener, err := net.Listen("tcp", c.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	c.running.Go(func() {
		for {
			phone, err := listener.Accept()
			if err != nil {
				return
			}
			c.running.Go(func() { c.join(phone.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		c.cut()
		c.running.Wait()
	})
	return c
}

// join carries bytes both ways until either end closes.
func (c *cable) join(phone *net.TCPConn) {
	defer phone.Close()
	far, err := net.Dial("tcp", c.to.String())
	if err != nil {
		return // the edge is down: the phone finds out
	}
	edge := far.(*net.TCPConn)
	defer edge.Close()
	c.mu.Lock()
	c.ends = append(c.ends, phone, edge)
	c.mu.Unlock()
	done := make(chan struct{}, 2)
	for _, way := range [][2]*net.TCPConn{{phone, edge}, {edge, phone}} {
		c.running.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // ends with the connection
			done <- struct{}{}
		})
	}
	<-done
}

// cut breaks every connection through the cable: both ends get a reset. The next one that is made works.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range c.ends {
		_ = end.SetLinger(0)
		end.Close()
	}
	c.ends = nil
}
