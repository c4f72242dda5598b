package proxy

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
	"github.com/ringwall/ringwall/transport"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A bench is a proxy on loopback sockets whose lane the test drives by hand, with a clock of its own; caller and platform are
// plain sockets.
type bench struct {
	t                testing.TB
	p                *Proxy
	bans             *ban.Book
	l                *lane
	caller, platform *net.UDPConn
	outside, inside  edge.Flow // flows that messages of caller and platform come from
	now              time.Time
	pressure         edge.Pressure // of memory
	dir              string        // where the key is
	buf              [65536]byte
}

func socket(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func newBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, caller: socket(t), platform: socket(t), now: epoch, dir: t.TempDir()}
	local := netip.MustParseAddrPort("127.0.0.1:0")
	tc := transport.Default()
	tc.Workers = 1
	tc.Pressure = func() edge.Pressure { return b.pressure }
	tc.Listen = []transport.Listen{{Side: edge.Outside, Addr: local}, {Side: edge.Inside, Addr: local}}
	srv, err := transport.Open(tc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	keys, err := seal.Open(filepath.Join(b.dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	bindings, err := binding.New(binding.Default(), keys)
	if err != nil {
		t.Fatal(err)
	}
	if b.bans, err = ban.New(ban.Config{}); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Upstreams: []Upstream{{Addr: addrOf(b.platform)}}, Unknown: Methods{Any: true}, Known: Methods{Any: true},
		Peer: Methods{Any: true}, SourceHeader: "X-Source", Transactions: transaction.DefaultConfig()}
	if change != nil {
		change(&cfg)
	}
	if b.p, err = New(cfg, srv, bindings, b.bans, keys, event.NewRing(256), event.NewMetrics(), epoch); err != nil {
		t.Fatal(err)
	}
	out := srv.NewOut()
	b.l = b.p.NewLane(out).(*lane)
	b.outside = edge.Flow{Remote: addrOf(b.caller), Listener: 0, Side: edge.Outside}
	b.inside = edge.Flow{Remote: addrOf(b.platform), Listener: 1, Side: edge.Inside}
	return b
}

// send hands the lane a message as if it had come in.
func (b *bench) send(from edge.Flow, msg []byte) {
	b.l.Receive(msg, from, b.now)
	b.l.out.Flush()
}

// got returns what arrived at c, "" if nothing did.
func (b *bench) got(c *net.UDPConn) string { return b.within(50*time.Millisecond, c) }

// within is got for what may take so long: what is done by another goroutine, on a machine that is busy.
func (b *bench) within(wait time.Duration, c *net.UDPConn) string {
	c.SetReadDeadline(time.Now().Add(wait))
	n, _, err := c.ReadFromUDPAddrPort(b.buf[:])
	if err != nil { // on a busy machine the time may be up before anybody looked
		raw, _ := c.SyscallConn()
		_ = raw.Control(func(fd uintptr) { n, _, err = syscall.Recvfrom(int(fd), b.buf[:], syscall.MSG_DONTWAIT) })
	}
	if err != nil {
		return ""
	}
	return string(b.buf[:n])
}

func (b *bench) expect(c *net.UDPConn, start string) string {
	b.t.Helper()
	msg := b.within(10*time.Second, c)
	if !strings.HasPrefix(msg, start) {
		b.t.Fatalf("got %q, want %q", msg, start)
	}
	return msg
}

func (b *bench) silence(c *net.UDPConn) {
	b.t.Helper()
	if msg := b.got(c); msg != "" {
		b.t.Fatalf("got %q, want silence", msg)
	}
}

const request = "%s sip:echo@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bK%d;rport\r\n" +
	"From: <sip:alice@example.com>;tag=a%d\r\nTo: <sip:echo@example.com>\r\nCall-ID: c%d\r\nCSeq: 1 %s\r\n" +
	"Contact: <sip:alice@192.168.1.9:5060>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"

func newRequest(method string, n int) []byte {
	return fmt.Appendf(nil, request, method, n, n, n, method)
}

// replyTo makes a response out of a request as the platform got it.
func replyTo(msg, status string) []byte {
	_, rest, _ := strings.Cut(msg, "\r\n")
	return []byte(strings.Replace("SIP/2.0 "+status+"\r\n"+rest, "To: <sip:echo@example.com>", "To: <sip:echo@example.com>;tag=b", 1))
}

func field(t testing.TB, msg, name string) string {
	t.Helper()
	for line := range strings.SplitSeq(msg, "\r\n") {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return v
		}
	}
	t.Fatalf("no %s in %q", name, msg)
	return ""
}

