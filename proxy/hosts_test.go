package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/resolve"
	"github.com/ringwall/ringwall/transport"
)

const elsewhere = "elsewhere.example.net"

// A dns answers look-ups; while held is locked they wait.
type dns struct {
	held sync.RWMutex

	mu      sync.Mutex
	asked   []resolve.Query
	targets map[string][]resolve.Target
}

func (d *dns) lookup(ctx context.Context, q resolve.Query) ([]resolve.Target, time.Duration, error) {
	d.mu.Lock()
	d.asked = append(d.asked, q)
	d.mu.Unlock()
	d.held.RLock()
	defer d.held.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch found := d.targets[q.Host]; {
	case len(found) > 0:
		return found, time.Hour, nil
	case strings.HasPrefix(q.Host, "dead."):
		return nil, 0, &resolve.Error{Name: q.Host}
	}
	return nil, time.Minute, &resolve.Error{Name: q.Host, NotFound: true}
}

// queries are what was looked up so far.
func (d *dns) queries() []resolve.Query {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]resolve.Query(nil), d.asked...)
}

func (d *dns) set(host string, targets ...resolve.Target) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.targets[host] = targets
}

// newElsewhere is a bench whose elsewhere.example.net has two servers, of which the first is asked first.
func newElsewhere(t testing.TB, change func(*Config)) (b *bench, d *dns, first, second *net.UDPConn) {
	first, second = socket(t), socket(t)
	d = &dns{targets: map[string][]resolve.Target{elsewhere: {{Addr: addrOf(first)}, {Addr: addrOf(second), Priority: 1}}}}
	b = newBench(t, func(c *Config) {
		c.Names, c.Lookup = true, d.lookup
		if change != nil {
			change(c)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { b.p.hosts.aside.serve(ctx, b.p, 2); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return b, d, first, second
}

// TestNameIsLookedUp: a request from inside for a name goes where RFC 3263 says, unchanged; the next one needs no look-up.
func TestNameIsLookedUp(t *testing.T) {
	b, d, first, second := newElsewhere(t, nil)
	b.send(b.inside, []byte(b.to("Elsewhere.example.NET", "INVITE", 1)))
	b.expect(first, "INVITE sip:5551234@Elsewhere.example.NET SIP/2.0")
	b.send(b.inside, []byte(b.to("elsewhere.example.net", "MESSAGE", 2)))
	b.expect(first, "MESSAGE")
	want := resolve.Query{Host: elsewhere, Speaks: resolve.Only(edge.UDP)}
	if all := d.queries(); len(all) != 1 || all[0] != want {
		t.Errorf("looked up %+v", all)
	}
	routed := strings.Replace(b.to("192.0.2.77", "INVITE", 3), "\r\nFrom:", "\r\nRoute: <sip:"+elsewhere+":5060;transport=udp;lr>\r\nFrom:", 1)
	b.send(b.inside, []byte(routed))
	b.expect(first, "INVITE sip:5551234@192.0.2.77")
	want.Port, want.Transport, want.Named = 5060, edge.UDP, true
	if all := d.queries(); len(all) != 2 || all[1] != want {
		t.Errorf("looked up %+v", all)
	}
	b.silence(second)
}

// TestNameLeadsNowhere: what the platform gets then, and that nobody outside causes look-ups.
func TestNameLeadsNowhere(t *testing.T) {
	b, d, _, _ := newElsewhere(t, nil)
	d.set("own.example.net", resolve.Target{Addr: b.p.faces[0].Addr})
	d.set("six.example.net", resolve.Target{Addr: netip.MustParseAddrPort("[2001:db8::1]:5060")})
	for i, c := range []struct{ host, status string }{{"none.example.net", "404"}, {"dead.example.net", "503"}, {"own.example.net", "403"},
		{"six.example.net", "404"}, {elsewhere + ";transport=ws", "404"}, {strings.Repeat("a", maxHost+1), "404"}} {
		b.send(b.inside, []byte(b.to(c.host, "INVITE", i)))
		b.expect(b.platform, "SIP/2.0 "+c.status)
	}
	before := len(d.queries())
	b.send(b.outside, []byte(b.to("none-either.example.net", "INVITE", 20)))
	b.expect(b.platform, "INVITE") // the platform is the next hop, whatever is called
	b.send(b.outside, []byte(strings.Replace(b.to(elsewhere, "INVITE", 21), "\r\nFrom:", "\r\nRoute: <sip:x.example.net;lr>\r\nFrom:", 1)))
	b.expect(b.platform, "INVITE")
	if n := len(d.queries()); n != before || before != 4 {
		t.Errorf("%d look-ups, then %d", before, n)
	}
}

func TestNamesMayBeOff(t *testing.T) {
	b, d, _, _ := newElsewhere(t, func(c *Config) { c.Names = false })
	b.send(b.inside, []byte(b.to(elsewhere, "INVITE", 1)))
	b.expect(b.platform, "SIP/2.0 404")
	if len(d.queries()) > 0 {
		t.Error("looked up")
	}
}

// TestNameFailsOver: a server that answers 503, or that nothing reaches, is left for the next one, also by the calls after that.
func TestNameFailsOver(t *testing.T) {
	for name, fail := range map[string]func(b *bench, at *net.UDPConn, msg string){
		"503": func(b *bench, at *net.UDPConn, msg string) { b.send(b.at(at), replyTo(msg, "503 Busy")) },
		"gone": func(b *bench, at *net.UDPConn, msg string) {
			b.l.Undelivered([]byte(msg), b.at(at), transport.ErrGone, b.now)
			b.l.out.Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, _, first, second := newElsewhere(t, nil)
			b.send(b.inside, []byte(b.to(elsewhere, "INVITE", 1)))
			fail(b, first, b.expect(first, "INVITE"))
			again := b.expect(second, "INVITE sip:5551234@"+elsewhere)
			b.send(b.at(second), replyTo(again, "200 OK"))
			b.expect(b.platform, "SIP/2.0 200")
			b.send(b.inside, []byte(b.to(elsewhere, "INVITE", 2)))
			fail(b, second, b.expect(second, "INVITE"))
			if name == "gone" {
				b.expect(b.platform, "SIP/2.0 503")
			}
		})
	}
}

// TestNameFailsOverNowhere: a server of a name that the egress guard refuses is not the next one either.
func TestNameFailsOverNowhere(t *testing.T) {
	b, d, first, _ := newElsewhere(t, nil)
	d.set(elsewhere, resolve.Target{Addr: addrOf(first)}, resolve.Target{Addr: b.p.faces[1].Addr, Priority: 1})
	b.send(b.inside, []byte(b.to(elsewhere, "INVITE", 1)))
	b.send(b.at(first), replyTo(b.expect(first, "INVITE"), "503 Busy"))
	b.expect(b.platform, "SIP/2.0 500")
}

// TestDialogFollowsNames: requests in a dialog go by the names that the far end wrote into Record-Route and Contact.
func TestDialogFollowsNames(t *testing.T) {
	b, d, first, second := newElsewhere(t, nil)
	proxy := socket(t)
	d.set("proxy.example.net", resolve.Target{Addr: addrOf(proxy)})
	d.set("desk.example.net", resolve.Target{Addr: addrOf(second)})
	b.send(b.inside, []byte(b.to(elsewhere, "INVITE", 1)))
	reply := string(replyTo(b.expect(first, "INVITE"), "200 OK"))
	b.send(b.at(first), []byte(strings.Replace(reply, "Record-Route: ", "Record-Route: <sip:old.example.net>, <sip:proxy.example.net;lr>, ", 1)))
	routes := strings.Split(field(t, b.expect(b.platform, "SIP/2.0 200"), "Record-Route"), ", ")
	if len(routes) != 2 || routes[0] != "<sip:proxy.example.net;lr>" { // a strict router's would be refused
		t.Fatalf("%q", routes)
	}
	b.dialog("ACK", routes[1]+", "+routes[0], "a1", "b", "sip:bob@desk.example.net", b.inside)
	if got := b.expect(proxy, "ACK sip:bob@desk.example.net"); !strings.Contains(got, "\r\nRoute: "+routes[0]) {
		t.Errorf("%s", got)
	}
	b.dialog("INFO", routes[1], "a1", "b", "sip:bob@desk.example.net", b.inside)
	b.expect(second, "INFO")
	b.dialog("UPDATE", routes[1], "a1", "b", "sip:bob@none.example.net", b.inside)
	b.expect(first, "UPDATE") // that leads nowhere: where the dialog began
	b.dialog("NOTIFY", routes[1], "a1", "b", "sip:bob@"+b.inside.Remote.String(), b.inside)
	b.expect(first, "NOTIFY")
}

// TestDialogFollowsNamesOfPeer: a name in a peer's Record-Route counts where it leads to the same peer.
func TestDialogFollowsNamesOfPeer(t *testing.T) {
	machine := socket(t)
	d := &dns{targets: map[string][]resolve.Target{"sbc2." + carrier: {{Addr: addrOf(machine)}},
		"away.example.net": {{Addr: netip.MustParseAddrPort("127.9.9.9:5060")}}}}
	first := socket(t)
	b, _, _, _ := newElsewhere(t, func(c *Config) {
		c.Lookup = d.lookup
		c.Peers = []Peer{{Name: "carrier", Host: carrier, Port: 5060, Match: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/24")},
			Targets: []Upstream{{Addr: addrOf(first)}}}}
	})
	b.send(b.inside, []byte(b.to(carrier, "INVITE", 1)))
	b.send(b.at(first), replyTo(b.expect(first, "INVITE"), "200 OK"))
	route := field(t, b.expect(b.platform, "SIP/2.0 200"), "Record-Route")
	b.dialog("INFO", route, "a1", "b", "sip:gw@sbc2."+carrier, b.inside)
	b.expect(machine, "INFO")
	b.dialog("UPDATE", route, "a1", "b", "sip:gw@away.example.net", b.inside)
	b.expect(first, "UPDATE")
	b.dialog("BYE", route, "a1", "b", "sip:gw@"+carrier, b.inside)
	b.expect(first, "BYE")
}

// TestWhatWaitsForAName: one look-up for all that wait, in the order in which they came, a CANCEL behind its INVITE; no more than there is room for.
func TestWhatWaitsForAName(t *testing.T) {
	b, d, first, _ := newElsewhere(t, nil)
	d.held.Lock()
	b.send(b.inside, []byte(b.to(elsewhere, "INVITE", 1)))
	b.send(b.inside, []byte(b.to(elsewhere, "INVITE", 1))) // again
	b.send(b.inside, []byte(b.to(elsewhere, "CANCEL", 1)))
	for i := range mostOfAName {
		b.send(b.inside, []byte(b.to(elsewhere, "MESSAGE", 100+i)))
	}
	refused := 0
	for b.got(b.platform) != "" {
		refused++
	}
	if refused < 1 || refused > 3 { // one of those that wait may have been taken up
		t.Errorf("%d requests were refused", refused)
	}
	d.held.Unlock()
	b.expect(first, "INVITE")
	b.expect(b.platform, "SIP/2.0 200") // to the CANCEL
	last := ""
	for range mostOfAName - refused {
		id := field(t, b.expect(first, "MESSAGE"), "Call-ID")
		if id <= last {
			t.Fatalf("%s came behind %s", id, last)
		}
		last = id
	}
	if n := len(d.queries()); n != 1 {
		t.Errorf("%d look-ups", n)
	}
}

// TestNamesAreRenewed: an answer whose time is over is used while it is looked up again, once.
func TestNamesAreRenewed(t *testing.T) {
	b, d, first, second := newElsewhere(t, nil)
	b.send(b.inside, []byte(b.to(elsewhere, "MESSAGE", 1)))
	b.expect(first, "MESSAGE")
	q := d.queries()[0]
	b.p.hosts.mu.Lock()
	known := &knownHost{query: q, pool: b.p.hosts.known[q].pool, until: b.now} // its time is over
	b.p.hosts.known[q] = known
	b.p.hosts.mu.Unlock()
	d.set(elsewhere, resolve.Target{Addr: addrOf(second)})
	d.held.Lock()
	for i := range 3 {
		b.send(b.inside, []byte(b.to(elsewhere, "MESSAGE", 2+i)))
		b.expect(first, "MESSAGE")
	}
	d.held.Unlock()
	for end := time.Now().Add(10 * time.Second); b.p.hosts.find(q, []byte(elsewhere)) == known && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	b.now = time.Now()
	b.send(b.inside, []byte(b.to(elsewhere, "MESSAGE", 9)))
	b.expect(second, "MESSAGE")
	if n := len(d.queries()); n != 2 {
		t.Errorf("%d look-ups", n)
	}
}

// TestRunEndsWithItsLookUps: when Run returns nobody looks up or sends any more: what they would use is closed then. It may be called again.
func TestRunEndsWithItsLookUps(t *testing.T) {
	asked, going := make(chan bool), atomic.Int32{}
	b := newBench(t, func(c *Config) {
		c.Names = true
		c.Lookup = func(ctx context.Context, _ resolve.Query) ([]resolve.Target, time.Duration, error) {
			going.Add(1)
			defer going.Add(-1)
			asked <- true
			<-ctx.Done()
			time.Sleep(20 * time.Millisecond)
			return nil, 0, ctx.Err()
		}
	})
	for i, host := range []string{"one.example.net", "two.example.net"} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() { b.p.Run(ctx); close(ended) }()
		b.send(b.inside, []byte(b.to(host, "INVITE", i)))
		<-asked
		cancel()
		<-ended
		if n := going.Load(); n != 0 {
			t.Errorf("%d look-ups go on", n)
		}
	}
}

// TestNamesAreBounded: the name that was used least lately makes room, and its server over TLS may then be another one.
func TestNamesAreBounded(t *testing.T) {
	b, d, _, _ := newElsewhere(t, nil)
	n := b.p.hosts
	server := resolve.Target{Addr: netip.MustParseAddrPort("192.0.2.1:5061"), Transport: edge.TLS}
	at := time.Unix(1000, 0)
	seek := func(i int) *knownHost {
		host := fmt.Sprintf("n%d.example.net", i)
		d.set(host, server)
		at = at.Add(50 * time.Millisecond) // all of them hold in the end
		return n.seek(t.Context(), resolve.Query{Host: host}, at)
	}
	if found := seek(0); len(found.servers) != 1 {
		t.Fatal("the server is not there")
	}
	at = at.Add(time.Second)
	for i := 1; i < mostNames; i++ {
		if found := seek(i); len(found.servers) != 0 {
			t.Fatalf("one server is n0 and n%d", i)
		}
	}
	seek(mostNames)
	if len(n.known) != mostNames || n.find(resolve.Query{}, []byte("n0.example.net")) != nil {
		t.Errorf("%d names", len(n.known))
	}
	if found := seek(mostNames + 1); len(found.servers) != 1 {
		t.Error("the server is still n0")
	}
}

// TestServerOfAnotherName: a server over TLS may be another one once nobody has used its first name for a while, not before.
func TestServerOfAnotherName(t *testing.T) {
	b, d, _, _ := newElsewhere(t, nil)
	server := resolve.Target{Addr: netip.MustParseAddrPort("192.0.2.1:5061"), Transport: edge.TLS}
	d.set("one.example.net", server)
	d.set("two.example.net", resolve.Target{Addr: netip.MustParseAddrPort("192.0.2.2:5061"), Transport: edge.TLS}, server)
	for _, c := range []struct {
		host  string
		after time.Duration
		want  int
	}{
		{"one.example.net", 0, 1}, {"two.example.net", 10 * time.Second, 1}, {"two.example.net", 75 * time.Second, 1},
		{"two.example.net", 3 * time.Minute, 2}, {"one.example.net", 3*time.Minute + time.Second, 0}, {"one.example.net", 10 * time.Minute, 1},
	} {
		if found := b.p.hosts.seek(t.Context(), resolve.Query{Host: c.host}, epoch.Add(c.after)); len(found.servers) != c.want {
			t.Errorf("%s after %v: %d servers, want %d", c.host, c.after, len(found.servers), c.want)
		}
	}
}

// TestOldAnswers: a request waits for another answer where the last one ended long ago, or said that there is nothing.
func TestOldAnswers(t *testing.T) {
	b, d, first, second := newElsewhere(t, nil)
	b.now = time.Now()
	b.send(b.inside, []byte(b.to(elsewhere, "MESSAGE", 1)))
	b.expect(first, "MESSAGE")
	for i, host := range []string{"none.example.net", "dead.example.net"} {
		b.send(b.inside, []byte(b.to(host, "MESSAGE", 2+i)))
		b.expect(b.platform, "SIP/2.0 ")
		d.set(host, resolve.Target{Addr: addrOf(first)})
	}
	d.set(elsewhere, resolve.Target{Addr: addrOf(second)})
	b.p.hosts.mu.Lock()
	for q, one := range b.p.hosts.known {
		b.p.hosts.known[q] = &knownHost{query: q, pool: one.pool, err: one.err, until: b.now.Add(-3 * time.Hour)}
	}
	b.p.hosts.mu.Unlock()
	b.send(b.inside, []byte(b.to(elsewhere, "MESSAGE", 5)))
	b.expect(second, "MESSAGE")
	b.send(b.inside, []byte(b.to("none.example.net", "MESSAGE", 6)))
	b.expect(first, "MESSAGE")
	b.send(b.inside, []byte(b.to("dead.example.net", "MESSAGE", 7)))
	b.expect(first, "MESSAGE")
}
