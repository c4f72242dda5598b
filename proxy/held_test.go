package proxy

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
)

// A connection of a greylisted source; what is sent there is seen by tracing.
type connection struct {
	*bench
	flow edge.Flow
	seen *Trace
}

// connects suspects the source of b and has it come over a connection.
func (b *bench) connects(t edge.Transport) *connection {
	b.suspects()
	c := &connection{bench: b, flow: b.outside}
	c.flow.Transport, c.flow.Conn = t, 7
	c.seen = b.trace(TraceFilter{})
	return c
}

// gets returns what was sent to it since the last time, and the platform's part left out.
func (c *connection) gets() (all []string) {
	ended, cancel := context.WithCancel(c.t.Context())
	cancel()
	for {
		m, err := c.seen.Next(ended)
		if err != nil {
			return all
		}
		if m.Sent && m.Flow.Side == edge.Outside {
			all = append(all, string(m.Raw))
		}
	}
}

// getsOne is gets for what must be one message that begins so.
func (c *connection) getsOne(start string) string {
	c.t.Helper()
	all := c.gets()
	if len(all) != 1 || !strings.HasPrefix(all[0], start) {
		c.t.Fatalf("it gets %q, want one %q", all, start)
	}
	return all[0]
}

// ticks lets so much time pass, and what is due then be done.
func (c *connection) ticks(d time.Duration) {
	c.now = c.now.Add(d)
	c.l.overdue(c.now)
}

var connections = []edge.Transport{edge.TCP, edge.TLS, edge.WS, edge.WSS}

// doubting is newDoubting, shown or hidden.
func doubting(t *testing.T, hide bool) *bench {
	return newDoubting(t, func(c *Config) {
		if c.Hide = hide; hide {
			c.Topology = topo.Config{CallID: true, Domain: "example.com"}
		}
	})
}

// TestHeld: on a connection of a greylisted source a request waits for the answer to our OPTIONS. A phone that answers sees one challenge, the platform's; of who does
// not, nothing reaches the platform before our challenge is answered.
func TestHeld(t *testing.T) {
	for _, over := range connections {
		for _, hide := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, answers, hidden %v", over, hide), func(t *testing.T) {
				c := doubting(t, hide).connects(over)
				c.send(c.flow, register("100", 1, ""))
				knock := c.getsOne("OPTIONS sip:" + c.flow.Remote.String() + " SIP/2.0\r\n")
				c.silence(c.platform)
				c.ticks(holdTime - time.Millisecond)
				c.send(c.flow, replyTo(knock, "404 Not Found"))
				asked := c.expect(c.platform, "REGISTER")
				c.send(c.inside, with401(asked, "0123456789abcdef01234567"))
				if got := c.getsOne("SIP/2.0 401"); strings.Contains(got, "stale") {
					t.Errorf("%s", got)
				}
				c.send(c.flow, register("100", 2, credentials("100", "0123456789abcdef01234567", "x")))
				c.expect(c.platform, "REGISTER")
				c.ticks(time.Minute)
				if got := c.gets(); len(got) > 0 {
					t.Errorf("then it gets %q", got)
				}
			})
			t.Run(fmt.Sprintf("%v, silent, hidden %v", over, hide), func(t *testing.T) {
				c := doubting(t, hide).connects(over)
				c.send(c.flow, register("100", 1, ""))
				knock := c.getsOne("OPTIONS ")
				c.ticks(holdTime - time.Millisecond)
				if got := c.gets(); len(got) > 0 {
					t.Errorf("too early: %q", got)
				}
				c.ticks(time.Millisecond)
				first := c.getsOne("SIP/2.0 401")
				c.send(c.flow, replyTo(knock, "200 OK")) // too late for this one
				c.silence(c.platform)
				c.send(c.flow, register("100", 2, credentials("100", nonceOf(t, first), "x")))
				asked := c.expect(c.platform, "REGISTER")
				c.send(c.inside, with401(asked, "0123456789abcdef01234567"))
				if got := c.getsOne("SIP/2.0 401"); strings.Contains(asked, "Authorization") || !strings.Contains(got, "stale=true") {
					t.Errorf("%s\n%s", asked, got)
				}
			})
		}
	}
}

// TestHeldGuesser: who never answers is knocked at once for each Call-ID, and nothing of it gets through.
func TestHeldGuesser(t *testing.T) {
	c := newDoubting(t, nil).connects(edge.TCP)
	for i := range 20 {
		c.send(c.flow, register(fmt.Sprint(100+i), i, ""))
		c.getsOne("OPTIONS ")
		c.send(c.flow, register(fmt.Sprint(100+i), i, ""))
		c.getsOne("SIP/2.0 401")
		c.ticks(holdTime)
		c.getsOne("SIP/2.0 401")
	}
	c.silence(c.platform)
}

