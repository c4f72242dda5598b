package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestProxyProtocol: behind a load balancer the platform is told the real source, and the answer goes back the way the request came. Who
// connects from the balancer without a header, or with one from elsewhere, is refused.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	outside, err := siptest.FreeAddr(siptest.OwnIP())
	if err != nil {
		t.Fatal(err)
	}
	balancer, stranger := siptest.OwnIP(), siptest.OwnIP()
	r := newRig(t, tcp, siptest.Keys{"outside": fmt.Sprintf("{listen: [\"tcp:%v\"], proxy_protocol: [%s]}", outside, balancer),
		"checks": "{mode: enforce, contact: {mode: off}}"}) // of the phone's two addresses one is on loopback
	r.edge.Outside = outside
	phone := r.phone("alice")
	const header = "PROXY TCP4 203.0.113.77 198.51.100.1 4321 5060\r\n"
	connect := func(from, say string) net.Conn {
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", outside.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(siptest.Deadline))
		fmt.Fprint(c, say)
		return c
	}
	c := connect(balancer, header+phone.Request("INVITE", "sip:bob@example.com").String())
	got := r.platform.Expect("INVITE")
	if source := got.Get("X-Source"); source != "203.0.113.77:4321;tcp" {
		t.Errorf("X-Source %q", source)
	}
	r.platform.Reply(got, 603)
	answer := make([]byte, 4096)
	for n, all := 0, ""; !strings.Contains(all, "SIP/2.0 603"); all = string(answer[:n]) {
		more, err := c.Read(answer[n:])
		if n += more; err != nil {
			t.Fatalf("no answer behind %q: %v", answer[:n], err)
		}
	}
	before := r.edge.Counter("ringwall_refused_total")
	_, _ = io.ReadAll(connect(balancer, phone.Request("INVITE", "sip:bob@example.com").String())) // until it is closed
	_, _ = io.ReadAll(connect(stranger, header+phone.Request("INVITE", "sip:bob@example.com").String()))
	r.platform.Silence(hush, "INVITE")
	if n := r.edge.Counted(1, "ringwall_transport_proxy_headers_refused_total"); n != 1 {
		t.Errorf("%v connections of the balancer refused, want 1", n)
	}
	if n := r.edge.Counted(before+1, "ringwall_refused_total") - before; n != 1 {
		t.Errorf("%v messages refused, want 1", n)
	}
	r.edge.WaitLog("a connection from a load balancer is refused")

	r.rewrite("outside:", fmt.Sprintf("outside: {listen: [\"tcp:%v\"], proxy_protocol: [%s]}", outside, stranger)) // another balancer by a reload
	if a := r.askReload(); !a.OK || strings.Join(a.Changed, " ") != "outside.proxy_protocol" {
		t.Fatalf("%+v", a)
	}
	connect(stranger, header+phone.Request("INVITE", "sip:bob@example.com").String())
	if source := r.platform.Expect("INVITE").Get("X-Source"); source != "203.0.113.77:4321;tcp" {
		t.Errorf("after a reload X-Source is %q", source)
	}
	connect(balancer, phone.Request("INVITE", "sip:bob@example.com").String())
	if source := r.platform.Expect("INVITE").Get("X-Source"); !strings.HasPrefix(source, balancer+":") {
		t.Errorf("of the one that was a balancer X-Source is %q", source)
	}
}
