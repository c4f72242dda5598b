package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

func oneTCP(at string) Config { return Config{Listen: []Listen{tcp(edge.Outside, at)}, Workers: 2} }

func TestTCPMessages(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			st := &stage{}
			s := serve(t, oneTCP(at), st)
			c := dialTCP(t, s.Listeners()[0].Addr)
			// Pipelined in one write, with line ends between, then one in pieces.
			fmt.Fprint(c, message("a", 0)+"\r\n"+message("b", 100))
			for piece := message("c", 9000); piece != ""; {
				n := min(len(piece), 700)
				fmt.Fprint(c, piece[:n])
				piece = piece[n:]
			}
			for _, want := range []string{message("a", 0), message("b", 100), message("c", 9000)} {
				got := st.next(t, "receive")
				if got.bytes != want {
					t.Fatalf("got %.90q (%d bytes), want %.90q", got.bytes, len(got.bytes), want)
				}
				if got.flow.Conn == 0 || got.flow.Remote != c.LocalAddr().(*net.TCPAddr).AddrPort() || got.flow.Transport != edge.TCP {
					t.Errorf("flow %+v", got.flow)
				}
				if !s.Alive(got.flow) {
					t.Error("not alive")
				}
			}
		})
	}
}

func TestTCPByteByByte(t *testing.T) {
	st := &stage{}
	s := serve(t, oneTCP("127.0.0.1:0"), st)
	c := dialTCP(t, s.Listeners()[0].Addr)
	for _, b := range []byte(message("slow", 50)) {
		_, _ = c.Write([]byte{b})
	}
	if got := st.next(t, "receive"); got.bytes != message("slow", 50) {
		t.Errorf("got %q", got.bytes)
	}
}

// Replies leave in the order of Send, on the connection the request came by.
func TestTCPEchoInOrder(t *testing.T) {
	s := serve(t, oneTCP("127.0.0.1:0"), &stage{on: echo})
	c := dialTCP(t, s.Listeners()[0].Addr)
	const total = 500
	go func() {
		for i := range total {
			fmt.Fprint(c, message(fmt.Sprint(i), i))
		}
	}()
	for i := range total {
		want := message(fmt.Sprint(i), i)
		if got := readAll(t, c, len(want)); got != want {
			t.Fatalf("%d: got %q", i, got)
		}
	}
	eventually(t, "all counted", func() bool { return s.Counters().MessagesOut == total })
}

func TestPing(t *testing.T) {
	s := serve(t, oneTCP("127.0.0.1:0"), &stage{on: echo})
	c := dialTCP(t, s.Listeners()[0].Addr)
	fmt.Fprint(c, "\r\n\r\n")
	if got := readAll(t, c, 2); got != "\r\n" {
		t.Errorf("got %q", got)
	}
	m := message("after", 3)
	fmt.Fprint(c, m)
	if got := readAll(t, c, len(m)); got != m {
		t.Errorf("got %q", got)
	}
}

// What cannot be framed is answered, then the connection is closed; what follows is never taken for a message.
func TestRefusedFrame(t *testing.T) {
	st := &stage{onErr: func(o *Out, from edge.Flow) { _ = o.Send([]byte("SIP/2.0 400 Bad\r\n\r\n"), from) }}
	s := serve(t, oneTCP("127.0.0.1:0"), st)
	c := dialTCP(t, s.Listeners()[0].Addr)
	bad := strings.Replace(message("bad", 0), "Content-Length: 0", "Content-Length: 4294967296", 1)
	fmt.Fprint(c, message("good", 0)+bad+message("smuggled", 0)+strings.Repeat("z", 100_000))
	if got := st.next(t, "receive"); got.bytes != message("good", 0) {
		t.Errorf("got %q", got.bytes)
	}
	refused := st.next(t, "refused")
	if _, ok := errors.AsType[sip.Error](refused.err); !ok || !strings.HasPrefix(refused.bytes, bad[:60]) {
		t.Errorf("refused %v %.60q", refused.err, refused.bytes)
	}
	all, err := io.ReadAll(c)
	if err != nil || string(all) != "SIP/2.0 400 Bad\r\n\r\n" {
		t.Errorf("read %q, %v", all, err)
	}
	eventually(t, "closed", func() bool { return s.Counters().ConnectionsOpen == 0 })
	if len(st.calls) != 0 || s.Counters().RefusedFrames != 1 {
		t.Errorf("%d more calls, counters %+v", len(st.calls), s.Counters())
	}
	if s.Alive(refused.flow) {
		t.Error("alive after close")
	}
}