// TestHeldNeighbour: an answer on another connection says nothing, and does not let go what is held here.
func TestHeldNeighbour(t *testing.T) {
	c := newDoubting(t, nil).connects(edge.TCP)
	c.send(c.flow, register("100", 1, ""))
	knock := c.getsOne("OPTIONS ")
	other := c.portOf(c.flow, 1)
	c.send(other, replyTo(knock, "200 OK"))
	c.silence(c.platform)
	c.send(c.flow, replyTo(knock, "200 OK"))
	c.expect(c.platform, "REGISTER")
}

// portOf is another connection from the address of f.
func (c *connection) portOf(f edge.Flow, more uint16) edge.Flow {
	f.Remote = netip.AddrPortFrom(f.Remote.Addr(), f.Remote.Port()+more)
	f.Conn += uint64(more)
	return f
}

// TestHeldCall: an INVITE that is called off while it is held ends as calls do that are called off, and the platform hears of neither; no other CANCEL is touched.
func TestHeldCall(t *testing.T) {
	c := newDoubting(t, nil).connects(edge.TCP)
	c.send(c.flow, newRequest("INVITE", 1))
	knock := c.getsOne("OPTIONS ")
	c.send(c.flow, newRequest("CANCEL", 2))
	c.getsOne("SIP/2.0 481")
	c.send(c.flow, newRequest("CANCEL", 1))
	got := c.gets()
	if len(got) != 2 || !strings.HasPrefix(got[0], "SIP/2.0 200") || !strings.Contains(got[0], "CSeq: 1 CANCEL") || !strings.HasPrefix(got[1], "SIP/2.0 487") || !strings.Contains(got[1], "CSeq: 1 INVITE") {
		t.Fatalf("it gets %q", got)
	}
	tag := field(t, got[1], "To")
	c.send(c.flow, bytes.Replace(newRequest("ACK", 1), []byte("To: <sip:echo@example.com>"), []byte("To: "+tag), 1))
	c.send(c.flow, replyTo(knock, "200 OK"))
	c.ticks(time.Minute)
	c.silence(c.platform)
	if got := c.gets(); len(got) > 0 {
		t.Errorf("and then %q", got)
	}
}

// TestHeldSettings: what is held when nobody is challenged any more goes on; so does what is held while the edge drains, once it is answered, since it came
// before, and until then it counts as pending.
func TestHeldSettings(t *testing.T) {
	c := newDoubting(t, nil).connects(edge.TCP)
	before := c.p.Pending()
	c.send(c.flow, register("100", 1, ""))
	knock := c.getsOne("OPTIONS ")
	c.p.Drain(true)
	if c.p.Pending() != before+1 {
		t.Error("what is held is not pending")
	}
	c.send(c.flow, replyTo(knock, "200 OK"))
	c.expect(c.platform, "REGISTER")
	c.p.Drain(false)
	c.gets()
	c.send(c.flow, register("100", 2, ""))
	c.getsOne("OPTIONS ")
	cfg := c.p.cfg.Load().Config
	cfg.Challenge = judge.Monitor
	if err := c.p.Apply(cfg); err != nil {
		t.Fatal(err)
	}
	c.ticks(holdTime)
	c.expect(c.platform, "REGISTER")
	if got := c.gets(); len(got) > 0 {
		t.Errorf("it gets %q", got)
	}
}

// TestHeldOffice: 500 phones that boot together behind a greylisted address, each on a connection of its own, are all let in once they answer.
func TestHeldOffice(t *testing.T) {
	c := newDoubting(t, nil).connects(edge.TLS)
	const phones = 500
	knocks := make([]string, phones)
	for i := range knocks {
		c.send(c.portOf(c.flow, uint16(i)), register(fmt.Sprint(1000+i), i, ""))
		knocks[i] = c.getsOne("OPTIONS ")
	}
	c.now = c.now.Add(200 * time.Millisecond)
	for i, knock := range knocks {
		c.send(c.portOf(c.flow, uint16(i)), replyTo(knock, "200 OK"))
		c.expect(c.platform, fmt.Sprintf("REGISTER sip:%d@", 1000+i))
	}
	c.ticks(time.Minute)
	if got := c.gets(); len(got) > 0 {
		t.Errorf("they get %q", got)
	}
}

// TestHeldInMonitorMode: it is told, and nothing waits.
func TestHeldInMonitorMode(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"challenge: monitor": func(c *Config) { c.Challenge = judge.Monitor },
		"mode: monitor":      func(c *Config) { c.Monitor = true },
	} {
		c := newDoubting(t, change).connects(edge.TCP)
		c.reasons()
		c.send(c.flow, register("100", 1, ""))
		c.expect(c.platform, "REGISTER")
		if told := c.told(); told["noted challenge.source would be challenged"] != 1 || len(c.gets()) > 0 {
			t.Errorf("%s: told %v", name, told)
		}
	}
}

