package siptest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Deadline is how long an Expect waits before it fails the test: generous, since a machine may be busy; a test that passes
// never waits for it.
const Deadline = 10 * time.Second

// A Received is a message as it came in.
type Received struct {
	*Message
	Raw  string         // the bytes
	From netip.AddrPort // where it came from
	Conn *Conn          // the connection it came over, nil for UDP
	At   time.Time      // when it was read
}

// A UA is a user agent that does nothing by itself: it queues what it gets and sends what it is told. Its methods may be
// used from several goroutines, but those that fail the test (Expect …) only from the test's own.
type UA struct {
	User   string         // user part of its Contact and of its address of record
	Domain string         // domain of its address of record
	Addr   netip.AddrPort // its own address, of UDP and TCP
	Proxy  netip.AddrPort // where it sends requests that have no Route (its outbound proxy)
	// Transport, "udp", "tcp", "tls", "ws" or "wss", is what it sends requests over that have no Route, and what its Via and
	// Contact say.
	Transport string
	Sips      bool // its Contact is a sips URI
	// TLS is the client's configuration for "tls" and "wss"; it trusts the authority of this test run.
	TLS *tls.Config
	// Alter, if set, changes a copy of each message before it is sent by Send or Reply: what a platform or a phone adds of its own accord.
	Alter func(*Message)

	t        testing.TB
	server   *tls.Config // of its listener, nil for TCP
	udp      *net.UDPConn
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	queue   []*Received
	log     []*Received
	ended   map[string]bool          // transactions that it has answered finally
	changed chan struct{}            // closed when the queue grows
	conns   map[netip.AddrPort]*Conn // the newest to each address
	open    map[*Conn]bool
	handler func(*Received) bool
	closed  bool
	healthy bool // answers OPTIONS that an edge asks for itself
	muted   bool // takes nothing in
}

// NewPlatform makes a UA that listens on UDP and TCP at one free port of ip ("" for a loopback address of its own): what
// stands behind the edge. transport is what it prefers for its own requests. OPTIONS that the edge asks on its own account
// (one Via, no other hop) it answers by itself, unseen.
func NewPlatform(t testing.TB, transport, ip string) *UA {
	t.Helper()
	return newUA(t, "platform", transport, ip, true, true, nil)
}

// NewTLSPlatform makes a platform that listens on TLS only, as cfg says, at a loopback address of its own.
func NewTLSPlatform(t testing.TB, cfg *tls.Config) *UA {
	t.Helper()
	return newUA(t, "platform", "tls", "", false, true, cfg)
}

// NewPhone makes a UA like a phone behind a NAT: with transport "udp" one socket, with any other no listener at all, so that it
// can be reached only over the connections it made. ip "" means a loopback address of its own. proxy is where it sends to.
func NewPhone(t testing.TB, user, transport, ip string, proxy netip.AddrPort) *UA {
	t.Helper()
	ua := newUA(t, user, transport, ip, transport == "udp", false, nil)
	ua.Proxy = proxy
	return ua
}

func newUA(t testing.TB, user, transport, ip string, udp, listen bool, secure *tls.Config) *UA {
	t.Helper()
	if ip == "" {
		ip = OwnIP()
	}
	trusted, err := ca()
	if err != nil {
		t.Fatalf("siptest: %v", err)
	}
	ua := &UA{User: user, Domain: "example.com", Transport: transport, t: t, TLS: &tls.Config{RootCAs: trusted.Pool}, server: secure,
		ended: map[string]bool{}, changed: make(chan struct{}), conns: map[netip.AddrPort]*Conn{},
		open: map[*Conn]bool{}, healthy: listen}
	if err := ua.listen(ip, udp, listen); err != nil {
		t.Fatalf("siptest: %v", err)
	}
	ua.read()
	t.Cleanup(ua.Close)
	return ua
}

// read starts the readers of the sockets.
func (ua *UA) read() {
	if ua.udp != nil {
		ua.running.Go(ua.readUDP)
	}
	if ua.listener != nil {
		ua.running.Go(ua.accept)
	}
}

