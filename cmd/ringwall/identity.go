package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/transport"
)

// source is where ref, the value at path, says that PEM text stands. What the environment holds is read now and not followed.
func source(cfg *config.Config, path string, ref config.Reference) (transport.Source, error) {
	if ref.Env == "" {
		if ref.File == "" {
			return transport.Source{}, nil
		}
		return transport.File(ref.File), nil
	}
	text, err := cfg.Secret(path, ref)
	if err != nil {
		return transport.Source{}, err
	}
	return transport.Text(ref.String(), text), nil
}

// keyPair is a certificate and its key that stand below path.
func keyPair(cfg *config.Config, path string, p config.KeyPair) (pair transport.KeyPair, err error) {
	if pair.Certificate, err = source(cfg, path+".certificate", p.Certificate); err != nil {
		return pair, err
	}
	pair.Key, err = source(cfg, path+".key", p.Key)
	return pair, err
}

// certificates says in transport's terms what cfg says of our certificates and of those of phones.
func certificates(cfg *config.Config) (t transport.TLS, err error) {
	choices := map[config.ClientCertificates]transport.ClientCertificates{config.Off: transport.Off, config.Ask: transport.Ask,
		config.Require: transport.Require}
	t.ClientCertificates = choices[cfg.TLS.ClientCertificates]
	if t.ClientCA, err = source(cfg, "tls.client_ca", cfg.TLS.ClientCA); err != nil {
		return t, err
	}
	for i, p := range cfg.TLS.Certificates {
		pair, err := keyPair(cfg, cfg.CertificatePath(i), p)
		if err != nil {
			return t, err
		}
		t.Certificates = append(t.Certificates, pair)
	}
	return t, nil
}

// tls is all that transport is told of TLS at the start.
func (s *service) tls() (transport.TLS, error) {
	t, err := certificates(s.cfg)
	if err != nil {
		return t, err
	}
	now := s.settings.Load()
	t.Identities, err = identities(now.cfg, now.platform())
	return t, err
}

