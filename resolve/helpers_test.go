package resolve

import (
	"net"

	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A zone is a DNS server on loopback that says what a test tells it to.
type zone struct {
	t    *testing.T
	addr string

	mu      sync.Mutex
	records map[question][]dns.RR
	handle  func(m, answer *dns.Msg) bool // if set, changes answer; false: say nothing
	asked   map[question]int
	tcp     int // queries over TCP
}

// newZone starts a server with records in master file form.
func newZone(t *testing.T, records ...string) *zone {
	z := &zone{t: t, records: map[question][]dns.RR{}, asked: map[question]int{}}
	z.set(records...)
	packets, stream := listen(t)
	z.addr = packets.LocalAddr().String()
	for _, server := range []*dns.Server{{PacketConn: packets}, {Listener: stream}} {
		server.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) { z.serve(w, m, server.Listener != nil) })
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		ended := make(chan struct{})
		go func() { defer close(ended); _ = server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = server.Shutdown(); <-ended })
	}
	return z
}

// listen binds one port for UDP and TCP.
func listen(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if stream, err := net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets, stream
		}
		packets.Close() // another program has that port of TCP
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

// set replaces all records.
func (z *zone) set(records ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	clear(z.records)
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			z.t.Fatalf("%s: %v", text, err)
		}
		q := question{dns.CanonicalName(rr.Header().Name), rr.Header().Rrtype}
		z.records[q] = append(z.records[q], rr)
	}
}

// answers lets f change every answer; false: no answer at all.
func (z *zone) answers(f func(m, answer *dns.Msg) bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.handle = f
}

func (z *zone) serve(w dns.ResponseWriter, m *dns.Msg, tcp bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	answer := new(dns.Msg).SetReply(m)
	answer.RecursionAvailable = true
	if tcp {
		z.tcp++
	}
	if len(m.Question) == 1 {
		q := question{dns.CanonicalName(m.Question[0].Name), m.Question[0].Qtype}
		z.asked[q]++
		z.fill(answer, q)
	}
	if z.handle != nil && !z.handle(m, answer) {
		return
	}
	if !tcp {
		answer.Truncate(payload)
	}
	if err := w.WriteMsg(answer); err != nil {
		z.t.Logf("answer: %v", err)
	}
}

// fill answers as a recursive server does: with all the aliases on the way.
func (z *zone) fill(answer *dns.Msg, q question) {
	for range 20 {
		if rrs := z.records[q]; len(rrs) > 0 {
			answer.Answer = append(answer.Answer, rrs...)
			return
		}
		alias := z.records[question{q.name, dns.TypeCNAME}]
		if len(alias) == 0 {
			break
		}
		answer.Answer = append(answer.Answer, alias...)
		q.name = dns.CanonicalName(alias[0].(*dns.CNAME).Target)
	}
	if len(answer.Answer) == 0 {
		answer.Rcode = dns.RcodeNameError
	}
}

// count returns how often a question came.
func (z *zone) count(name string, kind uint16) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked[question{dns.CanonicalName(name), kind}]
}

// total returns how many questions came.
func (z *zone) total() (n int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, c := range z.asked {
		n += c
	}
	return n
}

// A clock is moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// newResolver returns one that asks z and reads no file of the machine.
func newResolver(t *testing.T, z *zone, change ...func(*Config)) (*Resolver, *clock) {
	t.Helper()
	c := &clock{at: time.Unix(1_000_000, 0)}
	none := filepath.Join(t.TempDir(), "none")
	cfg := Config{Servers: []string{z.addr}, ResolvConf: none, Hosts: none, Timeout: 2 * time.Second, Now: c.now}
	for _, f := range change {
		f(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

// short is a target in a few characters: "0/10 udp:192.0.2.1:5060".
func short(targets []Target) string {
	var all []string
	for _, t := range targets {
		all = append(all, strings.TrimSpace(strconv.Itoa(t.Priority)+"/"+strconv.Itoa(t.Weight)+" "+t.Transport.String()+":"+t.Addr.String()))
	}
	return strings.Join(all, ", ")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
