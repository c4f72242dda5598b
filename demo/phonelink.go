package demo

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// A phoneLink carries whole messages. read and write may be used by two goroutines at once.
type phoneLink interface {
	read() ([]byte, error) // borrowed until the next read
	write([]byte) error
	host() string // of Via and Contact
	close() error
}

// dialLink connects to cfg.Server.
func dialLink(ctx context.Context, cfg PhoneConfig) (phoneLink, error) {
	switch cfg.Transport {
	case edge.UDP, edge.TCP:
		var d net.Dialer
		conn, err := d.DialContext(ctx, cfg.Transport.String(), cfg.Server.String())
		return newLink(conn, cfg.Transport), err
	case edge.TLS:
		d := tls.Dialer{Config: cfg.TLS}
		conn, err := d.DialContext(ctx, "tcp", cfg.Server.String())
		return newLink(conn, cfg.Transport), err
	case edge.WSS:
		return dialWebSocket(ctx, cfg)
	}
	return nil, errors.New("not a transport of the built-in phone")
}

// A connLink is UDP (a datagram is a message), or TCP or TLS with messages one behind the other.
type connLink struct {
	net.Conn
	stream bool
	framer sip.Framer
	buf    []byte // what is read and not yet taken, stream only
	taken  int    // bytes at the front of buf that the last read returned
}

func newLink(conn net.Conn, t edge.Transport) *connLink {
	return &connLink{Conn: conn, stream: t.Stream()}
}

func (l *connLink) host() string         { return l.LocalAddr().String() }
func (l *connLink) close() error         { return l.Close() }
func (l *connLink) write(b []byte) error { _, err := l.Write(b); return err }

func (l *connLink) read() ([]byte, error) {
	if !l.stream {
		b := make([]byte, maxMessage)
		n, err := l.Read(b)
		return b[:n], err
	}
	for {
		l.buf = l.buf[l.taken:]
		l.taken = 0
		kind, n, err := l.framer.Next(l.buf)
		switch {
		case err != nil:
			return nil, err
		case kind != sip.FrameMore:
			l.taken = n
			return l.buf[:n], nil
		}
		b := make([]byte, 4096)
		n, err = l.Read(b)
		if err != nil {
			return nil, err
		}
		l.buf = append(l.buf, b[:n]...)
	}
}

// credentials is the header line that answers the challenge of m (RFC 7616 §3.4).
func (a Account) credentials(m *sip.Message, method, uri string) (string, error) {
	field, name := sip.FieldWWWAuthenticate, "Authorization"
	if m.Status == 407 {
		field, name = sip.FieldProxyAuthenticate, "Proxy-Authorization"
	}
	i := m.Find(field)
	if i < 0 {
		return "", fmt.Errorf("%d without a challenge", m.Status)
	}
	d, ok, err := sip.ParseDigest(m.Raw, m.Fields[i].Value)
	if err != nil || !ok {
		return "", fmt.Errorf("%d with a challenge that is not understood: %s", m.Status, m.Fields[i].Value.Of(m.Raw))
	}
	algorithm, h := "MD5", md5.New
	if bytes.EqualFold(d.Algorithm.Of(m.Raw), []byte("SHA-256")) {
		algorithm, h = "SHA-256", sha256.New
	}
	realm, nonce, cnonce := d.Realm.Of(m.Raw), d.Nonce.Of(m.Raw), rand.Text()[:12]
	ha1 := hexHash(h, fmt.Sprintf("%s:%s:%s", a.User, realm, a.Password))
	response := hexHash(h, fmt.Sprintf("%s:%s:00000001:%s:auth:%s", ha1, nonce, cnonce, hexHash(h, method+":"+uri)))
	return fmt.Sprintf("%s: Digest username=%q, realm=%q, nonce=%q, uri=%q, response=%q, cnonce=%q, nc=00000001, qop=auth, algorithm=%s\r\n",
		name, a.User, realm, nonce, uri, response, cnonce, algorithm), nil
}
