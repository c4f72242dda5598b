package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// Floods are made by a process of their own, this test binary once more, which yields to all others: so what the probes measure is what the
// edge does, and not that a flood shares its scheduler. An attacker has a machine of its own, too.

// floodEnv tells a process that it is the flood: "KIND ADDRESS NUMBERS".
const floodEnv = "RINGWALL_FLOOD"

// A flood is what one process does. It prints what there is to tell, then waits for the end of its standard input before it lets go.
type flood struct {
	to      netip.AddrPort
	numbers []int
}

// floods are the kinds.
var floods = map[string]func(flood){"crowd": flood.crowd, "storm": flood.storm, "bombs": flood.bombs, "forged": flood.forged, "hellos": flood.hellos, "spoofed": flood.spoofed}

// floodNow is what main does in the process of a flood.
func floodNow(spec string) {
	testPID = os.Getppid()
	words := strings.Fields(spec)
	f := flood{to: netip.MustParseAddrPort(words[1])}
	for _, word := range words[2:] {
		var n int
		fmt.Sscan(word, &n)
		f.numbers = append(f.numbers, n)
	}
	floods[words[0]](f)
}

// done tells what there is to tell, and waits for leave to go.
func (f flood) done(format string, args ...any) {
	fmt.Printf(format+"\n", args...)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// A flooding is a flood that has done its work, and holds what it holds.
type flooding struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
}

// flood lets a process flood the edge, and returns when it has done so.
func (s *siege) flood(kind string, numbers ...int) *flooding {
	s.Helper()
	to := s.edge.Outside
	if kind == "hellos" {
		to = s.edge.TLS
	}
	return floodFrom(s.T, nil, kind, to, numbers...)
}

// floodFrom lets a process flood an address, one that is started by a command (of a host, or none), and returns when it has done so.
func floodFrom(t *testing.T, within []string, kind string, to netip.AddrPort, numbers ...int) *flooding {
	t.Helper()
	args := append(within, os.Args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), floodEnv+"="+kind+" "+to.String()+" "+strings.Trim(fmt.Sprint(numbers), "[]"))
	cmd.Stderr = os.Stderr
	stdin, _ := cmd.StdinPipe()
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, 10)
	told, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Errorf("the flood ended: %v", err)
	}
	t.Log(strings.TrimSpace(told))
	return &flooding{t, cmd, stdin}
}

// over lets the flood go.
func (f *flooding) over() {
	f.t.Helper()
	f.stdin.Close()
	if err := f.cmd.Wait(); err != nil {
		f.t.Errorf("the flood: %v", err)
	}
}

// dialFrom connects from ip, nil if that fails.
func dialFrom(ip string, to netip.AddrPort) *net.TCPConn {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 2 * siptest.Deadline, KeepAlive: -1}
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		return nil
	}
	return c.(*net.TCPConn)
}

// testPID is the process whose user agents siptest.OwnIP serves.
var testPID = os.Getpid()

// foreign returns the n-th loopback address that no user agent of the test has.
func foreign(n int) string {
	base := 1 + (1+testPID%250+100)%230
	return fmt.Sprintf("127.%d.%d.%d", base+n/62500%16, n/250%250, 1+n%250)
}

// many runs work(0) to work(n-1) on some goroutines.
func many(n int, work func(i int)) {
	const abreast = 32
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, abreast) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				work(int(i))
			}
		})
	}
	all.Wait()
}

// crowd lets sources hold connections each, for seconds: silent, with half a message, with one dripped byte by byte, with one whole one, with
// 60 KB of one. What is closed is made again within a second.
func (f flood) crowd() {
	sources, each, seconds := f.numbers[0], f.numbers[1], f.numbers[2]
	held := make([]*holder, sources*each)
	for i := range held {
		held[i] = &holder{to: f.to, ip: foreign(i % sources), kind: i / sources % 5}
	}
	began := time.Now()
	var first time.Duration
	for round := range seconds {
		many(len(held), func(i int) { held[i].keep() })
		if round == 0 {
			first = time.Since(began)
		}
		time.Sleep(time.Until(began.Add(time.Duration(round+1) * time.Second)))
	}
	made, alive := 0, 0
	for _, h := range held {
		made += h.made
		if h.conn != nil {
			alive++
		}
	}
	f.done("%d connections tried in %v, %d made in all, %d stand after %v", len(held), first.Round(time.Millisecond), made, alive,
		time.Since(began).Round(time.Millisecond))
	many(len(held), func(i int) { held[i].drop(i%2 == 0) })
}

// A holder is one connection of a crowd.
type holder struct {
	to   netip.AddrPort
	ip   string
	kind int
	conn *net.TCPConn
	sent int
	made int
}