// listen opens the sockets, both on one port if both are wanted.
func (ua *UA) listen(ip string, udp, stream bool) (err error) {
	for range 20 {
		if ua.Addr, err = FreeAddr(ip); err != nil {
			return err
		}
		if err = ua.bind(udp, stream); err == nil {
			return nil
		}
	}
	return err
}

// bind opens the sockets at the UA's address, both or none.
func (ua *UA) bind(udp, stream bool) (err error) {
	if udp {
		if ua.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(ua.Addr)); err != nil {
			return err
		}
		_ = ua.udp.SetReadBuffer(4 << 20) // a test that waits for the processor loses nothing; the kernel gives what it may
	}
	if !stream {
		return nil
	}
	if ua.listener, err = net.Listen("tcp", ua.Addr.String()); err != nil {
		if udp {
			ua.udp.Close()
		}
		return err
	}
	if ua.server != nil {
		ua.listener = tls.NewListener(ua.listener, ua.server)
	}
	return nil
}

// Close closes all sockets and waits for the readers. NewPhone and NewPlatform leave it to the test's end.
func (ua *UA) Close() {
	ua.mu.Lock()
	ua.closed = true
	ua.mu.Unlock()
	if ua.udp != nil {
		ua.udp.Close()
	}
	if ua.listener != nil {
		ua.listener.Close()
	}
	ua.Hangup()
	ua.running.Wait()
}

// Reopen undoes Close: the sockets are opened again at the same address.
func (ua *UA) Reopen() {
	ua.mu.Lock()
	ua.closed = false
	ua.mu.Unlock()
	if err := ua.bind(ua.udp != nil, ua.listener != nil); err != nil {
		ua.t.Errorf("%s: open again: %v", ua.User, err)
		return
	}
	ua.read()
}

// Mute lets a platform hear nothing, not even the edge's own OPTIONS, as if it hung, or hear again.
func (ua *UA) Mute(mute bool) {
	ua.mu.Lock()
	defer ua.mu.Unlock()
	ua.muted = mute
}

// Handle installs f, which sees each message before it is queued, on the reading goroutine; what it returns true for is not
// queued. f may send. It serves scripted answers and load.
func (ua *UA) Handle(f func(*Received) bool) {
	ua.mu.Lock()
	defer ua.mu.Unlock()
	ua.handler = f
}

// readUDP queues datagrams until the socket is closed.
func (ua *UA) readUDP() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := ua.udp.ReadFromUDPAddrPort(buf)
		if ua.isClosed() {
			return
		}
		if err != nil { // an ICMP error of an earlier send
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		ua.receive(string(buf[:n]), from, nil)
	}
}

func (ua *UA) isMuted() bool {
	ua.mu.Lock()
	defer ua.mu.Unlock()
	return ua.muted
}

func (ua *UA) isClosed() bool {
	ua.mu.Lock()
	defer ua.mu.Unlock()
	return ua.closed
}

// receive takes one message or keep-alive in. A message that doesn't pass Parse fails the test: the edge never sends one.
func (ua *UA) receive(raw string, from netip.AddrPort, conn *Conn) {
	if ua.isMuted() {
		return
	}
	r := &Received{Raw: raw, From: from, Conn: conn, At: time.Now()}
	if strings.Trim(raw, "\r\n") != "" {
		m, err := Parse(raw)
		if err != nil {
			ua.t.Errorf("%s at %v got a bad message from %v: %v\n%s", ua.User, ua.Addr, from, err, raw)
			return
		}
		r.Message = m
		if ua.healthy && m.Method() == "OPTIONS" && len(m.All("Via")) == 1 {
			ua.Reply(r, 200)
			return
		}
	}
	ua.mu.Lock()
	ua.log = append(ua.log, r)
	handler := ua.handler
	ua.mu.Unlock()
	if handler != nil && r.Message != nil && handler(r) {
		return
	}
	ua.mu.Lock()
	ua.queue = append(ua.queue, r)
	close(ua.changed)
	ua.changed = make(chan struct{})
	ua.mu.Unlock()
}

// Is reports whether r is what the words say: a method ("INVITE"), a status ("200"), a status of a method ("200 BYE"), or
// "final" for a status of 200 and more, "CRLF" for a keep-alive. "" is any message.
func (r *Received) Is(what string) bool {
	if r.Message == nil {
		return what == "CRLF"
	}
	if what == "" || what == r.Method() {
		return true
	}
	_, method := r.CSeq()
	return what == "final" && r.Status() >= 200 || what == fmt.Sprint(r.Status()) || what == fmt.Sprint(r.Status(), " ", method)
}

