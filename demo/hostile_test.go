package demo

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// alive registers and calls the echo: the platform still works.
func alive(t *testing.T, p *Platform) {
	t.Helper()
	ph, audio := newPhone(t, p, "alice", "tcp"), rtpPort(t)
	ph.register()
	l := ph.newLeg("600")
	checkEcho(t, p, ph, l, ph.dial(l, sdp(audio, "0", "")), pcmu)
}

// TestMutatedMessages sends whole messages with bytes changed, removed and doubled.
func TestMutatedMessages(t *testing.T) {
	p := startPlatform(t, nil)
	ph, audio := newPhone(t, p, "alice", "udp"), rtpPort(t)
	body := sdp(audio, "0", "")
	var seeds []string
	for _, method := range []string{"INVITE", "REGISTER", "ACK", "BYE", "CANCEL", "MESSAGE", "UPDATE"} {
		for _, more := range []string{"", ";tag=x"} {
			seeds = append(seeds, fmt.Sprintf("%s sip:600@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK1;rport, SIP/2.0/UDP 127.0.0.1:1\r\nRoute: <sip:%s;lr>, <sip:127.0.0.1:1;lr>\r\nRecord-Route: <sip:127.0.0.1:1;lr>\r\nMax-Forwards: 7\r\nFrom: \"A\" <sip:alice@demo>;tag=f\r\nTo: <sip:600@demo>%s\r\nCall-ID: c\r\nCSeq: 3 %s\r\nContact: <sip:alice@127.0.0.1:1>;expires=5, *\r\nAuthorization: Digest username=\"alice\", realm=\"ringwall.demo\", nonce=\"n\", uri=\"sip:x\", response=\"00\"\r\nRequire: a, b\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
				method, p.Addr(), ph.local(), p.Addr(), more, method, len(body), body))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b := []byte(seeds[random.IntN(len(seeds))])
		for range 1 + random.IntN(4) {
			i := random.IntN(len(b))
			switch random.IntN(4) {
			case 0:
				b[i] = byte(random.Uint32())
			case 1:
				b = append(b[:i], b[min(len(b), i+random.IntN(20)):]...)
			case 2:
				b = append(b[:i:i], append([]byte(string(b[i:min(len(b), i+40)])), b[i:]...)...)
			case 3:
				b[i] = "\r\n;,<>\"@: "[random.IntN(10)]
			}
			if len(b) == 0 {
				b = []byte{0}
			}
		}
		// Straight into the loop, so that none is lost in a socket buffer.
		p.post(func() { p.receive(b, hop{addr: netip.MustParseAddrPort("127.0.0.1:9")}) })
	}
	p.sync(func() {
		if len(p.servers) > maxTransactions || len(p.clients) > maxTransactions {
			t.Errorf("%d server and %d client transactions", len(p.servers), len(p.clients))
		}
		clear(p.servers)
	})
	alive(t, p)
}

// TestTransactionsAreBounded fills the table; the next request gets 503 and later ones are served again.
func TestTransactionsAreBounded(t *testing.T) {
	p := startPlatform(t, nil)
	ph := newPhone(t, p, "alice", "udp")
	p.sync(func() {
		for i := range maxTransactions {
			p.servers[fmt.Sprint(i)] = &serverTx{p: p, key: fmt.Sprint(i)}
		}
	})
	ph.send("OPTIONS", ph.newLeg("600"), "")
	if m := ph.want("SIP/2.0 503"); field(m, "Retry-After") == "" {
		t.Errorf("got\n%s", m)
	}
	p.sync(func() { clear(p.servers) })
	ph.send("OPTIONS", ph.newLeg("600"), "")
	ph.want("SIP/2.0 200")
}

func TestConnectionsAreBounded(t *testing.T) {
	p := startPlatform(t, nil)
	var phones []*phone
	for range maxConnections {
		ph := newPhone(t, p, "alice", "tcp")
		ph.send("OPTIONS", ph.newLeg("600"), "")
		ph.want("SIP/2.0 200")
		phones = append(phones, ph)
	}
	if _, err := newPhone(t, p, "alice", "tcp").tryGet(patience); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("one connection too many is not closed: %v", err)
	}
	phones[0].Close()
	for { // the place is free again as soon as the platform has noticed
		n := 0
		p.sync(func() { n = len(p.conns) })
		if n < maxConnections {
			break
		}
	}
	alive(t, p)
}

func TestBadStreams(t *testing.T) {
	p := startPlatform(t, nil)
	for name, sent := range map[string]string{
		"garbage":             "\x00\x01\x02 hello\r\n\r\n",
		"two Content-Lengths": "OPTIONS sip:a SIP/2.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"1 GB":                "OPTIONS sip:a SIP/2.0\r\nContent-Length: 1000000000\r\n\r\n",
		"endless header":      "OPTIONS sip:a SIP/2.0\r\n" + strings.Repeat("X: y\r\n", maxMessage/5),
	} {
		ph := newPhone(t, p, "alice", "tcp")
		io.WriteString(ph, sent)
		if m, err := ph.tryGet(patience); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: not closed: %q %v", name, m, err)
		}
	}
	alive(t, p)
}

func TestPing(t *testing.T) {
	p := startPlatform(t, nil)
	ph := newPhone(t, p, "alice", "tcp")
	io.WriteString(ph, "\r\n\r\n")
	b := make([]byte, 2)
	if _, err := io.ReadFull(ph, b); err != nil || string(b) != "\r\n" {
		t.Errorf("pong %q, %v", b, err)
	}
	udp := newPhone(t, p, "alice", "udp")
	io.WriteString(udp, "\r\n\r\n")
	io.WriteString(udp, "\r\n")
	udp.send("OPTIONS", udp.newLeg("600"), "")
	udp.want("SIP/2.0 200") // and nothing before it
}

