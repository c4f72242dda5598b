// Package demo is the demonstration platform that `ringwall run` starts on loopback when no upstreams are configured.
package demo

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
)

// Config says how the platform is started. The zero Config is usable.
type Config struct {
	// Listen is the one address for UDP and TCP (the same port). The zero value means 127.0.0.1 and a free port.
	Listen netip.AddrPort
	Realm  string       // of the digest; "" means "ringwall.demo"
	Rand   io.Reader    // for passwords, keys and tags; nil means crypto/rand
	Log    *slog.Logger // nil means silence
}

// A Platform is a running demonstration platform.
type Platform struct{}

// Start opens the sockets and serves until ctx ends or Close is called. Passwords are made anew at each start.
func Start(ctx context.Context, cfg Config) (*Platform, error) { panic("unbuilt") }

// Addr is the address the platform listens on, UDP and TCP.
func (p *Platform) Addr() netip.AddrPort { panic("unbuilt") }

// Accounts returns the accounts with the passwords of this start.
func (p *Platform) Accounts() []Account { panic("unbuilt") }

// Extensions returns the numbers that the platform answers itself.
func (p *Platform) Extensions() []Extension { panic("unbuilt") }

// Close stops the platform and returns when its last goroutine has ended. It may be called more than once.
func (p *Platform) Close() error { panic("unbuilt") }

// Banner prints exactly what to type into a softphone. outside are the listeners that phones can reach, as in the config
// file ("udp:192.0.2.5:5060"), wildcards already expanded, the best one first.
func (p *Platform) Banner(w io.Writer, outside []string) { panic("unbuilt") }

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