func TestCall(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.outside, newRequest("INVITE", 1))
	invite := b.expect(b.platform, "INVITE sip:echo@example.com SIP/2.0\r\nVia: SIP/2.0/UDP "+b.p.faces[1].host+";branch=z9hG4bK")
	if got, want := field(t, invite, "X-Source"), b.outside.Remote.String()+";udp"; got != want {
		t.Errorf("source header %q, want %q", got, want)
	}
	if field(t, invite, "Max-Forwards") != "69" || !strings.Contains(invite, ";rport=") || !strings.Contains(invite, ";received=127.0.0.1") {
		t.Errorf("%s", invite)
	}
	b.send(b.inside, replyTo(invite, "200 OK"))
	ok := b.expect(b.caller, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bK1;")
	if strings.Count(ok, "Via:") != 1 || !strings.Contains(field(t, ok, "Record-Route"), "@"+b.p.faces[0].host+";lr>") {
		t.Errorf("%s", ok)
	}
	pbx := "sip:pbx@" + b.inside.Remote.String()
	bye := "BYE " + pbx + " SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bK2;rport\r\nRoute: " +
		field(t, ok, "Record-Route") + "\r\nFrom: <sip:alice@example.com>;tag=a1\r\nTo: <sip:echo@example.com>;tag=b\r\nCall-ID: c1\r\n" +
		"CSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n"
	b.send(b.outside, []byte(strings.Replace(bye, "Call-ID: c1", "Call-ID: c2", 1)))
	b.expect(b.caller, "SIP/2.0 481 ") // the token is worth nothing in another dialog
	b.send(b.outside, []byte(bye))
	if got := b.expect(b.platform, "BYE "+pbx+" "); strings.Contains(got, "\r\nRoute:") {
		t.Errorf("Route is left: %s", got)
	}
}

// TestACKToUsInMonitorMode: what the edge itself refused whatever the mode is acknowledged to the edge: the platform hears nothing of it, nor does anybody else.
func TestACKToUsInMonitorMode(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Monitor = true })
	tcp := b.outside
	tcp.Transport, tcp.Conn = edge.TCP, 7
	invite := bytes.Replace(newRequest("INVITE", 1), []byte("Max-Forwards: 70"), []byte("Max-Forwards: 0"), 1)
	b.send(tcp, invite)
	x := edge.Exchange{Msg: new(sip.Message), From: tcp, At: b.now}
	if err := x.Msg.Parse(invite, false); err != nil {
		t.Fatal(err)
	}
	ack := bytes.ReplaceAll(newRequest("ACK", 1), []byte("To: <sip:echo@example.com>"), []byte("To: <sip:echo@example.com>;tag="+string(b.l.tag(x.Msg, tcp))))
	b.send(tcp, ack)
	if got := b.got(b.platform); got != "" {
		t.Errorf("the platform gets %q", got)
	}
	if told := b.told(); told["refused request.max_forwards "] != 1 || len(told) != 1 {
		t.Errorf("told %v", told)
	}
}

// TestBranchOfACK: an ACK to a 2xx is relayed without state; sent again it keeps its branch, another one has another.
func TestBranchOfACK(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Monitor = true })
	via := func(n int) string {
		b.send(b.outside, newRequest("ACK", n))
		return field(t, b.expect(b.platform, "ACK"), "Via")
	}
	seen := map[string]bool{}
	for n := range 2000 {
		seen[via(n)] = true
	}
	if len(seen) != 2000 || !seen[via(7)] {
		t.Errorf("2000 ACKs have %d branches; the same for the same: %v", len(seen), seen[via(7)])
	}
}

// TestResponseNeedsItsTransaction: what we did not ask for is not relayed, whatever it looks like.
func TestResponseNeedsItsTransaction(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.outside, newRequest("MESSAGE", 1))
	got := b.expect(b.platform, "MESSAGE")
	reply := replyTo(got, "200 OK")
	for name, bad := range map[string][]byte{
		"other branch":   bytes.Replace(reply, []byte("branch=z9hG4bK"), []byte("branch=z9hG4bKx"), 1),
		"other method":   bytes.Replace(reply, []byte("1 MESSAGE"), []byte("1 INVITE"), 1),
		"guessed branch": bytes.Replace(reply, []byte(field(t, got, "Via")), []byte("SIP/2.0/UDP h;branch=z9hG4bKAAAAAAAAAAAAAAAAAAAAAA"), 1),
	} {
		b.send(b.inside, bad)
		if msg := b.got(b.caller); msg != "" {
			t.Errorf("%s: relayed %q", name, msg)
		}
	}
	b.send(b.outside, reply)
	b.silence(b.caller) // from outside to what went inside
	b.send(b.inside, reply)
	b.expect(b.caller, "SIP/2.0 200")
}

