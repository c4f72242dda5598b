package resolve

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestLies: what does not answer the question does not count, whatever id it has; the next server is asked.
func TestLies(t *testing.T) {
	forged := func(t *testing.T) dns.RR { return mustRR(t, "a.example. 60 IN A 203.0.113.66") }
	for _, c := range []struct {
		name string
		lie  func(t *testing.T, m, answer *dns.Msg) bool
		why  string
	}{
		{"another question", func(t *testing.T, _, a *dns.Msg) bool {
			a.Question[0].Name = "b.example."
			a.Answer = []dns.RR{forged(t)}
			return true
		}, "answered another question"},
		{"another kind", func(t *testing.T, _, a *dns.Msg) bool {
			a.Question[0].Qtype = dns.TypeTXT
			return true
		}, "answered another question"},
		{"no question", func(t *testing.T, _, a *dns.Msg) bool {
			a.Question, a.Answer = nil, []dns.RR{forged(t)}
			return true
		}, "answered another question"},
		{"a query", func(t *testing.T, _, a *dns.Msg) bool { a.Response = false; return true }, "no answer"},
		{"another id", func(t *testing.T, _, a *dns.Msg) bool { a.Id++; return true }, "got no answer"},
		{"FORMERR", func(t *testing.T, _, a *dns.Msg) bool { a.Rcode = dns.RcodeFormatError; return true }, "says FORMERR"},
		{"no recursion", func(t *testing.T, _, a *dns.Msg) bool {
			a.Rcode, a.RecursionAvailable, a.Answer = dns.RcodeSuccess, false, nil
			return true
		}, "does not look names up for others"},
		{"truncated over TCP as well", func(t *testing.T, _, a *dns.Msg) bool { a.Truncated = true; return true }, "no answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			liar, honest := newZone(t, "a.example. 60 IN A 192.0.2.1"), newZone(t, "a.example. 60 IN A 192.0.2.1")
			liar.answers(func(m, a *dns.Msg) bool { return c.lie(t, m, a) })
			short := func(c *Config) { c.Timeout = 400 * time.Millisecond }
			r, _ := newResolver(t, liar, short)
			if got, _, err := lookA(t, r); got != "" || err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("alone: got %s, %v", got, err)
			}
			r, _ = newResolver(t, liar, short, func(c *Config) { c.Servers = append(c.Servers, honest.addr) })
			if got, _, err := lookA(t, r); got != "192.0.2.1" || err != nil {
				t.Errorf("with an honest one: got %s, %v", got, err)
			}
		})
	}
}

