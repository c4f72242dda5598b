package smuggle

import (
	"bufio"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// A platform stands behind the edge, records every byte that reaches it, UDP and TCP, and answers every request that is
// canonical with 200.
type platform struct {
	addr  netip.AddrPort
	watch func(*arrival) // sees all that arrives, instead of the record of strays
	udp   *net.UDPConn
	tcp   net.Listener

	mu    sync.Mutex
	say   map[string]func(*arrival) string // answers other than 200, by id
	of    map[string][]*arrival            // by the ids that they hold
	over  map[string][]uint64              // hashes of what came with ids that are over
	stray []string                         // what holds no id, or cannot be framed
	conns []net.Conn
	ends  sync.WaitGroup
}

// ids are those of trials: what a caseID is replaced by.
var ids = regexp.MustCompile(`k[0-9]{7}`)

func newPlatform(t testing.TB) *platform {
	t.Helper()
	addr, err := siptest.FreeAddr(siptest.OwnIP())
	if err != nil {
		t.Fatal(err)
	}
	p := &platform{addr: addr, of: map[string][]*arrival{}, over: map[string][]uint64{}, say: map[string]func(*arrival) string{}}
	if p.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr)); err != nil {
		t.Fatal(err)
	}
	if p.tcp, err = net.Listen("tcp", addr.String()); err != nil {
		t.Fatal(err)
	}
	_ = p.udp.SetReadBuffer(4 << 20)
	p.ends.Go(p.datagrams)
	p.ends.Go(p.connections)
	t.Cleanup(p.close)
	return p
}

func (p *platform) close() {
	p.udp.Close()
	p.tcp.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.ends.Wait()
}

func (p *platform) datagrams() {
	b := make([]byte, 1<<16)
	for {
		n, from, err := p.udp.ReadFromUDPAddrPort(b)
		if n > 0 {
			p.receive(string(b[:n]), "udp", func(reply string) { _, _ = p.udp.WriteToUDPAddrPort([]byte(reply), from) })
		} else if err != nil {
			if _, err := p.udp.SyscallConn(); err != nil || !p.open() {
				return
			}
		}
	}
}

// open reports whether the UDP socket is not closed.
func (p *platform) open() bool { return p.udp.SetReadBuffer(4<<20) == nil }

func (p *platform) connections() {
	for {
		c, err := p.tcp.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns = append(p.conns, c)
		p.mu.Unlock()
		p.ends.Go(func() { p.stream(c) })
	}
}

// stream takes a connection apart by the one Content-Length that each header must have. What is left at its end is stray.
func (p *platform) stream(c net.Conn) {
	defer c.Close()
	var wmu sync.Mutex
	r := bufio.NewReader(c)
	for {
		raw, err := readMessage(r)
		if err != nil {
			if raw != "" {
				p.strayed(raw)
			}
			return
		}
		p.receive(raw, "tcp", func(reply string) {
			wmu.Lock()
			defer wmu.Unlock()
			_, _ = io.WriteString(c, reply)
		})
	}
}

// readMessage reads one message, or what there is of it with an error.
func readMessage(r *bufio.Reader) (string, error) {
	var head strings.Builder
	length := -1
	for {
		line, err := r.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			return head.String(), err
		}
		if line == "\r\n" {
			break
		}
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(v, "\r\n"))
			if err != nil || n < 0 || n > 1<<16 || length >= 0 {
				return head.String(), fmt.Errorf("Content-Length %q", v)
			}
			length = n
		}
	}
	if length < 0 {
		return head.String(), fmt.Errorf("no Content-Length")
	}
	body := make([]byte, length)
	n, err := io.ReadFull(r, body)
	return head.String() + string(body[:n]), err
}

func (p *platform) strayed(raw string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stray = append(p.stray, raw)
}

// receive records one message and answers it. The edge's own OPTIONS have no id and one Via.
func (p *platform) receive(raw, over string, reply func(string)) {
	a := read(raw, over)
	found := ids.FindAllString(raw, -1)
	slices.Sort(found)
	p.mu.Lock()
	for _, id := range slices.Compact(found) {
		hashes, done := p.over[id]
		switch {
		case done && !slices.Contains(hashes, a.hash()):
			p.stray = append(p.stray, raw)
		case !done && !slices.ContainsFunc(p.of[id], func(b *arrival) bool { return b.raw == raw }): // else a retransmission
			p.of[id] = append(p.of[id], a)
		}
	}
	probe := strings.HasPrefix(raw, "OPTIONS ") && len(a.all("via")) == 1
	watched := p.watch != nil
	answer := func(a *arrival) string { return a.reply(200) }
	if len(found) > 0 && p.say[found[0]] != nil {
		answer = p.say[found[0]]
	}
	if len(found) == 0 && !probe && !watched && !strings.HasPrefix(raw, "SIP/2.0 ") {
		p.stray = append(p.stray, raw)
	}
	p.mu.Unlock()
	if watched {
		p.watch(a)
	}
	if len(a.faults) == 0 && !strings.HasPrefix(raw, "ACK ") && !strings.HasPrefix(raw, "SIP/2.0 ") {
		reply(answer(a))
	}
}

// answerWith lets requests with id be answered by say.
func (p *platform) answerWith(id string, say func(*arrival) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.say[id] = say
}

// reply is an answer to a.
func (a *arrival) reply(status int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d So\r\n", status)
	for _, f := range a.fields {
		switch name := spelled(f.name); name {
		case "via", "from", "to", "call-id", "cseq", "record-route", "contact":
			b.WriteString(f.name + ": " + f.value)
			if name == "to" && !strings.Contains(f.value, ";tag=") {
				b.WriteString(";tag=platform")
			}
			if name == "contact" && strings.HasPrefix(a.start, "REGISTER ") {
				b.WriteString(";expires=3600")
			}
			b.WriteString("\r\n")
		}
	}
	return b.String() + "Content-Length: 0\r\n\r\n"
}

// arrived lists what came with id.
func (p *platform) arrived(id string) []*arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.of[id])
}

// finish forgets what came with id: what comes now and is no retransmission is stray.
func (p *platform) finish(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over[id] = nil
	for _, a := range p.of[id] {
		p.over[id] = append(p.over[id], a.hash())
	}
	delete(p.of, id)
}

var seed = maphash.MakeSeed()

func (a *arrival) hash() uint64 { return maphash.String(seed, a.raw) }

// takeStrays returns what came and belongs to no trial since it was last called.
func (p *platform) takeStrays() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.stray
	p.stray = nil
	return taken
}

// strays lists what came and belongs to nothing.
func (p *platform) strays() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.stray)
}
