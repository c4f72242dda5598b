package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// defaultPoll is how often certificate files are looked at.
const defaultPoll = time.Second

// A keyring holds the certificates in force and follows their files. A changed file is taken in force whole, for new connections; one
// that cannot be read leaves what was in force as it is.
type keyring struct {
	cfg     TLS
	log     *slog.Logger
	current atomic.Pointer[keys]

	mu    sync.Mutex // one look at the files at a time
	pairs []followed[tls.Certificate]
	ca    followed[*x509.CertPool]
}

// keys is what is in force.
type keys struct {
	server  [edge.Transports]*tls.Config
	infos   []CertificateInfo
	ownCert *tls.Certificate // the first certificate: what we show when dialling
}

// A CertificateInfo tells an operator about a certificate in force.
type CertificateInfo struct {
	File     string    // of the certificate
	Names    []string  // names it is for: DNS names, addresses and URIs
	NotAfter time.Time // when it expires
	Problem  string    // why a newer content of the files is not in force, "" if there is none
}

// followed is a value that is made of files.
type followed[T any] struct {
	files   []string
	load    func() (T, error)
	value   T
	stamp   string // of the files when they were loaded last, successfully or not
	failed  bool   // the last load failed, and once more may be tried silently: a pair is seldom replaced in one instant
	problem string // why what is in the files is not in force
}

// A CertificateError says which file of Config.TLS cannot be used at start, and why.
type CertificateError struct{ Err error }

// Error returns the sentence.
func (e *CertificateError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *CertificateError) Unwrap() error { return e.Err }

// openKeyring loads all files of cfg, or says what is wrong with one by a *CertificateError.
func openKeyring(cfg TLS, log *slog.Logger, now time.Time) (*keyring, error) {
	k := &keyring{cfg: cfg, log: log}
	orDuration(&k.cfg.Poll, defaultPoll)
	for _, p := range cfg.Certificates {
		f := followed[tls.Certificate]{files: []string{p.Certificate, p.Key}, load: func() (tls.Certificate, error) { return loadPair(p) }}
		if err := f.first(); err != nil {
			return nil, &CertificateError{err}
		}
		if left := f.value.Leaf.NotAfter.Sub(now); left <= 0 {
			log.Warn("the certificate has expired", slog.String("file", p.Certificate), slog.Time("not_after", f.value.Leaf.NotAfter))
		}
		k.pairs = append(k.pairs, f)
	}
	if cfg.ClientCA != "" {
		k.ca = followed[*x509.CertPool]{files: []string{cfg.ClientCA}, load: func() (*x509.CertPool, error) { return loadPool(cfg.ClientCA) }}
		if err := k.ca.first(); err != nil {
			return nil, &CertificateError{err}
		}
	}
	k.publish()
	return k, nil
}

// loadPair reads a certificate and its key.
func loadPair(p KeyPair) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
	if err == nil && pair.Leaf == nil {
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	if err != nil {
		return pair, fmt.Errorf("cannot use the certificate %s with the key %s: %w", p.Certificate, p.Key, err)
	}
	return pair, nil
}

// loadPool reads a file of authorities.
func loadPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the authorities of client certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cannot use the authorities of client certificates in %s: no certificate in PEM form there", file)
	}
	return pool, nil
}

// first loads f at start.
func (f *followed[T]) first() (err error) {
	f.stamp = stampOf(f.files)
	f.value, err = f.load()
	return err
}

// follow loads f again if its files have changed. It reports whether there is a new value, and an error worth telling: that of a
// content which is still there, and still wrong, at the second look.
func (f *followed[T]) follow() (changed bool, err error) {
	stamp := stampOf(f.files)
	if stamp == f.stamp && !f.failed {
		return false, nil
	}
	again := f.failed && stamp == f.stamp
	f.stamp = stamp
	value, err := f.load()
	switch {
	case err == nil:
		f.value, f.failed, f.problem = value, false, ""
		return true, nil
	case again:
		f.failed, f.problem = false, err.Error()
		return false, err
	}
	f.failed = true
	return false, nil
}

// stampOf changes when one of the files does. A file that is not there has a stamp, too.
func stampOf(files []string) string {
	var stamp string
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			stamp += "none;"
			continue
		}
		inode := uint64(0)
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = s.Ino
		}
		stamp += fmt.Sprintf("%d %d %d;", info.ModTime().UnixNano(), info.Size(), inode)
	}
	return stamp
}

// publish puts what is loaded in force.
func (k *keyring) publish() {
	next := &keys{}
	var all []tls.Certificate
	for i := range k.pairs {
		pair := &k.pairs[i]
		all = append(all, pair.value)
		next.infos = append(next.infos, CertificateInfo{File: k.cfg.Certificates[i].Certificate, Names: namesOf(pair.value.Leaf),
			NotAfter: pair.value.Leaf.NotAfter, Problem: pair.problem})
	}
	if len(all) > 0 {
		next.ownCert = &all[0]
		for _, t := range []edge.Transport{edge.TLS, edge.WSS} {
			next.server[t] = serverConfig(all, k.ca.value, k.cfg.ClientCertificates, t)
		}
	}
	k.current.Store(next)
}

func namesOf(leaf *x509.Certificate) (names []string) {
	names = append(names, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	return names
}

// watched reports whether there are files to follow.
func (k *keyring) watched() bool { return len(k.pairs) > 0 || len(k.ca.files) > 0 }

// watch follows the files until ctx ends.
func (k *keyring) watch(ctx context.Context) {
	tick := time.NewTicker(k.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.look()
		}
	}
}

// look takes in force what has changed in the files, and tells once of what cannot be.
func (k *keyring) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	var changed bool
	var errs []error
	for i := range k.pairs {
		pair := &k.pairs[i]
		new, err := pair.follow()
		if new {
			k.log.Info("the certificate has changed", slog.String("file", pair.files[0]), slog.Time("not_after", pair.value.Leaf.NotAfter))
		}
		changed, errs = changed || new, append(errs, err)
	}
	if len(k.ca.files) > 0 {
		new, err := k.ca.follow()
		changed, errs = changed || new, append(errs, err)
	}
	err := errors.Join(errs...)
	if err != nil {
		k.log.Error("the certificate in force stays: its new content cannot be used", slog.Any("error", err))
	}
	if changed || err != nil {
		k.publish()
	}
}

// server is the configuration of a new connection to a listener of t.
func (k *keyring) server(t edge.Transport) *tls.Config { return k.current.Load().server[t] }

// client is the configuration for dialling remote. Our certificate is shown if the server asks for one.
func (k *keyring) client(remote netip.AddrPort) *tls.Config {
	domain := ""
	if k.cfg.ServerName != nil {
		domain = k.cfg.ServerName(remote)
	}
	if domain == "" {
		domain = remote.Addr().String()
	}
	return clientConfig(k.cfg.Roots, domain, func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if own := k.current.Load().ownCert; own != nil {
			return own, nil
		}
		return &tls.Certificate{}, nil
	})
}

// Certificates tells of our certificates in force, in the order of Config.TLS.Certificates.
func (s *Server) Certificates() []CertificateInfo { return s.keyring.current.Load().infos }
