package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

func TestUDPEcho(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, workers := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%s workers %d", at, workers), func(t *testing.T) {
				s := serve(t, Config{Listen: []Listen{udp(edge.Outside, at)}, Workers: workers}, &stage{on: echo})
				for range 8 { // several sources, so that several workers are chosen
					c := dialUDP(t, s.Listeners()[0].Addr)
					fmt.Fprint(c, "hello there")
					if got := readAll(t, c, 11); got != "hello there" {
						t.Errorf("got %q", got)
					}
				}
			})
		}
	}
}

// Ten thousand datagrams with a window of 64 in flight: none may be lost, and each far end sees them in order.
func TestUDPNoLossInOrder(t *testing.T) {
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0")}, Workers: 2}, &stage{on: echo})
	const total, window = 10_000, 64
	c := dialUDP(t, s.Listeners()[0].Addr)
	b := make([]byte, 2048)
	for sent, got := 0, 0; got < total; got++ {
		for ; sent < total && sent-got < window; sent++ {
			fmt.Fprintf(c, "datagram %d %s", sent, strings.Repeat(".", sent%1000))
		}
		n, err := c.Read(b)
		if err != nil {
			t.Fatalf("after %d: %v", got, err)
		}
		if want := fmt.Sprintf("datagram %d %s", got, strings.Repeat(".", got%1000)); string(b[:n]) != want {
			t.Fatalf("got %q, want number %d", b[:n], got)
		}
	}
	eventually(t, "every packet is counted, in and out, and once", func() bool { // the last may be here before its worker counts it
		return s.Counters().PacketsIn == total && s.Counters().PacketsOut == total
	})
}

// A request that a worker sends inside by its spread socket is answered to that socket, and read by the same worker.
func TestSpread(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) { testSpread(t, at) })
	}
}

func testSpread(t *testing.T, at string) {
	st := &stage{}
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, at), udp(edge.Inside, at)}, Workers: 3}, st)
	ls := s.Listeners()
	if len(ls) != 5 || ls[1].Spread || !ls[2].Spread || !ls[4].Spread || ls[2].Side != edge.Inside {
		t.Fatalf("listeners %+v", ls)
	}
	platform, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr(at)))
	if err != nil {
		t.Fatal(err)
	}
	defer platform.Close()
	_ = platform.SetDeadline(time.Now().Add(patience))
	remote := platform.LocalAddr().(*net.UDPAddr).AddrPort()
	used := map[uint16]bool{}
	for i := range 40 {
		fmt.Fprint(dialUDP(t, ls[0].Addr), "from outside")
		in := st.next(t, "receive")
		f, ok := in.out.Route(edge.Inside, edge.UDP, remote)
		if !ok || !ls[f.Listener].Spread {
			t.Fatalf("route %+v %v", f, ok)
		}
		used[f.Listener] = true
		o := newOut(s, in.out.worker) // the lane's own belongs to its goroutine
		if err := o.Send([]byte("to inside"), f); err != nil {
			t.Fatal(err)
		}
		o.Flush()
		b := make([]byte, 100)
		_, from, err := platform.ReadFromUDPAddrPort(b)
		if err != nil || from != ls[f.Listener].Addr {
			t.Fatalf("%d: came from %v (%v), want %v", i, from, err, ls[f.Listener].Addr)
		}
		_, _ = platform.WriteToUDPAddrPort([]byte("reply"), from)
		back := st.next(t, "receive")
		if back.flow.Listener != f.Listener || back.out.worker != in.out.worker || back.flow.Side != edge.Inside {
			t.Fatalf("reply read by worker %d from %+v, want %d", back.out.worker, back.flow, in.out.worker)
		}
	}
	if len(used) < 2 {
		t.Errorf("40 sources used only spread sockets %v", used)
	}
}

