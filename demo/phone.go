package demo

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// PhoneConfig says whose phone it is and what it speaks to.
type PhoneConfig struct {
	Account   Account
	Transport edge.Transport
	Server    netip.AddrPort // outbound proxy: everything is sent there
	Domain    string         // of its address and of those that it calls
	TLS       *tls.Config    // for TLS and WSS
}

// A Phone is the built-in user agent of `ringwall demo`: it registers, calls, and answers every call; media that it gets
// on a call that it answered goes back to where it came from. It is small and honest (real digest, real dialogs), for loopback: it
// does not play or record anything.
type Phone struct {
	cfg     PhoneConfig
	link    phoneLink
	via     string // "SIP/2.0/UDP 127.0.0.1:40312"
	contact string // its URI
	aor     string // "sip:alice@ringwall.demo"
	wg      sync.WaitGroup

	mu       sync.Mutex
	waiting  map[string]chan *sip.Message // client transactions by branch
	answered map[string]*PhoneCall        // calls that came in, by Call-ID
	complete int                          // of these: answered, acknowledged and ended by BYE
	closed   bool
}

// resendAfter is T1 (RFC 3261 §17.1.1.1).
const resendAfter = 500 * time.Millisecond

// DialPhone opens a phone's socket or connection. Close must be called.
func DialPhone(ctx context.Context, cfg PhoneConfig) (*Phone, error) {
	link, err := dialLink(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to %v over %v: %w", cfg.Server, cfg.Transport, err)
	}
	host := link.host()
	p := &Phone{cfg: cfg, link: link, waiting: map[string]chan *sip.Message{}, answered: map[string]*PhoneCall{},
		via: "SIP/2.0/" + strings.ToUpper(cfg.Transport.String()) + " " + host,
		aor: "sip:" + cfg.Account.User + "@" + cfg.Domain, contact: "sip:" + cfg.Account.User + "@" + host}
	switch {
	case cfg.Transport.WebSocket():
		p.contact += ";transport=ws"
	case cfg.Transport.Stream():
		p.contact += ";transport=" + cfg.Transport.String()
	}
	p.wg.Go(p.read)
	return p, nil
}

// Transport is what the phone speaks.
func (p *Phone) Transport() edge.Transport { return p.cfg.Transport }

// User is whose phone it is.
func (p *Phone) User() string { return p.cfg.Account.User }

// Close closes the phone and returns when its goroutines have ended. Calls are simply dropped.
func (p *Phone) Close() {
	_ = p.link.close()
	p.mu.Lock()
	p.closed = true
	for _, c := range p.answered {
		c.closeMedia()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// Answered is how many calls came in and were acknowledged and ended by BYE.
func (p *Phone) Answered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.complete
}

// Register binds the phone to its account for an hour, or takes that back (RFC 3261 §10.2).
func (p *Phone) Register(ctx context.Context, on bool) error {
	expires := 0
	if on {
		expires = 3600
	}
	o := p.outside("REGISTER", "sip:"+p.cfg.Domain, p.aor)
	o.fields = fmt.Sprintf("Contact: <%s>;expires=%d\r\n", p.contact, expires)
	m, err := p.ask(ctx, o)
	if err != nil {
		return err
	}
	return wanted(m, "REGISTER")
}

// wanted makes an error of a response that is no 2xx.
func wanted(m *sip.Message, method string) error {
	if m.Status/100 == 2 {
		return nil
	}
	return fmt.Errorf("%s was answered with %d %s", method, m.Status, m.Reason.Of(m.Raw))
}

// An outgoing is a request that is about to be sent.
type outgoing struct {
	method, uri, from, to, callID string
	seq                           int
	routes                        []string
	fields                        string // whole lines
	body                          string // SDP
}

// outside is a new request outside of a dialog.
func (p *Phone) outside(method, uri, to string) *outgoing {
	return &outgoing{method: method, uri: uri, to: "<" + to + ">", from: "<" + p.aor + ">;tag=" + rand.Text()[:10],
		callID: rand.Text()[:16], seq: 1}
}

// text is the request with this branch.
func (p *Phone) text(o *outgoing, branch string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: %s;branch=%s;rport\r\nMax-Forwards: 70\r\n", o.method, o.uri, p.via, branch)
	for _, r := range o.routes {
		fmt.Fprintf(&b, "Route: %s\r\n", r)
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n%s", o.from, o.to, o.callID, o.seq, o.method, o.fields)
	if o.body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(o.body), o.body)
	return []byte(b.String())
}

func newBranch() string { return "z9hG4bK" + rand.Text()[:16] }

// ask sends a request and returns its final response; one challenge is answered (RFC 3261 §22.2).
func (p *Phone) ask(ctx context.Context, o *outgoing) (*sip.Message, error) {
	m, err := p.once(ctx, o)
	if err != nil || m.Status != 401 && m.Status != 407 {
		return m, err
	}
	credentials, err := p.cfg.Account.credentials(m, o.method, o.uri)
	if err != nil {
		return nil, err
	}
	o.seq++
	again := *o
	again.fields += credentials
	return p.once(ctx, &again)
}

// once is one client transaction. A refused INVITE is acknowledged.
func (p *Phone) once(ctx context.Context, o *outgoing) (*sip.Message, error) {
	branch := newBranch()
	text := p.text(o, branch)
	replies := make(chan *sip.Message, 16)
	p.mu.Lock()
	p.waiting[branch] = replies
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.waiting, branch)
		p.mu.Unlock()
	}()
	m, err := p.final(ctx, text, replies)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.method, err)
	}
	if o.method == "INVITE" && m.Status >= 300 {
		var sent sip.Message
		if err := sent.Parse(text, true); err != nil {
			return nil, err
		}
		return m, p.link.write(sip.AppendACK(nil, &sent, m.To.Whole.Of(m.Raw)))
	}
	return m, nil
}

// final sends text, over UDP again and again, until the final response is there.
func (p *Phone) final(ctx context.Context, text []byte, replies <-chan *sip.Message) (*sip.Message, error) {
	if err := p.link.write(text); err != nil {
		return nil, err
	}
	resend := time.NewTicker(resendAfter)
	defer resend.Stop()
	quiet := p.cfg.Transport.Stream()
	for {
		select {
		case m := <-replies:
			if m.Status >= 200 {
				return m, nil
			}
			quiet = true
		case <-resend.C:
			if quiet {
				continue
			}
			if err := p.link.write(text); err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, errors.New("no final response in time")
		}
	}
}

// read takes what comes until the link is closed.
func (p *Phone) read() {
	for {
		b, err := p.link.read()
		if err != nil {
			return
		}
		m := new(sip.Message)
		switch err := m.Parse(slices.Clone(b), true); {
		case err != nil: // a keep-alive, or nothing for us
		case m.IsRequest():
			p.request(m)
		default:
			p.response(m)
		}
	}
}

func (p *Phone) response(m *sip.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if replies := p.waiting[string(m.Via.Branch.Of(m.Raw))]; replies != nil {
		select {
		case replies <- m:
		default: // more provisional responses than anybody waits for
		}
	}
}
