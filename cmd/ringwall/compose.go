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
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/binding/statefile"
	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/demo"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/transport"
)

// ringSize is how many events may wait for the log.
const ringSize = 4096

// reasonState: registrations can't be written to the state file.
const reasonState edge.Reason = "state.write"

// A service is everything that `ringwall run` runs. start builds it from the bottom up; Close takes it down in reverse.
type service struct {
	cfg   *config.Config
	log   *slog.Logger
	since time.Time

	ring      *event.Ring
	metrics   *event.Metrics
	keys      *seal.Keys
	bindings  *binding.Table
	upstreams []proxy.Upstream
	platform  *demo.Platform // nil unless there are no upstreams
	transport *transport.Server
	proxy     *proxy.Proxy
	admin     *admin.Server

	closeTransport func() error
	closers        []func() error // in the order in which things were opened
}

// start brings the service up to where it handles messages. On an error everything opened so far is closed again.
func start(ctx context.Context, cfg *config.Config, log *slog.Logger, stdout io.Writer) (_ *service, err error) {
	s := &service{cfg: cfg, log: log, since: time.Now(), ring: event.NewRing(ringSize), metrics: event.NewMetrics()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	s.goUntilClose(event.NewLog(s.ring, log, event.DefaultLogConfig()).Run) // first, so that it is closed last
	for _, step := range []func(context.Context) error{
		s.openState, s.findPlatform, s.openTransport, s.openJournal, s.openProxy, s.openAdmin,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	s.serve()
	if s.platform != nil {
		s.platform.Banner(stdout, bestFirst(s.transport.Listeners()))
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

// goUntilClose runs f in a goroutine whose context ends at Close, which waits for it.
func (s *service) goUntilClose(f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f(ctx) })
	s.onClose(func() error {
		cancel()
		wg.Wait()
		return nil
	})
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
	s.bindings, err = binding.New(binding.Config{}, s.keys)
	return err
}

// findPlatform finds the upstreams' addresses, or starts the demonstration platform where none is configured.
func (s *service) findPlatform(ctx context.Context) (err error) {
	if len(s.cfg.Upstreams) > 0 {
		s.upstreams, err = upstreams(ctx, s.cfg)
		return err
	}
	s.platform, err = demo.Start(context.WithoutCancel(ctx), demo.Config{Log: s.log.With("event", "demo")})
	if err != nil {
		return fmt.Errorf("start the demonstration platform: %w", err)
	}
	s.onClose(s.platform.Close)
	s.upstreams = []proxy.Upstream{{Addr: s.platform.Addr(), Transport: edge.UDP}}
	return nil
}

func (s *service) openTransport(ctx context.Context) error {
	places, err := listeners(ctx, s.cfg, s.upstreams[0])
	if err != nil {
		return err
	}
	cfg := transport.Config{
		Listen:               places,
		MaxMessage:           s.cfg.Limits.Message,
		ConnectionsPerSource: s.cfg.Limits.ConnectionsPerSource,
		Exempt:               s.exempt,
		InsideNets:           s.cfg.Inside.Sources,
		TLS:                  s.tls(),
		Log:                  s.log.With("event", event.Listener),
	}
	for _, u := range s.upstreams {
		cfg.InsideAddrs = append(cfg.InsideAddrs, u.Addr)
	}
	if s.transport, err = transport.Open(cfg); err != nil {
		return err
	}
	s.closeTransport = sync.OnceValue(s.transport.Close)
	s.onClose(s.closeTransport)
	return nil
}

// exempt reports sources that the limit of connections per source does not bind: registered phones and the platform.
func (s *service) exempt(a netip.Addr) bool {
	for _, u := range s.upstreams {
		if u.Addr.Addr() == a {
			return true
		}
	}
	for _, p := range s.cfg.Inside.Sources {
		if p.Contains(a) {
			return true
		}
	}
	return s.bindings.KnownAddr(a, time.Now())
}

// openJournal brings the bindings of the last run back and keeps them written from now on.
func (s *service) openJournal(ctx context.Context) error {
	db, err := statefile.Open(s.cfg.State)
	if err != nil {
		return err
	}
	s.onClose(db.Close)
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
		Name:  func(i uint16) string { return listenerName(all, i) },
		Index: func(name string) (uint16, bool) { return findListener(all, name) },
		State: func(err error) {
			e := edge.Event{At: time.Now(), Name: event.State, Message: "registrations are written again"}
			if err != nil {
				e.Reason, e.Message = reasonState, "registrations cannot be written: "+err.Error()
			}
			s.ring.Add(e)
		},
	})
}

func (s *service) openProxy(context.Context) (err error) {
	s.metrics.Reasons(proxy.Reasons()...)
	s.proxy, err = proxy.New(proxyConfig(s.cfg, s.upstreams), s.transport, s.bindings, s.keys, s.ring, s.metrics, s.since)
	return err
}

func (s *service) openAdmin(context.Context) (err error) {
	s.observe()
	s.admin, err = admin.Open(admin.Config{HTTP: s.cfg.Admin.HTTP, Socket: s.cfg.Admin.Socket,
		Collectors: []prometheus.Collector{s.metrics}, Log: s.log.With("event", "admin")})
	if err != nil {
		return err
	}
	s.admin.Handle("status", func(context.Context, json.RawMessage) (any, error) { return s.status(), nil })
	s.onClose(func() error { s.admin.Close(); return nil })
	return nil
}

// serve starts the goroutines that do the work. They end before anything that they use is closed.
func (s *service) serve() {
	s.onClose(s.closeTransport)
	s.goUntilClose(s.proxy.Run)
	s.transport.Serve(s.proxy.NewLane)
	s.admin.Serve()
}

// status is what the control socket tells.
func (s *service) status() status {
	p, all := s.proxy.Status(), s.transport.Listeners()
	st := status{
		State: s.admin.State().String(), Version: version(), PID: os.Getpid(), Since: s.since,
		Mode: string(s.cfg.Mode), Config: s.cfg.File,
		Outside: bound(all, edge.Outside), Inside: bound(all, edge.Inside),
		UpstreamState: p.Upstream, Demo: s.platform != nil,
		Bindings: p.Bindings, Transactions: p.Transactions, Pending: p.Pending,
		Connections: s.transport.Counters().ConnectionsOpen, EventsDropped: s.ring.Dropped(),
	}
	if a := s.admin.HTTPAddr(); a.IsValid() {
		st.Admin = a.String()
	}
	for _, u := range s.upstreams {
		st.Upstreams = append(st.Upstreams, u.Transport.String()+":"+u.Addr.String())
	}
	return st
}

func commas(list []string) string { return strings.Join(list, ",") }
