package transport

import (
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringwall/ringwall/edge"
)

func TestMain(m *testing.M) {
	if to := os.Getenv(generatorEnv); to != "" {
		generate(to)
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for something that must come; it is never the thing asserted.
const patience = 20 * time.Second

// A seen is one call of a Lane.
type seen struct {
	what  string // "receive", "refused", "undelivered", "broken"
	bytes string
	flow  edge.Flow
	err   error
	out   *Out
}

// A stage collects what all lanes of a server see, and lets a test act as the proxy.
type stage struct {
	calls chan seen
	on    func(o *Out, b []byte, from edge.Flow) // Receive, if not nil
	doubt error                                  // what Receive returns
	onErr func(o *Out, from edge.Flow)           // Refused, if not nil
}

type fakeLane struct {
	stage *stage
	out   *Out
}

func (l *fakeLane) Receive(b []byte, from edge.Flow, _ time.Time) error {
	if l.stage.on != nil {
		l.stage.on(l.out, b, from)
		return l.stage.doubt
	}
	l.stage.calls <- seen{"receive", string(b), from, nil, l.out}
	return l.stage.doubt
}

func (l *fakeLane) Refused(b []byte, from edge.Flow, err error, _ time.Time) {
	if l.stage.onErr != nil {
		l.stage.onErr(l.out, from)
	}
	l.stage.calls <- seen{"refused", string(b), from, err, l.out}
}

func (l *fakeLane) Undelivered(b []byte, to edge.Flow, err error, _ time.Time) {
	l.stage.calls <- seen{"undelivered", string(b), to, err, l.out}
}

func (l *fakeLane) Broken(to edge.Flow, _ time.Time) {
	l.stage.calls <- seen{"broken", "", to, nil, l.out}
}

// next waits for the next call of the given kind, past others.
func (st *stage) next(t *testing.T, what string) seen {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case c := <-st.calls:
			if c.what == what {
				return c
			}
		case <-deadline:
			t.Fatalf("no %q came", what)
		}
	}
}

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func udp(side edge.Side, a string) Listen {
	return Listen{Side: side, Transport: edge.UDP, Addr: addr(a)}
}
func tcp(side edge.Side, a string) Listen {
	return Listen{Side: side, Transport: edge.TCP, Addr: addr(a)}
}

// serve opens cfg, serves it with lanes of st and closes it after the test.
func serve(t testing.TB, cfg Config, st *stage) *Server {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if st.calls == nil {
		st.calls = make(chan seen, 100_000)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(func(o *Out) Lane { return &fakeLane{st, o} })
	t.Cleanup(func() { s.Close() })
	return s
}

func echo(o *Out, b []byte, from edge.Flow) { _ = o.Send(append(o.Buffer(), b...), from) }

func dialUDP(t testing.TB, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func dialTCP(t testing.TB, to netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// message is a whole SIP message with a body of n bytes, marked with id.
func message(id string, n int) string {
	return "OPTIONS sip:b@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK" + id + "\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\n" +
		"To: <sip:b@127.0.0.1>\r\nCall-ID: " + id + "\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: " + itoa(n) + "\r\n\r\n" + strings.Repeat("x", n)
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func readAll(t testing.TB, c net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	return string(b)
}

// eventually waits for cond, which other goroutines bring about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after %v: %s", patience, what)
		}
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
