package rtpengine

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/sdp"
	"github.com/ringwall/ringwall/siptest"
)

// A daemon is Debian's rtpengine in user space, with one address as both its interfaces.
type daemon struct {
	cmd  *exec.Cmd
	addr netip.AddrPort
}

// startDaemon starts one that takes the two ports of each line from first on.
func startDaemon(t *testing.T, first int) *daemon {
	t.Helper()
	addr, err := siptest.FreeAddr(siptest.OwnIP())
	if err != nil {
		t.Fatal(err)
	}
	ip := addr.Addr().String()
	cmd := exec.Command(siptest.NeedTool(t, "rtpengine"), "--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=4", "--num-threads=1",
		"--interface=outside/"+ip, "--interface=inside/"+ip, "--listen-ng="+addr.String(), fmt.Sprint("--port-min=", first), fmt.Sprint("--port-max=", first+199))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &daemon{cmd: cmd, addr: addr}
	t.Cleanup(d.kill)
	return d
}

// kill ends it without a warning.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
}

// newDaemons makes a cluster of daemons, and waits until all are up.
func newDaemons(t *testing.T, all ...*daemon) *Cluster {
	t.Helper()
	cfg := Config{Try: 50 * time.Millisecond, Ping: 50 * time.Millisecond}
	for _, d := range all {
		cfg.Instances = append(cfg.Instances, d.addr)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if !siptest.Eventually(func() bool {
		for _, in := range c.instances {
			done := make(chan error, 1)
			if in.send(cookie(), []byte("d7:command4:pinge"), 1, func(_ value, err error) { done <- err }) != nil || <-done != nil || !in.isUp() {
				time.Sleep(10 * time.Millisecond)
				return false
			}
		}
		return true
	}) {
		t.Fatalf("rtpengine never came up: %+v", c.Status())
	}
	return c
}

// A phone is a socket with a description.
type phone struct {
	t    *testing.T
	conn *net.UDPConn
}

func newPhone(t *testing.T) *phone {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(siptest.OwnIP())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &phone{t, conn}
}

// text is the description of p.
func (p *phone) text() []byte {
	at := p.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 %v\r\ns=-\r\nc=IN IP4 %v\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\na=rtcp-mux\r\n", at.Addr(), at.Addr(), at.Port())
}

// named is where a description wants media.
func named(t *testing.T, description string) netip.AddrPort {
	t.Helper()
	var s sdp.Session
	if err := s.Parse([]byte(description)); err != nil || len(s.Media) != 1 {
		t.Fatalf("%v\n%s", err, description)
	}
	return netip.AddrPortFrom(s.Media[0].Addr, s.Media[0].Port)
}

func packet() []byte {
	return append([]byte{0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}, strings.Repeat("x", 160)...)
}

// hears wants to get what other sends to the address in the description that it was given.
func (p *phone) hears(other *phone, description string) {
	p.t.Helper()
	packet := packet()
	if _, err := other.conn.WriteToUDPAddrPort(packet, named(p.t, description)); err != nil {
		p.t.Fatal(err)
	}
	room := make([]byte, 2000)
	_ = p.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := p.conn.Read(room)
	if err != nil || string(room[:n]) != string(packet) {
		p.t.Fatalf("heard %q, %v", room[:n], err)
	}
}

// wait returns an outcome, which must be a description.
func wait(t *testing.T, ch chan outcome) string {
	t.Helper()
	select {
	case o := <-ch:
		if o.err != nil {
			t.Fatal(o.err)
		}
		return o.text
	case <-time.After(10 * time.Second):
		t.Fatal("no outcome")
	}
	return ""
}

// establish makes a call between a and b, wants media to flow both ways, and returns their descriptions.
func establish(t *testing.T, k *Call, a, b *phone) (toA, toB string) {
	t.Helper()
	done, ch := into()
	k.Offer(Text{SDP: a.text(), From: "a", Between: []string{"outside", "inside"}, ICE: "remove", Flags: []string{"strict-source"}}, done)
	toB = wait(t, ch)
	k.Answer(Text{SDP: b.text(), From: "a", To: "b", ICE: "remove", Flags: []string{"strict-source"}}, done)
	toA = wait(t, ch)
	b.hears(a, toA)
	a.hears(b, toB)
	return toA, toB
}

// TestDaemon: a call through Debian's rtpengine: media flows both ways, is counted by party, and its end is understood.
func TestDaemon(t *testing.T) {
	c := newDaemons(t, startDaemon(t, 42000))
	k := c.Call("one call")
	establish(t, k, newPhone(t), newPhone(t))
	var got Totals
	if !siptest.Eventually(func() bool {
		ch := make(chan Totals, 1)
		k.Query(func(t Totals, _ error) { ch <- t })
		got = <-ch
		return got.RTP.Packets == 2
	}) {
		t.Errorf("%+v", got)
	}
	if len(got.Parties) != 2 || got.Parties[0].Packets != 1 || got.Parties[1].Packets != 1 || time.Since(got.Parties[0].Last) > time.Minute {
		t.Errorf("%+v", got.Parties)
	}
	k.Delete()
	done, ch := into()
	again := c.Call("one call")
	again.on = c.instances[0]
	if !siptest.Eventually(func() bool {
		again.Answer(Text{SDP: []byte(offerText), From: "a", To: "b"}, done)
		o := <-ch
		_, refused := o.err.(Failure)
		return refused
	}) {
		t.Error("the call is still there")
	}
}

// TestDaemonStranger: packets from elsewhere are counted, and told from those that were accepted (audit F23), once rtpengine has learned where those come from.
func TestDaemonStranger(t *testing.T) {
	c := newDaemons(t, startDaemon(t, 42600))
	k := c.Call("a call")
	a, b, thief := newPhone(t), newPhone(t), newPhone(t)
	toA, toB := establish(t, k, a, b)
	var of Party
	count := func() Party {
		totals := make(chan Totals, 1)
		k.Query(func(t Totals, _ error) { totals <- t })
		for _, p := range (<-totals).Parties {
			if p.Tag == "b" {
				of = p
			}
		}
		return of
	}
	for end := time.Now().Add(20 * time.Second); count().Errors == 0 && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		a.hears(b, toB)
		b.hears(a, toA)
		_, _ = thief.conn.WriteToUDPAddrPort(packet(), named(t, toB))
	}
	before := of
	for range 20 {
		_, _ = thief.conn.WriteToUDPAddrPort(packet(), named(t, toB))
	}
	if !siptest.Eventually(func() bool { return count().Packets >= before.Packets+20 }) || of.Accepted() != before.Accepted() || before.Accepted() == 0 {
		t.Errorf("%+v after 20 packets of a stranger, %+v before", of, before)
	}
}

// TestDaemonKilled: of two rtpengines one is killed: its call goes on at the other one with the next offer and answer, and all new calls go there.
func TestDaemonKilled(t *testing.T) {
	daemons := []*daemon{startDaemon(t, 42200), startDaemon(t, 42400)}
	c := newDaemons(t, daemons...)
	a, b := newPhone(t), newPhone(t)
	k := c.Call("a call")
	establish(t, k, a, b)
	was, _ := k.Instance()
	for _, d := range daemons {
		if d.addr == was {
			d.kill()
		}
	}
	establish(t, k, a, b)
	if is, _ := k.Instance(); is == was {
		t.Error("the call is where nobody is")
	}
	for i := range 10 {
		establish(t, c.Call(fmt.Sprint("new call ", i)), newPhone(t), newPhone(t))
	}
}