// A message that is framed, but that the lane finds in doubt, is answered by the lane; nothing behind it is read.
func TestDoubtfulMessage(t *testing.T) {
	st := &stage{doubt: sip.ErrControl}
	st.on = func(o *Out, b []byte, from edge.Flow) {
		_ = o.Send([]byte("SIP/2.0 400 Bad\r\n\r\n"), from)
		st.calls <- seen{what: "receive", bytes: string(b), flow: from}
	}
	s := serve(t, oneTCP("127.0.0.1:0"), st)
	c := dialTCP(t, s.Listeners()[0].Addr)
	fmt.Fprint(c, message("doubtful", 0)+message("smuggled", 0)+strings.Repeat("z", 100_000))
	if got := st.next(t, "receive"); got.bytes != message("doubtful", 0) {
		t.Errorf("got %q", got.bytes)
	}
	if all, err := io.ReadAll(c); err != nil || string(all) != "SIP/2.0 400 Bad\r\n\r\n" {
		t.Errorf("read %q, %v", all, err)
	}
	eventually(t, "closed", func() bool { return s.Counters().ConnectionsOpen == 0 })
	if len(st.calls) != 0 || s.Counters().RefusedFrames != 1 {
		t.Errorf("%d more calls, counters %+v", len(st.calls), s.Counters())
	}
}

func TestTooLargeMessage(t *testing.T) {
	st := &stage{}
	cfg := oneTCP("127.0.0.1:0")
	cfg.MaxMessage = 10_000
	s := serve(t, cfg, st)
	fmt.Fprint(dialTCP(t, s.Listeners()[0].Addr), strings.TrimSuffix(message("x", 0), "\r\n")+strings.Repeat("X-Field: value\r\n", 1000))
	if got := st.next(t, "refused"); !errors.Is(got.err, sip.ErrTooLarge) || len(got.bytes) > 10_000+firstBuffer {
		t.Errorf("refused %v with %d bytes", got.err, len(got.bytes))
	}
}

// A message that arrives too slowly, and a connection that says nothing, are closed after ReadTimeout; one that has spoken
// stays until IdleTimeout.
func TestDeadlines(t *testing.T) {
	short, long := 150*time.Millisecond, 10*time.Minute
	for name, c := range map[string]struct {
		read, idle time.Duration
		exempt     bool
		write      string
		drip       bool
		want       func(Counters) uint64
	}{
		"drip":              {short, long, false, message("a", 0), true, func(c Counters) uint64 { return c.ReadTimeouts }},
		"drip of exempt":    {short, long, true, "", true, func(c Counters) uint64 { return c.ReadTimeouts }},
		"half a message":    {short, long, false, message("a", 0) + "OPTIONS sip:", false, func(c Counters) uint64 { return c.ReadTimeouts }},
		"silent":            {short, long, false, "", false, func(c Counters) uint64 { return c.ReadTimeouts }},
		"silent exempt":     {short, 2 * short, true, "", false, func(c Counters) uint64 { return c.IdleTimeouts }},
		"idle after one":    {long, short, false, message("a", 0), false, func(c Counters) uint64 { return c.IdleTimeouts }},
		"pings, no message": {short, long, false, "\r\n\r\n", false, func(c Counters) uint64 { return c.ReadTimeouts }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := oneTCP("127.0.0.1:0")
			cfg.ReadTimeout, cfg.IdleTimeout = c.read, c.idle
			cfg.Exempt = func(netip.Addr) bool { return c.exempt }
			s := serve(t, cfg, &stage{})
			conn := dialTCP(t, s.Listeners()[0].Addr)
			fmt.Fprint(conn, c.write)
			if c.drip {
				go func() {
					for _, b := range []byte(message("drip", 3000)) {
						if _, err := conn.Write([]byte{b}); err != nil {
							return
						}
						time.Sleep(5 * time.Millisecond)
					}
				}()
			}
			_, _ = io.Copy(io.Discard, conn) // until closed
			eventually(t, "counted", func() bool { return c.want(s.Counters()) == 1 && s.Counters().ConnectionsOpen == 0 })
		})
	}
}

// Traffic in either direction keeps a connection from being idle.
func TestWritingKeepsAlive(t *testing.T) {
	st := &stage{}
	s := serve(t, oneTCP("127.0.0.1:0"), st)
	c := dialTCP(t, s.Listeners()[0].Addr)
	fmt.Fprint(c, message("a", 0))
	flow := st.next(t, "receive").flow
	conn := s.conns.find(flow)
	read := conn.active.Load()
	o := s.NewOut()
	_ = o.Send([]byte("x"), flow)
	o.Flush()
	readAll(t, c, 1)
	eventually(t, "writing counts as activity", func() bool { return conn.active.Load() > read })

	rd := &streamReader{c: conn, proven: true}
	last, idle := time.Unix(0, conn.active.Load()), s.cfg.IdleTimeout
	if !rd.patient(last.Add(idle - 1)) {
		t.Error("closed although written to in time")
	}
	if rd.patient(last.Add(idle)) || s.Counters().IdleTimeouts != 1 {
		t.Error("kept although idle")
	}
}