// TestUnprovenSourcesGetNoErrors: over UDP, a forged source must not be hit by our answers.
func TestUnprovenSourcesGetNoErrors(t *testing.T) {
	b := newBench(t, nil)
	for name, msg := range map[string]string{
		"garbage":       "hello there",
		"no Via":        "INVITE sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n",
		"scheme":        strings.Replace(string(newRequest("INVITE", 1)), "sip:echo", "nope:echo", 1),
		"Max-Forwards":  strings.Replace(string(newRequest("INVITE", 2)), "Max-Forwards: 70", "Max-Forwards: 0", 1),
		"Proxy-Require": strings.Replace(string(newRequest("INVITE", 3)), "Max-F", "Proxy-Require: x\r\nMax-F", 1),
		"stray CANCEL":  string(newRequest("CANCEL", 4)),
		"stray ACK":     string(newRequest("ACK", 5)),
		"keep-alive":    "\r\n\r\n",
	} {
		b.send(b.outside, []byte(msg))
		if got := b.got(b.caller) + b.got(b.platform); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestStrangerInside(t *testing.T) {
	b := newBench(t, nil)
	from := b.inside
	from.Remote = netip.MustParseAddrPort("127.9.9.9:5060")
	b.send(from, newRequest("INVITE", 1))
	b.silence(b.caller)
	b.silence(b.platform)
}

func TestTimersResendAndGiveUp(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.outside, newRequest("INVITE", 1))
	first := b.expect(b.platform, "INVITE")
	b.now = b.now.Add(120 * time.Millisecond)
	b.l.timers(b.now)
	b.expect(b.caller, "SIP/2.0 100 Trying")
	b.now = b.now.Add(500 * time.Millisecond)
	b.l.timers(b.now)
	if again := b.got(b.platform); again != first {
		t.Errorf("sent again: %q", again)
	}
	b.now = b.now.Add(32 * time.Second)
	b.l.timers(b.now)
	b.expect(b.caller, "SIP/2.0 408 ")
}

// TestUndeliveredEndsTheCall: the platform's port is closed.
func TestUndeliveredEndsTheCall(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.outside, newRequest("INVITE", 1))
	sent := b.expect(b.platform, "INVITE")
	b.l.Undelivered([]byte(sent)[:200], edge.Flow{Remote: b.inside.Remote, Listener: 1, Side: edge.Inside}, net.ErrClosed, b.now)
	b.l.out.Flush()
	if msg := b.expect(b.caller, "SIP/2.0 503 "); field(t, msg, "Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if s := b.p.Status().Upstream; !strings.HasPrefix(s, "down since ") {
		t.Errorf("upstream is %q", s)
	}
}

// TestForgedICMP: an error that quotes a request of ours which went elsewhere says nothing of a server.
func TestForgedICMP(t *testing.T) {
	b := newBench(t, nil)
	seen := b.callOut("INVITE") // and its branch with it
	b.l.Undelivered([]byte(seen), b.inside, syscall.ECONNREFUSED, b.now)
	if s := b.p.Status().Upstream; strings.HasPrefix(s, "down") {
		t.Errorf("upstream is %q", s)
	}
}

// TestBranchOfAURI: what a Request-URI calls its branch is not taken for ours.
func TestBranchOfAURI(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.outside, []byte(strings.Replace(string(newRequest("INVITE", 1)), "example.com SIP", "example.com;branch=z9hG4bKAAAAAAAAAAAAAAAAAAAAAA SIP", 1)))
	b.l.Undelivered([]byte(b.expect(b.platform, "INVITE")), b.inside, net.ErrClosed, b.now)
	b.l.out.Flush()
	b.expect(b.caller, "SIP/2.0 503 ")
}

func TestDrain(t *testing.T) {
	b := newBench(t, nil)
	b.p.Drain(true)
	b.send(b.outside, newRequest("INVITE", 1))
	if msg := b.expect(b.caller, "SIP/2.0 503 "); field(t, msg, "Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.silence(b.platform)
	b.p.Drain(false)
	b.send(b.outside, newRequest("INVITE", 2))
	b.expect(b.platform, "INVITE")
}
