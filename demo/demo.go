// Package demo is the demonstration platform that `ringwall run` starts on loopback when no upstreams are configured, so
// that a newcomer's softphone can register and call at once: a registrar with digest for three accounts, a small stateful
// proxy that forks between their phones, and extensions that echo, play a tone, are busy, or ring for ever.
//
// One goroutine (Platform.run) owns all signalling state; sockets, timers and media reach it as closures through a
// channel, so nothing in it needs a lock. It is not a hot path: it serves one person's phones. Everything is bounded.
package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Config says how the platform is started. The zero Config is usable.
type Config struct {
	// Listen is the one address for UDP and TCP (the same port). The zero value means 127.0.0.1 and a free port. A
	// platform on loopback can only send to loopback: no message can make it talk to the world.
	Listen netip.AddrPort
	Realm  string       // of the digest; "" means "ringwall.demo"
	Rand   io.Reader    // for the passwords and the nonce key; nil means crypto/rand
	Log    *slog.Logger // nil means silence

	timing timing // tests shorten it
}

// timing holds every duration of the platform: the timers of RFC 3261 §17 and the limits of its calls.
type timing struct {
	t1, t2, t4 time.Duration
	c          time.Duration // Timer C (RFC 3261 §16.6)
	ring       time.Duration // extension 603: how long it rings before 480
	ringAgain  time.Duration // repeats 180 (RFC 3261 §13.3.1.1: every minute)
	call       time.Duration // longest call with an extension
	nonce      time.Duration // age at which a nonce is stale
}

var usualTiming = timing{
	t1: 500 * time.Millisecond, t2: 4 * time.Second, t4: 5 * time.Second,
	c: 185 * time.Second, ring: 180 * time.Second, ringAgain: time.Minute,
	call: 10 * time.Minute, nonce: 5 * time.Minute,
}

// Limits of what the platform keeps. They bound memory, not what a person with a few phones can do.
const (
	maxTransactions = 1024    // server and, separately, client transactions
	maxMediaCalls   = 20      // calls with an RTP socket
	maxRinging      = 50      // calls that ring at 603
	maxContacts     = 8       // bindings of one account
	maxConnections  = 64      // TCP, both ways
	maxMessage      = 1 << 16 // bytes
)

// An Account is a user who may register and call.
type Account struct {
	User      string
	Password  string
	Algorithm string // of its digest challenge: "MD5" (RFC 3261 §22.4) or "SHA-256" (RFC 8760)
}

// An Extension is a number that the platform itself answers.
type Extension struct {
	Number string
	What   string // one phrase for the banner
}

// A Platform is a running demonstration platform.
type Platform struct {
	cfg      Config
	addr     netip.AddrPort
	accounts []Account
	nonceKey [32]byte
	udp      *net.UDPConn
	tcp      *net.TCPListener
	inbox    chan func()
	ctx      context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup

	// Owned by run.
	timers  timerHeap
	servers map[string]*serverTx
	clients map[string]*clientTx
	calls   map[string]*call
	ringing int
	conns   map[netip.AddrPort]*conn
	aors    map[string][]binding
}

// Start opens the sockets and serves until ctx ends or Close is called. Passwords are made anew at each start.
func Start(ctx context.Context, cfg Config) (*Platform, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Platform{
		cfg: cfg, inbox: make(chan func(), 256),
		servers: map[string]*serverTx{}, clients: map[string]*clientTx{}, calls: map[string]*call{},
		conns: map[netip.AddrPort]*conn{}, aors: map[string][]binding{},
	}
	if err := p.makeSecrets(); err != nil {
		return nil, err
	}
	if err := p.listen(); err != nil {
		return nil, err
	}
	p.ctx, p.stop = context.WithCancel(ctx)
	p.wg.Go(p.readUDP)
	p.wg.Go(p.acceptTCP)
	p.wg.Go(p.run)
	return p, nil
}

func (c Config) withDefaults() (Config, error) {
	if !c.Listen.IsValid() {
		c.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	}
	if a := c.Listen.Addr(); a.IsUnspecified() || a.IsMulticast() {
		return c, fmt.Errorf("start demonstration platform on %v: needs one unicast address", c.Listen)
	}
	if c.Realm == "" {
		c.Realm = "ringwall.demo"
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.timing == (timing{}) {
		c.timing = usualTiming
	}
	return c, nil
}

func (p *Platform) makeSecrets() error {
	if _, err := io.ReadFull(p.cfg.Rand, p.nonceKey[:]); err != nil {
		return fmt.Errorf("make nonce key: %w", err)
	}
	p.accounts = []Account{{"alice", "", "MD5"}, {"bob", "", "MD5"}, {"carol", "", "SHA-256"}}
	for i := range p.accounts {
		password, err := newPassword(p.cfg.Rand)
		if err != nil {
			return fmt.Errorf("make password: %w", err)
		}
		p.accounts[i].Password = password
	}
	return nil
}

// newPassword returns 12 characters that are easy to tell apart and to type: 59 bits.
func newPassword(r io.Reader) (string, error) {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789"
	var password [12]byte
	for i := 0; i < len(password); {
		var b [1]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return "", err
		}
		if n := int(b[0]); n < 256/len(letters)*len(letters) { // no letter is favoured
			password[i] = letters[n%len(letters)]
			i++
		}
	}
	return string(password[:]), nil
}

// Addr is the address the platform listens on, UDP and TCP.
func (p *Platform) Addr() netip.AddrPort { return p.addr }

// Accounts returns the accounts with the passwords of this start.
func (p *Platform) Accounts() []Account { return append([]Account(nil), p.accounts...) }

// Extensions returns the numbers that the platform answers itself.
func (p *Platform) Extensions() []Extension { return append([]Extension(nil), extensions...) }

// Close stops the platform and returns when its last goroutine has ended. Calls are simply dropped. It may be called
// more than once.
func (p *Platform) Close() error {
	p.stop()
	p.wg.Wait()
	return nil
}

func (p *Platform) account(user string) *Account {
	for i := range p.accounts {
		if p.accounts[i].User == user {
			return &p.accounts[i]
		}
	}
	return nil
}