func TestOneWorkerHasNoSpread(t *testing.T) {
	s := serve(t, Config{Listen: []Listen{udp(edge.Inside, "127.0.0.1:0")}, Workers: 1}, &stage{})
	f, ok := s.NewOut().Route(edge.Inside, edge.UDP, addr("127.0.0.1:5060"))
	if !ok || f.Listener != 0 || len(s.Listeners()) != 1 {
		t.Errorf("route %+v %v", f, ok)
	}
}

// An ICMP error for one far end is reported with what was sent, and the others get theirs.
func TestUndeliveredUDP(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, side := range []edge.Side{edge.Outside, edge.Inside} {
			t.Run(fmt.Sprint(at, side), func(t *testing.T) {
				st := &stage{}
				s := serve(t, Config{Listen: []Listen{udp(side, at)}, Workers: 1}, st)
				alive := dialUDP(t, s.Listeners()[0].Addr)
				shut := dialUDP(t, s.Listeners()[0].Addr)
				dead := shut.LocalAddr().(*net.UDPAddr).AddrPort()
				shut.Close()
				o := s.NewOut()
				flow := func(a netip.AddrPort) edge.Flow { return edge.Flow{Remote: a, Side: side} }
				for i := range 200 {
					_ = o.Send([]byte("to nobody"), flow(dead))
					_ = o.Send(fmt.Appendf(nil, "%04d", i), flow(alive.LocalAddr().(*net.UDPAddr).AddrPort()))
					o.Flush()
				}
				u := st.next(t, "undelivered")
				if u.bytes != "to nobody" || u.flow != flow(dead) || u.err == nil {
					t.Errorf("undelivered %+v", u)
				}
				for i := range 200 {
					if got := readAll(t, alive, 4); got != fmt.Sprintf("%04d", i) {
						t.Fatalf("%d: got %s", i, got)
					}
				}
				fmt.Fprint(alive, "still reading?")
				st.next(t, "receive")
			})
		}
	}
}

// What the kernel refuses at once (here: too large) does not hold up the datagrams behind it.
func TestSendRefusedByKernel(t *testing.T) {
	st := &stage{}
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, st)
	c := dialUDP(t, s.Listeners()[0].Addr)
	f := edge.Flow{Remote: c.LocalAddr().(*net.UDPAddr).AddrPort()}
	o := s.NewOut()
	for _, m := range []string{"first", strings.Repeat("x", 65_600), "second"} {
		if err := o.Send([]byte(m), f); err != nil {
			t.Fatal(err)
		}
	}
	o.Flush()
	if got := readAll(t, c, 5); got != "first" {
		t.Errorf("got %q", got)
	}
	if got := readAll(t, c, 6); got != "second" {
		t.Errorf("got %q", got)
	}
	if u := st.next(t, "undelivered"); len(u.bytes) != noticeBytes || u.flow != f {
		t.Errorf("undelivered %d bytes to %v", len(u.bytes), u.flow)
	}
	if n := s.Counters().SendErrors; n != 1 {
		t.Errorf("%d send errors", n)
	}
}