// A registered phone is called over the connection that it keeps: that it says nothing for long is no reason to close it.
func TestIdleConnectionOfAPhone(t *testing.T) {
	st := &stage{}
	cfg := oneTCP("127.0.0.1:0")
	var live atomic.Bool
	live.Store(true)
	cfg.Exempt = func(netip.Addr) bool { return live.Load() }
	s := serve(t, cfg, st)
	c := dialTCP(t, s.Listeners()[0].Addr)
	fmt.Fprint(c, message("a", 0))
	rd := &streamReader{c: s.conns.find(st.next(t, "receive").flow), proven: true, spoken: true}
	at := time.Unix(0, rd.c.active.Load())
	for range 3 {
		if at = at.Add(s.cfg.IdleTimeout); !rd.patient(at) {
			t.Fatal("closed although its binding is live")
		}
	}
	live.Store(false)
	if rd.patient(at.Add(s.cfg.IdleTimeout)) || s.Counters().IdleTimeouts != 1 {
		t.Error("kept although the binding is gone")
	}
}

// A far end that does not read stalls its own connection only, and loses it.
func TestBlockedReader(t *testing.T) {
	st := &stage{on: func(o *Out, b []byte, from edge.Flow) {
		for range 20 {
			_ = o.Send([]byte(strings.Repeat("r", 5000)), from)
		}
	}}
	cfg := oneTCP("127.0.0.1:0")
	cfg.WriteTimeout = time.Minute
	s := serve(t, cfg, st)
	blocked := dialTCP(t, s.Listeners()[0].Addr)
	_ = blocked.SetReadBuffer(4096)
	go func() {
		for {
			if _, err := fmt.Fprint(blocked, message("more", 0)); err != nil {
				return
			}
		}
	}()
	eventually(t, "overflow", func() bool { return s.Counters().QueueOverflows == 1 })
	if u := st.next(t, "undelivered"); len(u.bytes) != noticeBytes || u.err == nil {
		t.Errorf("undelivered %d bytes, %v", len(u.bytes), u.err)
	}
	other := dialTCP(t, s.Listeners()[0].Addr)
	fmt.Fprint(other, message("one", 0))
	readAll(t, other, 20*5000)
}

func TestWriteTimeout(t *testing.T) {
	st := &stage{}
	cfg := oneTCP("127.0.0.1:0")
	cfg.WriteTimeout = 200 * time.Millisecond
	s := serve(t, cfg, st)
	c := dialTCP(t, s.Listeners()[0].Addr)
	_ = c.SetReadBuffer(4096)
	fmt.Fprint(c, message("a", 0))
	flow := st.next(t, "receive").flow
	o := s.NewOut()
	conn := s.conns.find(flow)
	for s.Alive(flow) { // write until nothing moves, and no more than the queue holds
		if conn.queued() < 100_000 {
			_ = o.Send(make([]byte, 20_000), flow)
			o.Flush()
		}
		time.Sleep(time.Millisecond)
	}
	if u := st.next(t, "undelivered"); u.flow != flow || !isTimeout(u.err) {
		t.Errorf("undelivered to %v: %v", u.flow, u.err)
	}
	if n := s.Counters(); n.WriteErrors != 1 || n.QueueOverflows != 0 {
		t.Errorf("counted %+v", n)
	}
}

// Answers that are queued when the far end closes its sending half still leave.
func TestHalfClose(t *testing.T) {
	s := serve(t, oneTCP("127.0.0.1:0"), &stage{on: echo})
	c := dialTCP(t, s.Listeners()[0].Addr)
	m := message("last", 5000)
	fmt.Fprint(c, m)
	_ = c.CloseWrite()
	if all, err := io.ReadAll(c); err != nil || string(all) != m {
		t.Errorf("read %d bytes, %v", len(all), err)
	}
}

// A bug in the framing costs connections, and not the seats that all of them share.
func TestPanicOfAFramerKeepsItsSeat(t *testing.T) {
	st := &stage{}
	s := serve(t, oneTCP("127.0.0.1:0"), st)
	c := dialTCP(t, s.Listeners()[0].Addr)
	fmt.Fprint(c, message("a", 0))
	conn := s.conns.find(st.next(t, "receive").flow)
	for range 2 * cap(s.seats) {
		rd := &streamReader{c: conn, buf: make([]byte, 8)} // its framer is nil
		if s.survived(func() { _ = rd.arrived(1, time.Now()) }) {
			t.Fatal("no panic: the test tests nothing")
		}
	}
	fmt.Fprint(c, message("b", 0))
	st.next(t, "receive")
}