// take removes and returns the first queued message that match accepts, which is called with ua.mu held, or waits up to d for one; nil if none came.
func (ua *UA) take(d time.Duration, match func(*Received) bool) *Received {
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	for {
		ua.mu.Lock()
		changed := ua.changed
		at := slices.IndexFunc(ua.queue, match)
		if at >= 0 {
			r := ua.queue[at]
			ua.queue = slices.Delete(ua.queue, at, at+1)
			ua.mu.Unlock()
			return r
		}
		ua.mu.Unlock()
		select {
		case <-changed:
		case <-timeout.C:
			return nil
		}
	}
}

// Wait takes the next message that is what (see Received.Is) out of the queue, leaving others there; nil if none comes
// within d. It never fails the test. What was sent again before a final answer of Reply arrived, as happens on a busy machine,
// it leaves there, too, like any server transaction (RFC 3261 §17.2): to the next request it would be an old one.
func (ua *UA) Wait(what string, d time.Duration) *Received {
	return ua.take(d, func(r *Received) bool { return r.Is(what) && !ua.ended[r.transaction()] })
}

// transaction is what a request shares with copies of it alone, "" of other things.
func (r *Received) transaction() string {
	if r.Message == nil || r.Method() == "" || r.Method() == "ACK" {
		return ""
	}
	return r.Method() + " " + r.Get("Via")
}

// WaitIn is Wait for messages of one Call-ID.
func (ua *UA) WaitIn(callID, what string, d time.Duration) *Received {
	return ua.take(d, func(r *Received) bool {
		return r.Is(what) && r.Message != nil && r.Get("Call-ID") == callID && !ua.ended[r.transaction()]
	})
}

// Expect takes the next message that is what (see Received.Is) out of the queue, leaving others there, and fails the test if
// none comes.
func (ua *UA) Expect(what string) *Received {
	ua.t.Helper()
	if r := ua.Wait(what, Deadline); r != nil {
		return r
	}
	ua.t.Fatalf("%s at %v: no %q came; it got:\n%s", ua.User, ua.Addr, what, ua.history())
	return nil
}

// Next takes the next message, which must be what.
func (ua *UA) Next(what string) *Received {
	ua.t.Helper()
	r := ua.Expect("")
	if !r.Is(what) {
		ua.t.Fatalf("%s at %v: want %q next, got %q", ua.User, ua.Addr, what, r.Start)
	}
	return r
}

// Silence fails the test if a message that is one of what comes within d (one of anything if what is empty).
func (ua *UA) Silence(d time.Duration, what ...string) {
	ua.t.Helper()
	if len(what) == 0 {
		what = []string{"", "CRLF"}
	}
	r := ua.take(d, func(r *Received) bool {
		return slices.ContainsFunc(what, func(w string) bool { return r.Is(w) })
	})
	if r != nil {
		ua.t.Fatalf("%s at %v: wanted silence (%q), got:\n%s", ua.User, ua.Addr, what, r.Raw)
	}
}

// Flush forgets what is queued.
func (ua *UA) Flush() {
	ua.mu.Lock()
	defer ua.mu.Unlock()
	ua.queue = nil
}

// Log is everything the UA ever got, in order.
func (ua *UA) Log() []*Received {
	ua.mu.Lock()
	defer ua.mu.Unlock()
	return slices.Clone(ua.log)
}

// Got counts the messages it ever got that are what.
func (ua *UA) Got(what string) (n int) {
	for _, r := range ua.Log() {
		if r.Is(what) {
			n++
		}
	}
	return n
}

// history is the start lines of what the UA got, for failures.
func (ua *UA) history() string {
	var b bytes.Buffer
	for _, r := range ua.Log() {
		if r.Message == nil {
			fmt.Fprintf(&b, "\t%v: %q\n", r.From, r.Raw)
			continue
		}
		fmt.Fprintf(&b, "\t%v: %s (CSeq %s)\n", r.From, r.Start, r.Get("CSeq"))
	}
	return b.String()
}
