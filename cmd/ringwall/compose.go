package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/demo"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/gate/soft"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/media"
	"github.com/ringwall/ringwall/memory"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/resolve"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/state/statefile"
	"github.com/ringwall/ringwall/transport"
)

// ringSize is how many events may wait for the log.
const ringSize = 4096

// Why the state file is not what it should be.
const (
	reasonState   edge.Reason = "state.write"   // registrations can't be written
	reasonBans    edge.Reason = "state.bans"    // bans can't be written
	reasonCalls   edge.Reason = "state.calls"   // calls with media can't be written or read
	reasonDamaged edge.Reason = "state.damaged" // the file was damaged and is set aside
)

// A service is everything that `ringwall run` runs. start builds it from the bottom up; Close takes it down in reverse.
type service struct {
	boot
	since time.Time

	ring      *event.Ring
	metrics   *event.Metrics
	keys      *seal.Keys
	bindings  *binding.Table
	bans      *ban.Book
	gate      *soft.Gate
	bench     bench // guarded by benching; after the start it changes at reloads only
	benching  sync.Mutex
	judging   atomic.Pointer[judge.Judge] // that of bench
	innocence innocence
	db        *sql.DB        // the state file
	platform  *demo.Platform // nil unless there are no upstreams
	transport *transport.Server
	relay     *media.Relay   // nil: others relay media, or nobody
	builtin   *media.BuiltIn // with relay
	calls     *media.Calls   // nil: media is not relayed
	proxy     *proxy.Proxy
	admin     *admin.Server
	memory    *memory.Watch
	budget    budget            // of the start
	names     *resolve.Follower // of everything that is named by a name

	settings   atomic.Pointer[settings] // in force
	reloading  sync.Mutex               // one reload at a time
	lastReload atomic.Pointer[reloaded] // nil: none yet

	draining sync.Mutex // guards stopping, and the order of drain and its end
	stopping bool       // TERM came

	journalError atomic.Pointer[string]        // why registrations are not written; nil: they are
	file         *statefile.Guard              // the state file
	banError     atomic.Pointer[string]        // why bans are not written; nil: they are
	knownError   atomic.Pointer[string]        // why known users are not written; nil: they are
	callError    atomic.Pointer[string]        // why calls with media are not written; nil: they are, or are not to be
	operators    operators                     // addresses that operators are signed in from
	nameProblems atomic.Pointer[[]nameProblem] // of upstreams; nil: none yet
	dropAt       atomic.Pointer[time.Time]     // when events were last seen to be lost; nil: never

	closeTransport func() error
	closers        []func() error // in the order in which things were opened
}

// A boot is what a service is started with.
type boot struct {
	cfg   *config.Config // as it was at start; what is in force now: service.settings
	from  origin         // of cfg
	log   *slog.Logger
	level *slog.LevelVar // of log
	lines *event.Lines   // that log writes to; nil: somewhere else

	manager *manager // that is told how the service goes; nil: none is

	lookup lookupFunc // finds where names lead; nil: by the DNS of the system
}

// start brings the service up to where it handles messages. On an error everything opened so far is closed again. When ctx ends no look-up of a
// name is waited for any more; what is read from disk is read whole.
func start(ctx context.Context, b boot, stdout io.Writer) (_ *service, err error) {
	s := &service{boot: b, since: time.Now(), ring: event.NewRing(ringSize), metrics: event.NewMetrics()}
	s.memory = memory.New(memoryLimit(b.cfg.Limits.Memory), s.pressed)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	s.goUntilClose(event.NewLog(s.ring, s.log, event.DefaultLogConfig()).Run) // first, so that it is closed last
	for _, step := range []func(context.Context) error{
		s.openState, s.openBans, s.openNames, s.findPlatform, s.openTransport, s.openJournals, s.openPeers, s.openMedia, s.openProxy, s.openAdmin,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	s.serve()
	if s.platform != nil {
		s.platform.Banner(stdout, bestFirst(s.transport.Listeners()))
		tryNext(stdout, s.from)
	}
	return s, nil
}

// onClose remembers what Close has to do.
func (s *service) onClose(f func() error) { s.closers = append(s.closers, f) }

// Close stops the service and returns when its goroutines have ended and its bindings are written.
func (s *service) Close() error {
	var errs []error
	for _, f := range slices.Backward(s.closers) {
		errs = append(errs, f())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// goUntilClose runs f in a goroutine whose context ends at Close, which waits for it. Should f panic, that is logged and f begins anew.
func (s *service) goUntilClose(f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for !s.survived(ctx, f) && ctx.Err() == nil {
			time.Sleep(time.Second)
		}
	})
	s.onClose(func() error {
		cancel()
		wg.Wait()
		return nil
	})
}

// each calls f once in every span, with the time, until ctx ends.
func each(ctx context.Context, every time.Duration, f func(at time.Time)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			f(at)
		}
	}
}