// large is a request of 60 KB.
var large = strings.Replace(string(plainRequest("OPTIONS", "tcp", "large", "")), "Content-Length: 0\r\n\r\n",
	"Content-Length: 60000\r\n\r\n"+strings.Repeat("x", 60000), 1)

// keep makes the connection, or sends what it sends slowly, and notices that it has been closed.
func (h *holder) keep() {
	if h.conn == nil {
		if h.conn = dialFrom(h.ip, h.to); h.conn == nil {
			return
		}
		h.made++
		h.sent = 0
		var first string
		switch h.kind {
		case 1:
			first = large[:100]
		case 3:
			first = string(plainRequest("OPTIONS", "tcp", "quiet"+siptest.ID(), ""))
		case 4:
			first = large[:len(large)-1]
		}
		h.write(first)
		return
	}
	_ = h.conn.SetReadDeadline(time.Now().Add(time.Microsecond))
	if _, err := h.conn.Read(make([]byte, 4096)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		h.drop(true)
		return
	}
	if h.kind == 2 && h.sent < len(large) {
		h.write(large[h.sent : h.sent+1])
		h.sent++
	}
}

func (h *holder) write(text string) {
	_ = h.conn.SetWriteDeadline(time.Now().Add(siptest.Deadline))
	if _, err := h.conn.Write([]byte(text)); err != nil {
		h.drop(true)
	}
}

// drop closes the connection, with a reset or without.
func (h *holder) drop(reset bool) {
	if h.conn == nil {
		return
	}
	if reset {
		_ = h.conn.SetLinger(0)
	}
	h.conn.Close()
	h.conn = nil
}

// storm makes connections, sends ten INVITEs on each, and resets it.
func (f flood) storm() {
	began := time.Now()
	var sent atomic.Int64
	many(f.numbers[0], func(i int) {
		c := dialFrom(foreign(i%1000), f.to)
		if c == nil {
			return
		}
		var all bytes.Buffer
		for range 10 {
			all.Write(plainRequest("INVITE", "tcp", "storm"+siptest.ID(), ""))
		}
		_ = c.SetWriteDeadline(time.Now().Add(siptest.Deadline))
		if _, err := c.Write(all.Bytes()); err == nil {
			sent.Add(10)
		}
		_ = c.SetLinger(0)
		c.Close()
	})
	f.done("%d INVITEs sent in %v", sent.Load(), time.Since(began).Round(time.Millisecond))
}

// bombs sends header fields without end, and one of a megabyte, and its like, over connections.
func (f flood) bombs() {
	start := large[:strings.Index(large, "Content-Length")]
	all := [...]string{
		start + strings.Repeat("X-Bomb: 1\r\n", 100_000),
		start + "X-Bomb: " + strings.Repeat("y", 1_000_000),
		start + strings.Repeat("Via: SIP/2.0/TCP a;branch=z9hG4bKb\r\n", 30_000),
		start + "Contact: <sip:a@b>" + strings.Repeat(",<sip:a@b>", 100_000),
		"INVITE sip:" + strings.Repeat("a", 1_000_000),
		strings.Repeat("\r\n", 500_000),
	}
	began := time.Now()
	many(f.numbers[0], func(i int) {
		c := dialFrom(foreign(i%1000), f.to)
		if c == nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(siptest.Deadline))
		_, _ = c.Write([]byte(all[i%len(all)])) // it is closed in the middle
	})
	f.done("%d bombs in %v", f.numbers[0], time.Since(began).Round(time.Millisecond))
}

// hellos begins TLS handshakes with a ClientHello of 60 KB, of which the end never comes.
func (f flood) hellos() {
	const record = 16_000
	hello := append([]byte{1, 0, 60_000 >> 8, 60_000 & 0xff}, make([]byte, 59_000)...)
	var wire []byte
	for len(hello) > 0 {
		n := min(record, len(hello))
		wire = append(append(wire, 22, 3, 1, byte(n>>8), byte(n)), hello[:n]...)
		hello = hello[n:]
	}
	began := time.Now()
	held := make([]*holder, f.numbers[0])
	many(len(held), func(i int) {
		held[i] = &holder{to: f.to, ip: foreign(i % 1000)}
		if held[i].conn = dialFrom(held[i].ip, f.to); held[i].conn != nil {
			held[i].write(string(wire))
		}
	})
	took := time.Since(began)
	time.Sleep(time.Duration(f.numbers[1]) * time.Second)
	f.done("%d handshakes begun in %v", len(held), took.Round(time.Millisecond))
	many(len(held), func(i int) { held[i].drop(i%2 == 0) })
}