// TestHeldBounds: where there is no room a request goes on, and nothing is sent for it; one that is too large to be held is challenged at once.
func TestHeldBounds(t *testing.T) {
	c := newDoubting(t, nil).connects(edge.TCP)
	for i := range mostHeld {
		if !c.p.held.put(uint64(i), parked{raw: []byte("x"), x: edge.Exchange{At: c.now}}) {
			t.Fatalf("no room for %d", i)
		}
	}
	c.send(c.flow, register("100", 1, ""))
	c.expect(c.platform, "REGISTER")
	if got := c.gets(); len(got) > 0 {
		t.Errorf("it gets %q", got)
	}
	for n := 1; ; n++ {
		if _, more := c.p.held.due(c.now.Add(holdTime)); !more {
			break
		} else if n > mostHeld {
			t.Fatalf("%d were held", n)
		}
	}
	large := strings.Replace(string(register("200", 2, "")), "Content-Length: 0\r\n", "Content-Type: text/plain\r\nContent-Length: "+fmt.Sprint(largestHeld)+"\r\n", 1) + strings.Repeat("x", largestHeld)
	c.send(c.flow, []byte(large))
	c.getsOne("SIP/2.0 401")
	var h held
	n := 0
	for h.put(uint64(n), parked{raw: make([]byte, largestHeld)}) {
		n++
	}
	if n != heldBytes/largestHeld {
		t.Errorf("%d of %d bytes each are held", n, largestHeld)
	}
}

// TestHeldOnce: whatever is held is taken out once, by its answer or by the clock.
func TestHeldOnce(t *testing.T) {
	const all = 1000
	var h held
	for i := range all {
		h.put(uint64(i), parked{raw: []byte("x"), x: edge.Exchange{At: epoch}})
	}
	var taken atomic.Int32
	var takers sync.WaitGroup
	for i := range 4 {
		takers.Go(func() {
			for k := range all {
				found := false
				if i%2 == 0 {
					_, found = h.take(uint64(k))
				} else {
					_, found = h.due(epoch.Add(holdTime))
				}
				if found {
					taken.Add(1)
				}
			}
		})
	}
	takers.Wait()
	if taken.Load() != all || h.count.Load() != 0 || h.bytes != 0 || len(h.by) != 0 || h.order.Len() != 0 {
		t.Errorf("%d were taken, %d and %d bytes are left", taken.Load(), h.count.Load(), h.bytes)
	}
}

// TestHeldKeeps: what was found out about a request is there when it is taken up, and nothing of the lane's own memory.
func TestHeldKeeps(t *testing.T) {
	c := newDoubting(t, nil).connects(edge.WSS)
	msg := register("100", 1, "")
	c.send(c.flow, msg)
	knock := c.getsOne("OPTIONS ")
	clear(msg)
	c.send(c.inside, newRequest("OPTIONS", 50)) // whatever else the lane does meanwhile
	c.send(c.flow, replyTo(knock, "200 OK"))
	asked := c.expect(c.platform, "SIP/2.0 ") + c.expect(c.platform, "REGISTER sip:100@example.com SIP/2.0\r\n")
	var m sip.Message
	if !strings.Contains(asked, c.flow.Remote.String()+";wss") || m.Parse([]byte(asked[strings.Index(asked, "REGISTER sip:"):]), true) != nil {
		t.Errorf("%s", asked)
	}
}

// TestHeldCaller: a stranger who calls another telephone number at our address each minute, over a connection, is greylisted at the fourth call; from then on
// the platform hears nothing of him, where it heard of all his calls before.
func TestHeldCaller(t *testing.T) {
	for mode, want := range map[judge.Mode]int{judge.Enforce: 4, judge.Off: 20} {
		b := newJudged(t, judge.Enforce, func(c *Config) { c.Challenge = mode })
		flow := b.outside
		flow.Transport, flow.Conn = edge.TCP, 7
		heard := 0
		for i := range 20 {
			call := strings.ReplaceAll(string(newRequest("INVITE", i)), "sip:echo@example.com", fmt.Sprintf("sip:90044%07d@127.0.0.1", 7919*i))
			b.send(flow, []byte(call))
			if got := b.got(b.platform); got != "" {
				heard++
				b.send(b.inside, []byte(strings.Replace(string(replyTo(got, "404 Not Found")), "@127.0.0.1>\r\n", "@127.0.0.1>;tag=b\r\n", 1)))
				b.got(b.platform) // our ACK
			}
			b.now = b.now.Add(time.Minute)
			b.l.overdue(b.now)
		}
		if heard != want {
			t.Errorf("challenge %v: the platform hears of %d calls, want %d; %v", mode, heard, want, b.told())
		}
	}
}
