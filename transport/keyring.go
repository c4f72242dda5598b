package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
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
	met     acquaintances

	mu         sync.Mutex // guards what follows
	pairs      map[KeyPair]*followed[tls.Certificate]
	pools      map[Source]*followed[Authorities]
	identities map[Destination]Identity
	callers    []Caller // the narrowest prefix first
	states     map[Destination]*dialState
}

// keys is what is in force.
type keys struct {
	server  [edge.Transports]*tls.Config
	infos   []CertificateInfo
	dialled map[Destination]*dialled
	callers []caller // the narrowest prefix first
	unknown dialled  // what is true of destinations that have no identity
}

// A CertificateInfo tells an operator about a certificate in force, or about authorities.
type CertificateInfo struct {
	File      string    // or the name of its Source
	Authority bool      // these are authorities
	Names     []string  // names it is for: DNS names, addresses and URIs; none for authorities
	NotBefore time.Time // when it begins to be good, of authorities the first
	NotAfter  time.Time // when it expires, of authorities the last
	Problem   string    // why a newer content of the files is not in force, "" if there is none
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

// openKeyring loads all files of cfg, or says what is wrong with one by a *CertificateError.
func openKeyring(cfg TLS, log *slog.Logger) (*keyring, error) {
	k := &keyring{cfg: cfg, log: log, pairs: map[KeyPair]*followed[tls.Certificate]{}, pools: map[Source]*followed[Authorities]{},
		states: map[Destination]*dialState{}, met: acquaintances{all: map[Destination]*acquaintance{}}}
	orDuration(&k.cfg.Poll, defaultPoll)
	for _, p := range cfg.Certificates {
		if err := k.need(Source{}, p); err != nil {
			return nil, err
		}
	}
	if err := k.need(cfg.ClientCA, KeyPair{}); err != nil {
		return nil, err
	}
	_, err := k.setIdentities(cfg.Identities)
	return k, err
}

// need loads what is not loaded yet of authorities and a pair; none of them needs nothing.
func (k *keyring) need(ca Source, p KeyPair) error {
	if ca != (Source{}) && k.pools[ca] == nil {
		f := &followed[Authorities]{files: files(ca), load: func() (Authorities, error) { return LoadAuthorities(ca) }}
		if err := f.first(); err != nil {
			return err
		}
		k.pools[ca] = f
	}
	if p != (KeyPair{}) && k.pairs[p] == nil {
		f := &followed[tls.Certificate]{files: files(p.Certificate, p.Key), load: p.Load}
		if err := f.first(); err != nil {
			return err
		}
		k.pairs[p] = f
	}
	return nil
}

// drop forgets what nobody needs any more.
func (k *keyring) drop() {
	needed := map[any]bool{k.cfg.ClientCA: true}
	for _, p := range k.cfg.Certificates {
		needed[p] = true
	}
	for _, id := range k.identities {
		needed[id.CA], needed[id.Own] = true, true
	}
	for _, c := range k.callers {
		needed[c.CA] = true
	}
	maps.DeleteFunc(k.pairs, func(p KeyPair, _ *followed[tls.Certificate]) bool { return !needed[p] })
	maps.DeleteFunc(k.pools, func(ca Source, _ *followed[Authorities]) bool { return !needed[ca] })
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
	next := &keys{dialled: map[Destination]*dialled{}, unknown: dialled{roots: k.cfg.Roots}}
	var all []tls.Certificate
	for _, p := range k.cfg.Certificates {
		all = append(all, k.pairs[p].value)
	}
	if len(all) > 0 {
		next.unknown.own = &all[0]
		var clients *x509.CertPool
		if ca := k.pools[k.cfg.ClientCA]; ca != nil {
			clients = ca.value.Pool
		}
		for _, t := range []edge.Transport{edge.TLS, edge.WSS} {
			next.server[t] = serverConfig(all, clients, k.cfg.ClientCertificates, t, nil)
		}
	}
	var before []caller
	if now := k.current.Load(); now != nil {
		before = now.callers
	}
	next.callers = k.callersInForce(all, before)
	for to, id := range k.identities {
		next.dialled[to] = k.dialled(to, id, next.unknown)
	}
	next.infos = k.infos()
	k.current.Store(next)
}

// dialled is the identity of one destination with what is loaded for it, on top of what is true of all.
func (k *keyring) dialled(to Destination, id Identity, d dialled) *dialled {
	d.Identity = id
	if d.ServerName == "" {
		d.ServerName = to.Addr.Addr().String()
	}
	if f := k.pools[id.CA]; f != nil {
		d.roots = f.value.Pool
	}
	if f := k.pairs[id.Own]; f != nil {
		own := f.value
		d.own = &own
	}
	if k.states[to] == nil {
		k.states[to] = new(dialState)
	}
	d.state = k.states[to]
	return &d
}

// infos tell of the certificates, those of listeners first, and of authorities.
func (k *keyring) infos() (all []CertificateInfo) {
	rest := slices.SortedFunc(maps.Keys(k.pairs), func(a, b KeyPair) int { return cmp.Compare(a.Certificate.name, b.Certificate.name) })
	seen := map[KeyPair]bool{}
	for _, p := range slices.Concat(k.cfg.Certificates, rest) {
		if f := k.pairs[p]; !seen[p] {
			seen[p] = true
			leaf := f.value.Leaf
			all = append(all, CertificateInfo{File: p.Certificate.name, Names: namesOf(leaf), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Problem: f.problem})
		}
	}
	for _, ca := range slices.SortedFunc(maps.Keys(k.pools), func(a, b Source) int { return cmp.Compare(a.name, b.name) }) {
		f := k.pools[ca]
		all = append(all, CertificateInfo{File: ca.name, Authority: true, NotBefore: f.value.NotBefore, NotAfter: f.value.NotAfter, Problem: f.problem})
	}
	return all
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
	for _, pair := range k.pairs {
		new, err := pair.follow()
		if new {
			k.log.Info("the certificate has changed", slog.Any("files", pair.files), slog.Time("not_after", pair.value.Leaf.NotAfter))
		}
		changed, errs = changed || new, append(errs, err)
	}
	for _, ca := range k.pools {
		new, err := ca.follow()
		if new {
			k.log.Info("the authorities have changed", slog.Any("files", ca.files), slog.Time("not_after", ca.value.NotAfter))
		}
		changed, errs = changed || new, append(errs, err)
	}
	err := errors.Join(errs...)
	if err != nil {
		k.log.Error("what is in force stays: the new content of its files cannot be used", slog.Any("error", err))
	}
	if changed || err != nil {
		k.publish()
	}
}

// server is the configuration of a new connection to a listener of t.
func (k *keyring) server(t edge.Transport) *tls.Config { return k.current.Load().server[t] }

// dial is the identity of a server that is about to be dialled.
func (k *keyring) dial(to Destination) *dialled {
	now := k.current.Load()
	if d := now.dialled[to]; d != nil {
		return d
	}
	d := now.unknown
	d.ServerName = k.met.nameOf(to)
	return &d
}

// Certificates tells of the certificates in force: those of listeners in the order of Config.TLS, then those that we show when
// dialling, then authorities.
func (s *Server) Certificates() []CertificateInfo { return s.keyring.current.Load().infos }