// survived runs f and reports whether it ended by itself.
func (s *service) survived(ctx context.Context, f func(context.Context)) (ended bool) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("a task panicked and begins anew", "event", event.Fault, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f(ctx)
	return true
}

// openState locks the state folder and opens the keys and the table of bindings.
func (s *service) openState(context.Context) error {
	if err := prepareFolders(s.cfg); err != nil {
		return err
	}
	lock, err := lockState(s.cfg.State)
	if err != nil {
		return err
	}
	s.onClose(lock.Close)
	if s.keys, err = seal.Open(s.cfg.Topology.KeyFile); err != nil {
		return err
	}
	s.bindings, err = binding.New(binding.Config{Lapsed: s.lapsed}, s.keys)
	return err
}

// openNames makes ready to look names up.
func (s *service) openNames(context.Context) error {
	if s.lookup == nil {
		r, err := resolve.New(resolve.Config{})
		if err != nil {
			return err
		}
		s.lookup = r.Lookup
	}
	s.names = resolve.NewFollower(s.lookup)
	return nil
}

// findPlatform finds the upstreams' addresses, or starts the demonstration platform where none is configured.
func (s *service) findPlatform(ctx context.Context) error {
	all, err := s.findUpstreams(ctx)
	s.settings.Store(&settings{cfg: s.cfg, upstreams: all})
	return err
}

func (s *service) findUpstreams(ctx context.Context) (all []proxy.Upstream, err error) {
	if len(s.cfg.Upstreams) > 0 {
		return upstreams(ctx, s.cfg, s.lookup)
	}
	s.platform, err = demo.Start(context.WithoutCancel(ctx), demo.Config{Log: s.log.With("event", "demo")})
	if err != nil {
		return nil, fmt.Errorf("start the demonstration platform: %w", err)
	}
	s.onClose(s.platform.Close)
	return []proxy.Upstream{{Addr: s.platform.Addr(), Transport: edge.UDP}}, nil
}

func (s *service) openTransport(ctx context.Context) error {
	platform := s.settings.Load().upstreams
	places, err := listeners(ctx, s.cfg, platform[0])
	if err != nil {
		return err
	}
	if err := checkCredentials(s.cfg, time.Now(), false); err != nil {
		return err
	}
	tls, err := s.tls()
	if err != nil {
		return err
	}
	s.budget = share(s.cfg, socketsOf(len(places)), mediaLines(&s.cfg.Media, places), mostFiles())
	cfg := transport.Config{
		Listen:               places,
		MaxMessage:           s.cfg.Limits.Message,
		Connections:          s.budget.connections,
		ConnectionsPerSource: s.cfg.Limits.ConnectionsPerSource,
		ReadBytes:            s.budget.reading,
		Pressure:             s.memory.Pressure,
		Exempt:               s.exempt,
		Bound:                s.bound,
		Refuse:               s.gate.Refuses,
		QueueBytes:           s.budget.queued,
		ProxyProtocol:        s.cfg.Outside.ProxyProtocol,
		InsideNets:           s.cfg.Inside.Sources,
		InsideAddrs:          addrs(platform),
		TLS:                  tls,
		AFXDP:                s.cfg.AFXDP.Interfaces,
		AFXDPGeneric:         s.cfg.AFXDP.Mode == config.AFXDPGeneric,
		Log:                  s.log.With("event", event.Listener),
	}
	if s.transport, err = transport.Open(cfg); err != nil {
		if bad, ok := errors.AsType[*transport.CertificateError](err); ok {
			return s.cfg.Fault("tls", bad.Error(), "name the files of a certificate and its own key, both in PEM form and readable by ringwall")
		}
		return err
	}
	s.closeTransport = sync.OnceValue(s.transport.Close)
	s.onClose(s.closeTransport)
	return nil
}

// exempt reports sources that the limit of connections per source does not bind: registered phones, peers and the platform.
func (s *service) exempt(a netip.Addr) bool {
	now := s.settings.Load()
	return now.inside(a) || now.trusted(a) || s.bindings.KnownAddr(a, time.Now())
}

