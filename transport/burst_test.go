package transport

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A far end that reads as fast as it can loses neither message nor connection, however much comes for it at once: what others send does not
// keep the writer from the processor. Nobody can read while the machine stands still: where it did so for half of the time that a queue may be
// crowded, it begins anew.
func TestBurstForAReader(t *testing.T) {
	for try := 1; ; try++ {
		still := standstill()
		err := burstForAReader(t)
		switch longest := still(); {
		case err == nil:
			return
		case longest < burstTime/2 || try == 10:
			t.Fatalf("%v, try %d; the machine stood still for %v", err, try, longest)
		default:
			t.Logf("%v; the machine stood still for %v", err, longest)
		}
	}
}

// standstill measures for how long nothing here had a processor at the most, until what it returns is called.
func standstill() func() time.Duration {
	end, longest := make(chan struct{}), make(chan time.Duration)
	go func() {
		most, last := time.Duration(0), time.Now()
		for {
			select {
			case <-end:
				longest <- max(most, time.Since(last))
				return
			case <-time.After(5 * time.Millisecond):
				most, last = max(most, time.Since(last)), time.Now()
			}
		}
	}()
	return func() time.Duration {
		close(end)
		return <-longest
	}
}

func burstForAReader(t *testing.T) error {
	st := &stage{}
	s := serve(t, Config{Listen: []Listen{tcp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, st)
	to := dialTCP(t, s.Listeners()[0].Addr)
	fmt.Fprint(to, message("reader", 0))
	flow := st.next(t, "receive").flow
	st.on = func(o *Out, b []byte, _ edge.Flow) { _ = o.Send(append(o.Buffer(), b...), flow) }
	const bursts, each = 4, 1500 // all of it is less than what a queue may hold for a moment
	m := message("burst", 300)
	for range bursts {
		from := dialTCP(t, s.Listeners()[0].Addr)
		go func() { _, _ = io.WriteString(from, strings.Repeat(m, each)) }()
	}
	if n, err := io.CopyN(io.Discard, to, int64(bursts*each*len(m))); err != nil {
		return fmt.Errorf("%w after %d of %d messages: %d queues overflowed", err, int(n)/len(m), bursts*each, s.Counters().QueueOverflows)
	}
	return nil
}

// The queue of an open connection grows beyond its bounds for a moment only, and not without end.
func TestBurstIsBounded(t *testing.T) {
	s := serve(t, Config{Listen: []Listen{tcp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, &stage{})
	stuck := func(port int) *conn { // it is open, and its writer at work for ever
		c := s.conns.share(s.newConn(0, addr(fmt.Sprintf("127.0.0.1:%d", port)), true))
		c.state, c.writing = open, true
		return c
	}
	fill := func(c *conn, b []byte) (n int) { // in no time, however long that takes
		for c.enqueue(b) == nil {
			c.crowded = time.Now()
			n++
		}
		return n
	}
	many := stuck(9)
	n := fill(many, []byte("x"))
	if n != burstFold*queueMessages || many.state != closed {
		t.Errorf("it is full after %d messages, want %d", n, burstFold*queueMessages)
	}
	large := stuck(10)
	if n = fill(large, make([]byte, 50_000)); n != burstFold*large.limit/50_000 {
		t.Errorf("it is full after %d messages of 50 kB", n)
	}
	long := stuck(11)
	for long.crowded.IsZero() {
		if err := long.enqueue([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	long.crowded = long.crowded.Add(-burstTime)
	if err := long.enqueue([]byte("x")); err != ErrFull || s.Counters().QueueOverflows != 3 {
		t.Errorf("%v after %v, and %d overflows", err, burstTime, s.Counters().QueueOverflows)
	}
}

// A connection whose queue several find full at once is closed once, and counted once.
func TestOverflowCountsOnce(t *testing.T) {
	s := serve(t, Config{Listen: []Listen{tcp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, &stage{})
	const far = 10
	for port := range far {
		c := s.conns.share(s.newConn(0, addr(fmt.Sprintf("127.0.0.1:%d", 1+port)), true))
		c.state, c.writing, c.crowded = open, true, time.Now().Add(-burstTime)
		for range queueMessages {
			c.put([]byte("x"))
		}
		var all sync.WaitGroup
		c.mu.Lock()
		for range 8 {
			all.Go(func() {
				if err := c.enqueue([]byte("x")); err != ErrFull && err != ErrGone {
					t.Errorf("a full queue took more: %v", err)
				}
			})
		}
		for range 3 { // one who has waited for a millisecond, and once in vain, has a mutex serve all in turn: they see the queue full before one closes it
			time.Sleep(2 * time.Millisecond)
			c.mu.Unlock()
			c.mu.Lock()
		}
		c.mu.Unlock()
		all.Wait()
	}
	if n := s.Counters().QueueOverflows; n != far {
		t.Errorf("%d overflows of %d connections", n, far)
	}
}

// Offer queues on an open connection with room, in the order of Send, and does nothing else: neither dials nor closes.
func TestOffer(t *testing.T) {
	st := &stage{}
	s := serve(t, Config{Listen: []Listen{tcp(edge.Outside, "127.0.0.1:0"), udp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, st)
	c := dialTCP(t, s.Listeners()[0].Addr)
	fmt.Fprint(c, message("a", 0))
	flow := st.next(t, "receive").flow
	o, other := s.NewOut(), s.NewOut()
	if !o.Offer([]byte("first "), flow) {
		t.Fatal("not taken")
	}
	if err := other.Send([]byte("second"), flow); err != nil {
		t.Fatal(err)
	}
	other.Flush()
	if got := readAll(t, c, 12); got != "first second" {
		t.Errorf("got %q", got)
	}
	conn := s.conns.find(flow)
	conn.mu.Lock()
	conn.writing = true // and nothing is written
	conn.mu.Unlock()
	n := 0
	for o.Offer([]byte("x"), flow) {
		n++
	}
	conn.mu.Lock()
	conn.writing = false
	conn.mu.Unlock()
	o.Flush()
	if n != queueMessages || !s.Alive(flow) || s.Counters().QueueOverflows != 0 {
		t.Errorf("%d queued, alive: %v", n, s.Alive(flow))
	}
	for what, to := range map[string]edge.Flow{
		"a new connection": {Remote: flow.Remote, Transport: edge.TCP}, "UDP": {Remote: flow.Remote, Listener: 1},
		"one that is gone": {Remote: flow.Remote, Transport: edge.TCP, Conn: 7},
	} {
		if o.Offer([]byte("x"), to) {
			t.Errorf("%s: taken", what)
		}
	}
}
