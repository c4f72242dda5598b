package transport

import (
	"io"
	"net"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// Far ends that do not read hold so much together, and no more; who reads, and the platform, goes on meanwhile.
func TestQueueBytes(t *testing.T) {
	st := &stage{}
	cfg := oneTCP("127.0.0.1:0")
	cfg.Listen = append(cfg.Listen, tcp(edge.Inside, "127.0.0.1:0"))
	cfg.QueueBytes = 1 << 20
	s := serve(t, cfg, st)
	o := s.NewOut()
	connect := func(side int) (net.Conn, edge.Flow) {
		c := dialTCP(t, s.Listeners()[side].Addr)
		_ = c.SetReadBuffer(4 << 10)
		_, _ = io.WriteString(c, message("hello", 0))
		return c, st.next(t, "receive").flow
	}
	send := func(to edge.Flow, n int) error {
		err := o.Send([]byte(message("m", n)), to)
		o.Flush()
		return err
	}
	var slow []edge.Flow
	for range 8 { // the kernel takes some of it, the rest stays
		_, flow := connect(0)
		slow = append(slow, flow)
	}
	reader, reading := connect(0)
	_, inside := connect(1)
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	closed := func() (n int) {
		for _, flow := range slow {
			if !s.Alive(flow) {
				n++
			}
		}
		return n
	}
	held := func() bool {
		n := s.Counters()
		return closed() > 0 && n.QueuesCrowded > 0 && n.QueueOverflows > 0
	}
	for round := 0; round < 400 || !held() && round < 20_000; round++ { // a kernel may take 64 MB of each and more
		for _, flow := range slow {
			_ = send(flow, 20<<10)
		}
		if n := s.queued.Load(); n < 0 || n > int64(cfg.QueueBytes) {
			t.Fatalf("%d bytes are queued", n)
		}
	}
	if n := s.Counters(); !held() {
		t.Errorf("%d closed, %d crowded, %d overflows", closed(), n.QueuesCrowded, n.QueueOverflows)
	}
	// What those held who are closed now is given back by their writers, which may take a moment.
	eventually(t, "who reads goes on", func() bool { return send(reading, 100) == nil && s.Alive(reading) })
	eventually(t, "the platform goes on", func() bool { return send(inside, 100) == nil })
	for _, flow := range slow {
		if c := s.conns.find(flow); c != nil {
			c.close(errClosed)
		}
	}
	eventually(t, "nothing is queued", func() bool { return s.queued.Load() == 0 })
}

// Above half of the bound the platform keeps what it has, however much that is; above all of it nobody gets more.
func TestShare(t *testing.T) {
	cfg := oneTCP("127.0.0.1:0")
	cfg.QueueBytes = 2 << 20
	s := serve(t, cfg, &stage{})
	stranger, platform, dialled := &conn{}, &conn{flow: edge.Flow{Side: edge.Inside}}, &conn{dialed: true}
	for _, c := range []struct {
		queued    int64
		c         *conn
		share     int // 0: any
		none      bool
		connected int
	}{
		{0, stranger, 0, false, 1}, {1<<20 - 10, stranger, 0, false, 4}, {1 << 20, stranger, 1 << 18, false, 4}, {1 << 20, platform, 0, false, 4},
		{1 << 20, dialled, 0, false, 4}, {2 << 20, stranger, 1 << 20, true, 0}, {2 << 20, platform, 0, true, 1}, {2 << 20, dialled, 0, true, 1},
	} {
		s.queued.Store(c.queued)
		s.conns.count = c.connected
		share, none := s.share(c.c, 10)
		if none != c.none || (share < 1<<40) != (c.share > 0) || c.share > 0 && share != c.share {
			t.Errorf("%+v: %d, %v", c, share, none)
		}
	}
	s.conns.count = 0
}

// What comes and goes leaves nothing in the account, on any framing.
func TestQueueAccount(t *testing.T) {
	s := serve(t, oneTCP("127.0.0.1:0"), &stage{on: echo})
	for range 4 {
		c := dialTCP(t, s.Listeners()[0].Addr)
		_, _ = io.WriteString(c, message("a", 9000)+message("b", 1)+"\r\n\r\n")
		readAll(t, c, len(message("a", 9000)+message("b", 1))+2)
		c.Close()
	}
	eventually(t, "nothing is queued", func() bool { return s.Counters().QueuedBytes == 0 && s.Counters().ConnectionsOpen == 0 })
}
