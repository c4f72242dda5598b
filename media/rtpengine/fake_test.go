package rtpengine

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// A fake is a server that answers as it is told, and the same again to a cookie that it has seen, as rtpengine does.
type fake struct {
	t    *testing.T
	conn *net.UDPConn

	mu     sync.Mutex
	answer func(command string, v value) string // a dictionary; "": silence
	seen   map[string]string                    // cookie to answer
	asked  []string                             // commands, pings and repetitions left out
	last   string                               // the last dictionary that was no ping
	copies int                                  // repetitions
}

// newFake starts one on an address of its own.
func newFake(t *testing.T) *fake {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(siptest.OwnIP())})
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, conn: conn, seen: map[string]string{}, answer: well}
	t.Cleanup(func() { _ = conn.Close() })
	go f.serve()
	return f
}

// well answers as a server in good health: the description it got, with a mark in its subject.
func well(command string, v value) string {
	switch command {
	case "ping":
		return "d6:result4:ponge"
	case "offer", "answer":
		sdp := bytes.Replace(v.get("sdp").str(), []byte("s=-"), []byte("s="+command), 1)
		return string(append(appendPair([]byte("d6:result2:ok"), "sdp", sdp), 'e'))
	}
	return "d6:result2:oke"
}

// silent answers nothing at all.
func silent(string, value) string { return "" }

func (f *fake) addr() netip.AddrPort { return f.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (f *fake) serve() {
	room := make([]byte, 65536)
	for {
		n, from, err := f.conn.ReadFromUDPAddrPort(room)
		if err != nil {
			return
		}
		if out := f.take(room[:n]); out != "" {
			_, _ = f.conn.WriteToUDPAddrPort([]byte(out), from)
		}
	}
}

// take returns what is answered to packet.
func (f *fake) take(packet []byte) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	cookie, dict, _ := bytes.Cut(packet, []byte{' '})
	v, err := check(dict)
	if err != nil {
		f.t.Errorf("%v: %q", err, packet)
		return ""
	}
	if out, again := f.seen[string(cookie)]; again {
		f.copies++
		return out
	}
	command := string(v.get("command").str())
	out := f.answer(command, v)
	if out != "" {
		out = string(cookie) + " " + out
	}
	f.seen[string(cookie)] = out
	if command != "ping" {
		f.asked, f.last = append(f.asked, command), string(dict)
	}
	return out
}

// will changes what the server answers.
func (f *fake) will(answer func(string, value) string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// commands is what was asked, in order.
func (f *fake) commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

// heard is the last dictionary that was no ping, and how many repetitions came.
func (f *fake) heard() (last string, copies int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last, f.copies
}

// A clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// A rig is a cluster of fakes whose time the test moves.
type rig struct {
	*Cluster
	t     *testing.T
	clock *clock
	fakes []*fake
	mu    sync.Mutex
	told  []bool // up or down, as Tell was called
}

func newRig(t *testing.T, n int, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, clock: &clock{now: time.Unix(1_800_000_000, 0)}}
	cfg := Config{Now: r.clock.Now, Tell: func(_ netip.AddrPort, up bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, up)
	}}
	for range n {
		f := newFake(t)
		r.fakes = append(r.fakes, f)
		cfg.Instances = append(cfg.Instances, f.addr())
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if r.Cluster, err = open(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.Cluster != nil {
			r.Close()
		}
	})
	return r
}

// pass lets time pass, and what is due then be done.
func (r *rig) pass(d time.Duration) {
	r.clock.mu.Lock()
	r.clock.now = r.clock.now.Add(d)
	r.clock.mu.Unlock()
	r.turn()
}

// settle waits until nothing waits for an answer.
func (r *rig) settle() {
	r.t.Helper()
	r.until("nothing waits", func() bool {
		for _, s := range r.Status() {
			if s.Waiting > 0 {
				return false
			}
		}
		return true
	})
}

// pinged waits until no instance has a ping open.
func (r *rig) pinged() {
	r.t.Helper()
	r.until("pings are done", func() bool {
		for _, in := range r.instances {
			in.mu.Lock()
			asked := in.asked
			in.mu.Unlock()
			if asked {
				return false
			}
		}
		return true
	})
}

// until waits for what comes without time passing.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	if !siptest.Eventually(ok) {
		r.t.Fatalf("waited in vain: %s; %+v", what, r.Status())
	}
}

// An outcome is what a callback was given.
type outcome struct {
	text string
	err  error
}

// into makes a callback, and where its outcome comes.
func into() (func([]byte, error), chan outcome) {
	ch := make(chan outcome, 1)
	return func(sdp []byte, err error) { ch <- outcome{string(sdp), err} }, ch
}

// get waits for an outcome; time passes in steps of d while it does not come, none if d is 0.
func (r *rig) get(ch chan outcome, d time.Duration) outcome {
	r.t.Helper()
	for range 100 {
		wait := 5 * time.Second
		if d > 0 {
			wait = 20 * time.Millisecond
		}
		select {
		case o := <-ch:
			return o
		case <-time.After(wait):
			if d == 0 {
				r.t.Fatal("no outcome")
			}
			r.pass(d)
		}
	}
	r.t.Fatal("no outcome, however long one waits")
	return outcome{}
}