func TestMalformedRequestIsAnswered(t *testing.T) {
	p := startPlatform(t, nil)
	ph := newPhone(t, p, "alice", "tcp")
	bad := fmt.Sprintf("OPTIONS sip:600@%s SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch=z9hG4bKm\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: m\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: many\r\nContent-Length: 0\r\n\r\n", p.Addr(), ph.local())
	io.WriteString(ph, bad)
	ph.want("SIP/2.0 400")
	io.WriteString(ph, strings.ReplaceAll(bad, "OPTIONS", "ACK")) // never answered
	ph.send("OPTIONS", ph.newLeg("600"), "")
	ph.want("SIP/2.0 200")
}

func TestOldBranch(t *testing.T) {
	p := startPlatform(t, nil)
	ph := newPhone(t, p, "alice", "udp") // RFC 2543: no cookie, no rport
	old := fmt.Sprintf("OPTIONS sip:600@%s SIP/2.0\nVia: SIP/2.0/UDP %s\nFrom: <sip:a@b>;tag=1\nTo: <sip:c@d>\nCall-ID: o\nCSeq: 1 OPTIONS", p.Addr(), ph.local())
	ph.put(old, "")
	first := ph.want("SIP/2.0 200")
	ph.put(old, "")
	if again := ph.get(); again != first {
		t.Errorf("retransmission got\n%s", again)
	}
	ph.put(strings.Replace(old, "CSeq: 1", "CSeq: 2", 1), "")
	if other := ph.get(); field(other, "To") == field(first, "To") {
		t.Errorf("another request got\n%s", other)
	}
}

func TestResponseFromElsewhereIsIgnored(t *testing.T) {
	p := startPlatform(t, nil)
	alice, bob := newPhone(t, p, "alice", "tcp"), newPhone(t, p, "bob", "udp")
	bob.register()
	alice.invite("bob", "")
	got := bob.want("INVITE ")
	forger := *bob
	forger.Conn = dialFrom(t, p, "127.0.0.9")
	forger.reply(got, "200 OK", "")
	bob.reply(got, "486 Busy Here", "")
	alice.want("SIP/2.0 486")
}

func TestSendable(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:5060": true, "[::1]:5060": true, "10.0.0.1:1": true, "127.0.0.1:0": false, "0.0.0.0:5060": false, "[::]:5060": false,
		"224.0.0.1:5060": false, "[ff02::1]:5060": false, "169.254.169.254:80": false, "[fe80::1]:5060": false, "255.255.255.255:5060": false,
	} {
		if got := sendable(netip.MustParseAddrPort(addr)); got != want {
			t.Errorf("sendable(%s) = %v", addr, got)
		}
	}
}

// TestLoopbackStaysLoopback: a Route to another network is not followed, because the socket can't reach it.
func TestLoopbackStaysLoopback(t *testing.T) {
	p := startPlatform(t, nil)
	for _, transport := range []string{"udp", "tcp"} {
		if _, err := p.udp.WriteToUDPAddrPort([]byte("x"), netip.MustParseAddrPort("192.0.2.1:9")); err == nil {
			t.Fatal("the loopback socket sent to 192.0.2.1")
		}
		ph := newPhone(t, p, "alice", "udp")
		l := ph.newLeg("bob")
		l.to += ";tag=x"
		l.extra = "Route: <sip:192.0.2.1:9;transport=" + transport + ";lr>\n"
		ph.send("INVITE", l, "")
		if m := ph.want("SIP/2.0 4"); !strings.HasPrefix(m, "SIP/2.0 480") && !strings.HasPrefix(m, "SIP/2.0 408") {
			t.Errorf("got\n%s", m)
		}
	}
}

func TestStartErrors(t *testing.T) {
	p := startPlatform(t, nil)
	for _, cfg := range []Config{
		{Listen: p.Addr()},
		{Listen: netip.MustParseAddrPort("0.0.0.0:0")},
		{Listen: netip.MustParseAddrPort("224.0.0.1:5060")},
		{Rand: strings.NewReader("short")},
		{Rand: strings.NewReader(strings.Repeat("\xff", 100))},
	} {
		if q, err := Start(context.Background(), cfg); err == nil {
			q.Close()
			t.Errorf("%+v started", cfg)
		}
	}
}

func TestStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p, err := Start(ctx, Config{Listen: netip.MustParseAddrPort("[::1]:0")})
	if err != nil {
		t.Fatal(err)
	}
	ph := newPhone(t, p, "alice", "tcp")
	ph.dial(ph.newLeg("601"), strings.Replace(sdp(rtpPort(t), "0", ""), "IN IP4 127.0.0.1\r\nt", "IN IP6 ::1\r\nt", 1))
	cancel()
	p.wg.Wait()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestBanner(t *testing.T) {
	p := startPlatform(t, nil)
	var b strings.Builder
	p.Banner(&b, []string{"udp:192.0.2.5:5060", "tcp:192.0.2.5:5060"})
	for _, a := range p.Accounts() {
		if !strings.Contains(b.String(), a.Password) || len(a.Password) != 12 {
			t.Errorf("password %q of %s is not in the banner", a.Password, a.User)
		}
	}
	for _, e := range p.Extensions() {
		if !strings.Contains(b.String(), e.Number) {
			t.Errorf("extension %s is not in the banner", e.Number)
		}
	}
	if want := "baresip -e '/uanew <sip:alice@192.0.2.5:5060;transport=udp>;auth_pass=" + p.Accounts()[0].Password + "'"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
}
