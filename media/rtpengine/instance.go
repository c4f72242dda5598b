package rtpengine

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// An instance is one server.
type instance struct {
	cfg  *Config
	addr netip.AddrPort
	conn *net.UDPConn // connected, so that the kernel takes answers from addr only, and says when nobody listens there

	mu       sync.Mutex // guards the rest; never held while something is sent or told
	waiting  map[[cookieSize]byte]*request
	closed   bool
	down     bool
	streak   int       // pings in a row that speak against the present state
	nextPing time.Time // zero: at once
	asked    bool      // a ping waits
	calls    int
	lost     uint64 // requests that were never answered
}

// cookieSize is the size of a cookie: 64 random bits in letters, so that no answer can be made by who has not seen the request.
const cookieSize = 16

// A request is one that waits for its answer.
type request struct {
	packet []byte // cookie, space, dictionary
	due    time.Time
	wait   time.Duration
	left   int // times that it may be sent again
	done   func(value, error)
}

// dial opens the socket.
func dial(cfg *Config, addr netip.AddrPort) (*instance, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	return &instance{cfg: cfg, addr: addr, conn: conn, waiting: map[[cookieSize]byte]*request{}}, nil
}

func (in *instance) close() {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	_ = in.conn.Close()
	in.failAll(ErrEnded)
}

func (in *instance) isUp() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return !in.down
}

func (in *instance) status() Status {
	in.mu.Lock()
	defer in.mu.Unlock()
	return Status{Instance: in.addr, Up: !in.down, Waiting: len(in.waiting), Calls: in.calls, Lost: in.lost}
}

// count notes a call more or less.
func (in *instance) count(by int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.calls += by
}

// cookie makes a cookie.
func cookie() (c [cookieSize]byte) {
	n := rand.Uint64()
	for i := range c {
		c[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
	return c
}

// send sends a request, the dictionary dict, under the cookie key, and again while no answer comes. done is called once, from
// another goroutine; what it is given is borrowed. The error is ErrBusy or ErrEnded; done is then never called.
func (in *instance) send(key [cookieSize]byte, dict []byte, tries int, done func(value, error)) error {
	r := &request{due: in.cfg.Now().Add(in.cfg.Try), wait: in.cfg.Try, left: tries - 1, done: done}
	r.packet = append(append(append(make([]byte, 0, cookieSize+1+len(dict)), key[:]...), ' '), dict...)
	in.mu.Lock()
	full, closed := len(in.waiting) >= in.cfg.Waiting, in.closed
	if !full && !closed {
		in.waiting[key] = r
	}
	in.mu.Unlock()
	switch {
	case closed:
		return ErrEnded
	case full:
		return ErrBusy
	}
	in.write(r.packet)
	return nil
}

// write sends a packet. That an earlier one was refused may show here instead of in read, and then nothing was sent. What goes
// wrong otherwise shows by the answer that does not come.
func (in *instance) write(packet []byte) {
	if _, err := in.conn.Write(packet); errors.Is(err, syscall.ECONNREFUSED) {
		_, _ = in.conn.Write(packet)
	}
}

// drop forgets a request: it is not sent again, and its done never called. It reports whether the request still waited.
func (in *instance) drop(key [cookieSize]byte) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, waits := in.waiting[key]
	delete(in.waiting, key)
	return waits
}

// read takes answers until the socket is closed.
func (in *instance) read() {
	room := make([]byte, 65536)
	for {
		n, err := in.conn.Read(room)
		switch {
		case err == nil:
			in.answer(room[:n])
		case errors.Is(err, syscall.ECONNREFUSED): // the process is gone, and its calls with it: nothing is worth waiting for
			in.failAll(ErrRefused)
		case errors.Is(err, net.ErrClosed):
			return
		}
	}
}

// answer takes one datagram.
func (in *instance) answer(packet []byte) {
	name, dict, found := bytes.Cut(packet, []byte{' '})
	if !found || len(name) != cookieSize {
		return
	}
	in.mu.Lock()
	key := [cookieSize]byte(name)
	r := in.waiting[key]
	delete(in.waiting, key)
	in.mu.Unlock()
	if r == nil { // answered before, or given up
		return
	}
	v, err := check(dict)
	if err != nil {
		r.done(nil, ErrAnswer)
		return
	}
	r.done(v, refusal(v))
}

// refusal is the error that answer v tells of.
func refusal(v value) error {
	switch result := v.get("result").str(); string(result) {
	case "ok", "pong":
		return nil
	case "load limit":
		return ErrLoad
	case "error":
		return Failure{Reason: string(v.get("error-reason").str())}
	}
	return ErrAnswer
}

// failAll ends all that waits.
func (in *instance) failAll(why error) {
	in.mu.Lock()
	all := in.waiting
	in.waiting = map[[cookieSize]byte]*request{}
	in.mu.Unlock()
	for _, r := range all {
		r.done(nil, why)
	}
}

// turn sends again what was not answered, gives up what was sent often enough, and asks how the server is.
func (in *instance) turn() {
	now := in.cfg.Now()
	var again [][]byte
	var over []*request
	in.mu.Lock()
	for key, r := range in.waiting {
		switch {
		case now.Before(r.due):
		case r.left == 0:
			over = append(over, r)
			delete(in.waiting, key)
		default:
			r.left--
			r.wait *= 2
			r.due = now.Add(r.wait)
			again = append(again, r.packet)
		}
	}
	in.lost += uint64(len(over))
	ping := !in.asked && !now.Before(in.nextPing)
	if ping {
		in.asked, in.nextPing = true, now.Add(in.cfg.Ping)
	}
	in.mu.Unlock()
	for _, packet := range again {
		in.write(packet)
	}
	for _, r := range over {
		r.done(nil, ErrTimeout)
	}
	if ping {
		if err := in.send(cookie(), []byte("d7:command4:pinge"), 1, in.ponged); err != nil {
			in.ponged(nil, err)
		}
	}
}

// ponged takes the outcome of a ping. The state changes when enough in a row speak against it.
func (in *instance) ponged(_ value, err error) {
	in.mu.Lock()
	in.asked = false
	need := in.cfg.Fall
	if in.down {
		need = in.cfg.Rise
	}
	if (err == nil) == in.down {
		in.streak++
	} else {
		in.streak = 0
	}
	change := in.streak >= need && !in.closed
	if change {
		in.down, in.streak = !in.down, 0
	}
	down := in.down
	in.mu.Unlock()
	if change {
		in.cfg.Tell(in.addr, !down)
	}
}