// TestOtherNames: records of names that nobody asked for, and of other classes, are passed over.
func TestOtherNames(t *testing.T) {
	z := newZone(t)
	z.answers(func(_, a *dns.Msg) bool {
		a.Rcode = dns.RcodeSuccess
		for _, text := range []string{"b.example. 60 IN A 203.0.113.66", "a.example. 60 CH A 203.0.113.67", "x.example. 60 IN CNAME b.example.", "a.example. 1 IN TXT x"} {
			a.Answer = append(a.Answer, mustRR(t, text))
		}
		a.Extra = append(a.Extra, mustRR(t, "a.example. 60 IN A 203.0.113.68"))
		return true
	})
	r, _ := newResolver(t, z)
	if got, _, err := lookA(t, r); got != "" || err == nil {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestAliases: CNAMEs are followed, also where the server tells only the first; their TTLs count; loops and long chains end.
func TestAliases(t *testing.T) {
	chainOf := func(n int) (records []string) {
		name := "a.example."
		for i := range n {
			next := "n" + string(rune('a'+i)) + ".example."
			records = append(records, name+" 50 IN CNAME "+next)
			name = next
		}
		return append(records, name+" 60 IN A 192.0.2.1")
	}
	for _, c := range []struct {
		name    string
		records []string
		only    bool // the server tells one record at a time
		want    string
		ttl     time.Duration
	}{
		{"one", chainOf(1), false, "192.0.2.1", 30 * time.Second},
		{"eight", chainOf(8), false, "192.0.2.1", 30 * time.Second},
		{"eight, one at a time", chainOf(8), true, "192.0.2.1", 30 * time.Second},
		{"nine", chainOf(9), false, "", retryAfter},
		{"nine, one at a time", chainOf(9), true, "", retryAfter},
		{"loop", []string{"a.example. 60 IN CNAME b.example.", "b.example. 60 IN CNAME a.example."}, false, "", retryAfter},
		{"loop, one at a time", []string{"a.example. 60 IN CNAME b.example.", "b.example. 60 IN CNAME a.example."}, true, "", retryAfter},
		{"itself", []string{"a.example. 60 IN CNAME a.example."}, false, "", retryAfter},
	} {
		t.Run(c.name, func(t *testing.T) {
			z := newZone(t, c.records...)
			z.answers(func(_, a *dns.Msg) bool {
				a.Rcode = dns.RcodeSuccess
				if c.only && len(a.Answer) > 1 {
					a.Answer = a.Answer[:1]
				}
				return true
			})
			r, _ := newResolver(t, z)
			got, ttl, err := lookA(t, r)
			if got != c.want || ttl != c.ttl || (err != nil) != (c.want == "") {
				t.Errorf("got %q for %v, %v", got, ttl, err)
			}
			if err != nil && !strings.Contains(err.Error(), "more than 8 aliases") {
				t.Error(err)
			}
			if n := z.total(); n > 2*(maxAliases+1) {
				t.Errorf("%d questions", n)
			}
		})
	}
}

// TestTruncated: what does not fit into a datagram comes over TCP.
func TestTruncated(t *testing.T) {
	z := newZone(t, "a.example. 60 IN A 192.0.2.1")
	z.answers(func(_, a *dns.Msg) bool {
		if z.tcp == 0 {
			a.Truncated, a.Answer = true, nil
		}
		return true
	})
	r, _ := newResolver(t, z)
	if got, _, err := lookA(t, r); got != "192.0.2.1" || err != nil || z.tcp == 0 {
		t.Errorf("got %s, %v, %d over TCP", got, err, z.tcp)
	}
}

// TestDeadServer: a server that is not there is passed over; the sentence names it if there is no other.
func TestDeadServer(t *testing.T) {
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := gone.LocalAddr().String()
	gone.Close()
	z := newZone(t, "a.example. 60 IN A 192.0.2.1")
	r, _ := newResolver(t, z, func(c *Config) { c.Servers = []string{dead, z.addr} })
	if got, _, err := lookA(t, r); got != "192.0.2.1" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	r, _ = newResolver(t, z, func(c *Config) { c.Servers = []string{dead} })
	if _, _, err := lookA(t, r); err == nil || err.Error() != "looking up the name a.example: the DNS server "+dead+" cannot be asked: read: connection refused" {
		t.Errorf("got %v", err)
	}
}

// TestGoodServerFirst: a server that is dead or lies is asked once, not at each question, as long as another one answers.
func TestGoodServerFirst(t *testing.T) {
	dead, alive := newZone(t), newZone(t, platform...)
	dead.answers(func(_, a *dns.Msg) bool { a.Rcode = dns.RcodeServerFailure; return true })
	r, _ := newResolver(t, dead, func(c *Config) { c.Servers = append(c.Servers, alive.addr) })
	if got, _, err := r.Lookup(t.Context(), Query{Host: "platform.example"}); len(got) != 4 || err != nil || dead.total() != 1 {
		t.Errorf("got %s, %v, %d questions to the dead server", short(got), err, dead.total())
	}
	alive.answers(func(_, a *dns.Msg) bool { a.Rcode = dns.RcodeServerFailure; return true })
	dead.answers(nil)
	dead.set("other.example. 60 IN A 192.0.2.1")
	if got, _, err := r.Addrs(t.Context(), "other.example"); len(got) != 1 || err != nil {
		t.Errorf("the other way round: %v, %v", got, err)
	}
}

// TestRandom: ids and ports of queries do not repeat (RFC 5452).
func TestRandom(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	const n = 50
	ids, ports := map[uint16]bool{}, map[int]bool{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range n {
			b := make([]byte, 512)
			size, from, err := packets.ReadFrom(b)
			var m dns.Msg
			if err != nil || m.Unpack(b[:size]) != nil {
				return
			}
			ids[m.Id], ports[from.(*net.UDPAddr).Port] = true, true
			if answer, err := new(dns.Msg).SetReply(&m).Pack(); err == nil {
				_, _ = packets.WriteTo(answer, from)
			}
		}
	}()
	r, _ := newResolver(t, &zone{addr: packets.LocalAddr().String()})
	for range n {
		if _, err := r.send(t.Context(), "udp", packets.LocalAddr().String(), question{"a.example.", dns.TypeA}); err != nil {
			t.Fatal(err)
		}
	}
	<-ended
	if len(ids) < n-3 || len(ports) < n/2 {
		t.Errorf("%d queries with %d ids and %d ports", n, len(ids), len(ports))
	}
}

// TestOldServers: who knows no NAPTR and SRV has none.
func TestOldServers(t *testing.T) {
	z := newZone(t, "a.example. 60 IN A 192.0.2.1")
	z.answers(func(m, a *dns.Msg) bool {
		if k := m.Question[0].Qtype; k != dns.TypeA {
			a.Rcode = dns.RcodeNotImplemented
		}
		return true
	})
	r, _ := newResolver(t, z)
	if got, _, err := r.Lookup(t.Context(), Query{Host: "a.example"}); short(got) != "0/0 udp:192.0.2.1:5060" || err != nil {
		t.Errorf("got %s, %v", short(got), err)
	}
}