// identities say who each server must be that we dial over TLS, and who we are to it. An upstream must show the certificate of the host
// that its URI names, whatever host the DNS made of it (RFC 5922 §7.1). Two servers at one address must be the same, because one connection
// leads to both.
func identities(cfg *config.Config, upstreams []proxy.Upstream) (map[transport.Destination]transport.Identity, error) {
	all := map[transport.Destination]transport.Identity{}
	for _, up := range upstreams {
		i := entryOf(cfg, up)
		if up.Transport != edge.TLS || i < 0 {
			continue
		}
		if err := identify(all, cfg, cfg.Upstreams[i], transport.Destination{Side: edge.Inside, Addr: up.Addr}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// identities adds those of peers to those of upstreams, and those of upstreams that were removed, where nobody else is now.
func (s *settings) identities() (map[transport.Destination]transport.Identity, error) {
	all, err := identities(s.cfg, s.platform())
	for i, t := range s.trunks {
		for _, target := range t.Targets {
			if target.Transport == edge.TLS && err == nil {
				err = identify(all, s.cfg, s.cfg.Peers[i].URI, transport.Destination{Side: edge.Outside, Addr: target.Addr})
			}
		}
	}
	for _, r := range s.retired {
		to := r.destination()
		if _, taken := all[to]; r.removed && r.Transport == edge.TLS && !taken && err == nil {
			err = identify(all, s.cfg, r.entry, to)
		}
	}
	return all, err
}

// destination is where r is dialled.
func (r *retiree) destination() transport.Destination {
	return transport.Destination{Side: edge.Inside, Addr: r.Addr}
}

// removed are the destinations of upstreams that were removed and where nobody else is now: whether they can be trusted is of no interest any more.
func (s *settings) removed() (all []transport.Destination) {
	for _, r := range s.retired {
		if r.removed && !slices.ContainsFunc(s.upstreams, func(u proxy.Upstream) bool { return u.Addr == r.Addr }) {
			all = append(all, r.destination())
		}
	}
	return all
}

// introduce lets transport know what certificates we show, and of whom some are wanted: of who is dialled, and of peers that connect.
func (s *service) introduce(to *settings, who map[transport.Destination]transport.Identity) error {
	own, err := certificates(to.cfg)
	if err != nil {
		return err
	}
	callers, err := to.callers()
	if err == nil {
		err = s.transport.SetCertificates(own)
	}
	if err == nil {
		err = s.transport.SetCallers(callers)
	}
	if err == nil {
		err = s.transport.SetIdentities(who)
	}
	return err
}

// callers are who must show certificates when they connect, from where. Peers over TLS that need not are named, too: theirs may be a part of the network of
// one that must.
func (s *settings) callers() (all []transport.Caller, err error) {
	for i, t := range s.trunks {
		p := &s.cfg.Peers[i]
		if t.Transport != edge.TLS {
			continue
		}
		var id transport.Identity
		if p.Shows {
			id.ServerName = p.URI.Host
			if id.CA, err = source(s.cfg, p.Path+".ca", p.URI.CA); err != nil {
				return nil, err
			}
		}
		for _, m := range t.Match {
			all = append(all, transport.Caller{From: m, Identity: id})
		}
	}
	return all, nil
}

// identify adds to all who the server u at to is.
func identify(all map[transport.Destination]transport.Identity, cfg *config.Config, u config.Upstream, to transport.Destination) (err error) {
	base := basePath(u)
	id := transport.Identity{ServerName: u.Host}
	if id.CA, err = source(cfg, base+".ca", u.CA); err != nil {
		return err
	}
	if id.Own, err = keyPair(cfg, base, u.Own); err != nil {
		return err
	}
	if other, taken := all[to]; taken && other != id {
		return shared(cfg, u.Path, to.Addr)
	}
	all[to] = id
	return nil
}

// shared is the fault of a server at an address where another one with another identity is.
func shared(cfg *config.Config, path string, at netip.AddrPort) error {
	return cfg.Fault(path, fmt.Sprintf("is at %v, where another server with another name, authority or certificate is", at),
		"give the two addresses or ports of their own, or name them alike: one TLS connection cannot be verified as two servers")
}

// basePath is the key of the entry of u: "upstreams[0]".
func basePath(u config.Upstream) string { return strings.TrimSuffix(u.Path, ".uri") }

// A credential is what the configuration names at one place of certificates, keys and authorities.
type credential struct {
	path string // that of the section
	pair config.KeyPair
	ca   config.Reference
	caAt string // key of ca
}

// credentials are all that cfg names.
func credentials(cfg *config.Config) []credential {
	all := []credential{{path: "tls", ca: cfg.TLS.ClientCA, caAt: "tls.client_ca"}}
	for i, p := range cfg.TLS.Certificates {
		all = append(all, credential{path: cfg.CertificatePath(i), pair: p})
	}
	for _, u := range cfg.Upstreams {
		all = append(all, credential{path: basePath(u), pair: u.Own, ca: u.CA, caAt: basePath(u) + ".ca"})
	}
	for _, p := range cfg.Peers {
		all = append(all, credential{path: p.Path, pair: p.URI.Own, ca: p.URI.CA, caAt: p.Path + ".ca"})
	}
	return all
}

// checkCredentials opens every certificate, key and file of authorities that cfg names. The error is config.Errors. With strict also
// one whose time has not come or is over is wrong; a service starts with those, and its status tells.
func checkCredentials(cfg *config.Config, at time.Time, strict bool) error {
	var all config.Errors
	for _, c := range credentials(cfg) {
		for _, err := range []error{c.checkPair(cfg, at, strict), c.checkCA(cfg, at, strict)} {
			var some config.Errors
			if errors.As(err, &some) {
				all = append(all, some...)
			}
		}
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

func (c credential) checkPair(cfg *config.Config, at time.Time, strict bool) error {
	if c.pair.Certificate == (config.Reference{}) || c.pair.Key == (config.Reference{}) {
		return nil // there is none, or config has told what is missing
	}
	pair, err := keyPair(cfg, c.path, c.pair)
	if err != nil {
		return err
	}
	loaded, err := pair.Load()
	if bad, ok := errors.AsType[*transport.CertificateError](err); ok {
		path := c.path + ".certificate"
		if bad.Key {
			path = c.path + ".key"
		}
		return cfg.Fault(path, bad.Error(), "name a certificate and its own key, both in PEM form and readable by the user that ringwall runs as")
	}
	if !strict {
		return nil
	}
	return checkTime(cfg, c.path+".certificate", "the certificate "+c.pair.Certificate.String(), at, loaded.Leaf.NotBefore, loaded.Leaf.NotAfter)
}

func (c credential) checkCA(cfg *config.Config, at time.Time, strict bool) error {
	if c.ca == (config.Reference{}) {
		return nil
	}
	from, err := source(cfg, c.caAt, c.ca)
	if err != nil {
		return err
	}
	loaded, err := transport.LoadAuthorities(from)
	if err != nil {
		return cfg.Fault(c.caAt, err.Error(), "name the certificates of authorities in PEM form, readable by the user that ringwall runs as")
	}
	if !strict {
		return nil
	}
	return checkTime(cfg, c.caAt, "the authority "+c.ca.String(), at, loaded.NotBefore, loaded.NotAfter)
}

// checkTime finds out whether at is between from and to, the time of what.
func checkTime(cfg *config.Config, path, what string, at, from, to time.Time) error {
	switch {
	case at.Before(from):
		return cfg.Fault(path, what+" is not good before "+day(from), "look at the clock of this machine, or at the certificate")
	case !at.Before(to):
		return cfg.Fault(path, what+" has expired on "+day(to), "renew it; a running ringwall follows the files")
	}
	return nil
}