// bound reports connections that are a registered phone's themselves, a peer's or the platform's.
func (s *service) bound(f edge.Flow) bool {
	now := s.settings.Load()
	return now.inside(f.Remote.Addr()) || now.trusted(f.Remote.Addr()) || s.bindings.Known(f, time.Now())
}

// openJournals brings the bindings and bans of the last run back and keeps them written from now on.
func (s *service) openJournals(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	db, err := s.openFile(ctx)
	if err != nil {
		return err
	}
	s.onClose(db.Close)
	if s.file, err = statefile.NewGuard(db, s.cfg.State); err != nil {
		return err
	}
	s.db = db
	if err := s.openBanJournal(ctx, db); err != nil {
		return err
	}
	journal, err := s.journal(ctx, db)
	if err != nil {
		return err
	}
	s.onClose(func() error { return journal.Close(context.Background()) })
	if restored, left := journal.Loaded(); restored+left > 0 {
		s.log.Info("registrations are back", "event", event.State, "bindings", restored, "left_out", left)
	}
	return nil
}

func (s *service) journal(ctx context.Context, db *sql.DB) (*binding.Journal, error) {
	all := s.transport.Listeners()
	return binding.OpenJournal(ctx, db, s.bindings, s.since, binding.JournalOptions{
		Name:   func(i uint16) string { return listenerName(all, i) },
		Index:  func(name string) (uint16, bool) { return findListener(all, name) },
		State:  s.journalState("registrations", reasonState, &s.journalError),
		Sound:  s.file.Watch(),
		Repair: s.repair,
	})
}

// openPeers finds the peers' addresses, and says who they are that are dialled over TLS.
func (s *service) openPeers(ctx context.Context) error {
	if err := s.checkOwn(s.cfg); err != nil {
		return err
	}
	now := *s.settings.Load()
	now.trunks = s.trunks(ctx, &now, s.lookup)
	s.tellNames(now.trunks, nil)
	who, err := now.identities()
	if err != nil {
		return err
	}
	s.settings.Store(&now)
	return s.introduce(&now, who)
}

func (s *service) openProxy(context.Context) (err error) {
	s.metrics.Reasons(proxy.Reasons()...)
	s.metrics.Reasons(checkReasons()...)
	now := s.settings.Load()
	s.protect(now)
	cfg := now.proxyConfig()
	if cfg.Judge, err = s.assemble(now.cfg); err != nil {
		return err
	}
	cfg.Media, cfg.Lookup = s.calls, proxy.Lookup(s.lookup)
	s.proxy, err = proxy.New(cfg, s.transport, s.bindings, s.bans, s.keys, s.ring, s.metrics, s.since)
	return err
}

func (s *service) openAdmin(context.Context) (err error) {
	s.observe()
	s.admin, err = admin.Open(admin.Config{HTTP: s.cfg.Admin.HTTP, Socket: s.cfg.Admin.Socket,
		Collectors: []prometheus.Collector{s.metrics, peerMetrics{func() []proxy.PeerStatus { return s.proxy.Status().Peers }}, checkMetrics{s.judge}}, Log: s.log.With("event", "admin")})
	if err != nil {
		return err
	}
	s.admin.Handle("status", func(context.Context, json.RawMessage) (any, error) { return s.status(), nil })
	s.admin.Handle("file", func(context.Context, json.RawMessage) (any, error) { return ofFile(s.cfg.File), nil })
	s.admin.Handle("reload", s.handleReload)
	s.admin.Handle("drain", s.handleDrain)
	s.admin.Handle("rotate", answering(s.rotate))
	s.admin.HandleStream("trace", s.trace)
	s.admin.HandleStream("tail", s.tail)
	s.admin.Handle("calls", func(context.Context, json.RawMessage) (any, error) { return s.listCalls(), nil })
	s.handleBans()
	s.handleTrust()
	s.onClose(func() error { s.admin.Close(); return nil })
	return nil
}

// serve starts the goroutines that do the work. They end before anything that they use is closed.
func (s *service) serve() {
	s.onClose(s.closeTransport)
	s.goUntilClose(s.proxy.Run)
	s.goUntilClose(s.watchDrops)
	s.goUntilClose(s.watchCertificates)
	s.goUntilClose(s.memory.Run)
	s.serveMedia()
	s.goUntilClose(s.tendBans)
	s.transport.Serve(s.proxy.NewLane)
	s.admin.Serve()
}