func TestSendErrors(t *testing.T) {
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0"), tcp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, &stage{})
	o := s.NewOut()
	ok := addr("127.0.0.1:9")
	for name, c := range map[string]struct {
		b    []byte
		to   edge.Flow
		want error
	}{
		"no listener":           {[]byte("x"), edge.Flow{Remote: ok, Listener: 7}, ErrGone},
		"transport differs":     {[]byte("x"), edge.Flow{Remote: ok, Transport: edge.TCP}, ErrGone},
		"family differs":        {[]byte("x"), edge.Flow{Remote: addr("[::1]:9")}, ErrGone},
		"stream family differs": {[]byte("x"), edge.Flow{Remote: addr("[::1]:9"), Listener: 1, Transport: edge.TCP}, ErrGone},
		"unknown connection":    {[]byte("x"), edge.Flow{Remote: ok, Listener: 1, Transport: edge.TCP, Conn: 99}, ErrGone},
		"no address":            {[]byte("x"), edge.Flow{}, ErrGone},
		"empty":                 {nil, edge.Flow{Remote: ok}, ErrTooLarge},
		"too large":             {make([]byte, 64<<10+headroom+1), edge.Flow{Remote: ok}, ErrTooLarge},
	} {
		if err := o.Send(c.b, c.to); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Send keeps apart what is from the arena, what is not, and one message sent twice.
func TestArena(t *testing.T) {
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0")}, Workers: 1, MaxMessage: 2048}, &stage{})
	a, b := dialUDP(t, s.Listeners()[0].Addr), dialUDP(t, s.Listeners()[0].Addr)
	fa := edge.Flow{Remote: a.LocalAddr().(*net.UDPAddr).AddrPort()}
	fb := edge.Flow{Remote: b.LocalAddr().(*net.UDPAddr).AddrPort()}
	o := s.NewOut()
	const rounds = 600 // more than the arena and the batch hold
	foreign := make([]byte, 0, 1000)
	for i := range rounds {
		m := fmt.Appendf(o.Buffer(), "shared %04d%s", i, strings.Repeat("s", 900))
		_, _ = o.Send(m, fa), o.Send(m, fb)
		foreign = fmt.Appendf(foreign[:0], "foreign %04d%s", i, strings.Repeat("f", 900))
		_ = o.Send(foreign, fa)
		if i%20 == 19 { // leave room in the far ends' buffers
			o.Flush()
			for j := i - 19; j <= i; j++ {
				if got, want := readAll(t, a, 911)[:11], fmt.Sprintf("shared %04d", j); got != want {
					t.Fatalf("a got %q, want %q", got, want)
				}
				if got, want := readAll(t, a, 912)[:12], fmt.Sprintf("foreign %04d", j); got != want {
					t.Fatalf("a got %q, want %q", got, want)
				}
				if got, want := readAll(t, b, 911)[:11], fmt.Sprintf("shared %04d", j); got != want {
					t.Fatalf("b got %q, want %q", got, want)
				}
			}
		}
	}
}

// A panic costs its message only.
func TestPanicInLane(t *testing.T) {
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, &stage{on: func(o *Out, b []byte, from edge.Flow) {
		if string(b) == "panic" {
			panic("on purpose")
		}
		echo(o, b, from)
	}})
	c := dialUDP(t, s.Listeners()[0].Addr)
	fmt.Fprint(c, "panic")
	fmt.Fprint(c, "after")
	if got := readAll(t, c, 5); got != "after" {
		t.Errorf("got %q", got)
	}
	if n := s.Counters().DroppedPanic; n != 1 {
		t.Errorf("counted %d panics", n)
	}
}

// Keep-alives, empty datagrams and those over the limit never reach a lane.
func TestUDPDropped(t *testing.T) {
	st := &stage{}
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0")}, Workers: 1, MaxMessage: 2048}, st)
	c := dialUDP(t, s.Listeners()[0].Addr)
	for _, m := range []string{"\r\n", "\r\n\r\n", "\x00\x00\x00\x00", "", strings.Repeat("x", 2049), strings.Repeat("y", 2048)} {
		_, _ = c.Write([]byte(m))
	}
	if got := st.next(t, "receive"); got.bytes != strings.Repeat("y", 2048) {
		t.Errorf("lane got %d bytes %.10q", len(got.bytes), got.bytes)
	}
	if c := s.Counters(); c.Keepalives != 4 || c.DroppedTooLarge != 1 {
		t.Errorf("counted %+v", c)
	}
}

// What the kernel loses because a reader does not keep up is counted.
func TestKernelDrops(t *testing.T) {
	hold := make(chan struct{})
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, &stage{on: func(*Out, []byte, edge.Flow) { <-hold }})
	c := dialUDP(t, s.Listeners()[0].Addr)
	m := make([]byte, 60_000)
	for range 400 { // 24 MB
		_, _ = c.Write(m)
	}
	if n := s.Counters().DroppedKernel; n == 0 {
		t.Error("no drop counted")
	}
	close(hold)
}
