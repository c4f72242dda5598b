package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
)

// reloadTimeout bounds a reload; only look-ups of upstreams' names take time in it.
const reloadTimeout = 15 * time.Second

// eventReload is the event of log lines about the configuration.
const eventReload = "reload"

// live are the keys that a reload puts in force. All others are read at start only and keep their value until a restart.
var live = []string{
	"outside.proxy_protocol", "inside.sources", "inside.names", "upstreams", "peers", "domains", "registrations.path", "registrations.keepalive", "tls", "tls.client_certificates", "tls.client_ca",
	"topology.hide", "topology.mask_call_id", "topology.guard", "topology.bodies", "identity.server", "media.latch", "media.silence.after", "media.silence.end", "media.packets", "media.coalesce", "access.unknown", "access.known", "access.peer", "access.unify", "access.not_unified", "access.open_inbound", "headers.source", "headers.from_outside.remove",
	"headers.from_outside.allow", "headers.to_outside.allow", "trust.never_ban", "trust.realm", "trust.challenge", "checks", "bans.first", "bans.longest", "limits.memory", "limits.headers", "limits.header", "limits.uri", "limits.vias", "limits.parameters",
	"limits.connections_per_source", "timers.t1", "timers.t2", "timers.t4", "timers.c", "timers.linger", "timers.drain", "log.level", "mode",
}

func newReload() *cobra.Command {
	var of target
	var as output
	var order reloadOrder
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "let a running ringwall read its configuration again",
		Long: "reload lets the running service read its configuration again, with the same file and flags, and put it in force\n" +
			"without losing a message. It prints what changed, and which keys keep their old value until a restart. If anything\n" +
			"is wrong, nothing changes: every mistake is printed and the exit code is 78. HUP does the same and tells the log.\n" +
			"With --dry-run nothing changes in any case, and it prints what would.",
		Args: cobra.NoArgs,
	}
	of.flags(cmd)
	as.flag(cmd, "table", "json")
	order.flags(cmd, "log")
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		var r reloaded
		if err := of.call(cmd.Context(), "reload", order, &r); err != nil {
			return err
		}
		if as.form == "json" {
			return cmp.Or(printJSON(cmd.OutOrStdout(), &r), r.err())
		}
		if err := r.err(); err != nil {
			return err
		}
		return r.print(cmd.OutOrStdout())
	})
	return cmd
}

// print tells a reload that worked.
func (r *reloaded) print(out io.Writer) error {
	done, nothing, changed := "reloaded", "nothing changed", "changed: "
	if r.Dry {
		done, nothing, changed = "would be taken", "nothing would change", "would change: "
	}
	if len(r.Changed) > 0 {
		nothing = changed + strings.Join(r.Changed, ", ")
	}
	_, err := fmt.Fprintf(out, "%s: %s, %s\n", configName(r.Config), paint(out, green, done), nothing)
	if err == nil && len(r.Restart) > 0 {
		_, err = fmt.Fprintf(out, "%s for: %s (they keep their old values)\n", paint(out, amber, "restart needed"), strings.Join(r.Restart, ", "))
	}
	return err
}

// reloadOrder is what the verb reload of the control socket takes.
type reloadOrder struct{ change }

// An origin is where the configuration comes from, so that it can be read again.
type origin struct {
	file  string // "": the default file
	flags config.Overrides
}

func (o origin) load() (*config.Config, error) { return load(o.file, o.flags) }

// settings are the configuration in force. They are never written after they were made.
type settings struct {
	cfg       *config.Config // with the old values of the keys in restart
	upstreams []proxy.Upstream
	retired   []retiree
	trunks    []trunk  // as cfg.Peers
	restart   []string // keys whose new value waits for a restart
}

// platform are the servers that messages may go to inside: the upstreams, and those that retire.
func (s *settings) platform() []proxy.Upstream {
	all := slices.Clone(s.upstreams)
	for _, r := range s.retired {
		all = append(all, r.Upstream)
	}
	return all
}

// proxyConfig says s in the proxy's terms.
func (s *settings) proxyConfig() proxy.Config {
	cfg := proxyConfig(s.cfg, s.upstreams, s.trunks)
	cfg.Sources = slices.Clone(cfg.Sources)
	for _, r := range s.retired {
		a := r.Addr.Addr()
		if !s.inside(a) {
			cfg.Former = append(cfg.Former, a)
		}
		cfg.Sources = append(cfg.Sources, netip.PrefixFrom(a, a.BitLen()))
	}
	return cfg
}

// inside reports whether a belongs to the platform.
func (s *settings) inside(a netip.Addr) bool {
	return slices.ContainsFunc(s.upstreams, func(u proxy.Upstream) bool { return u.Addr.Addr() == a }) ||
		slices.ContainsFunc(s.retired, func(r retiree) bool { return !r.removed && r.Addr.Addr() == a }) ||
		slices.ContainsFunc(s.cfg.Inside.Sources, func(p netip.Prefix) bool { return p.Contains(a) })
}

// A reloaded is how a reload ended: the answer to the verb of that name, and a part of status. Its names are stable.
type reloaded struct {
	At       time.Time     `json:"at"`
	OK       bool          `json:"ok"`                // false: everything stays as it was
	Dry      bool          `json:"dry_run,omitempty"` // it was only asked what would change
	Config   string        `json:"config"`
	Changed  []string      `json:"changed"`           // keys whose new value is in force now
	Restart  []string      `json:"restart"`           // keys whose new value waits for a restart
	Problems config.Errors `json:"problems"`          // what is wrong with the configuration
	Failure  string        `json:"failure,omitempty"` // why it could not be read at all
	Code     int           `json:"code"`              // exit code that `ringwall reload` ends with
}

// err is the error that stopped the reload, nil if none did.
func (r *reloaded) err() error {
	switch {
	case r.OK:
		return nil
	case len(r.Problems) > 0:
		return fail(r.Code, r.Problems)
	}
	return fail(r.Code, errors.New(r.Failure))
}

// why tells in a few words what stopped the reload.
func (r *reloaded) why() string {
	if len(r.Problems) > 0 {
		return count(len(r.Problems), "problem")
	}
	return r.Failure
}

// handleReload answers the verb of that name.
func (s *service) handleReload(ctx context.Context, raw json.RawMessage) (any, error) {
	var order reloadOrder
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &order); err != nil {
			return nil, fmt.Errorf("arguments of reload: %w", err)
		}
	}
	return s.reload(ctx, "ringwall reload", order), nil
}

// reloadOn reloads at each HUP until ctx ends.
func (s *service) reloadOn(ctx context.Context, hups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hups:
			s.reload(ctx, "HUP", reloadOrder{})
		}
	}
}

// reload reads the configuration again and puts it in force, or changes nothing if anything is wrong with it. One reload
// runs at a time. by says in the log who asked for it. One that is only to tell what would change leaves no trace.
func (s *service) reload(ctx context.Context, by string, order reloadOrder) *reloaded {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if !order.Dry {
		s.manager.reloading()
		defer s.manager.ready()
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	r := &reloaded{Config: s.from.file, Dry: order.Dry, Changed: []string{}, Restart: []string{}, Problems: config.Errors{}}
	next, err := s.from.load()
	if err == nil {
		r.Config = next.File
		err = s.follow(ctx, next, r)
	}
	r.At, r.OK = time.Now(), err == nil
	if err != nil && !errors.As(err, &r.Problems) {
		r.Failure = err.Error()
	}
	if err != nil {
		r.Code = exitCode(failed(err))
	}
	if !r.Dry {
		s.lastReload.Store(r)
		s.logReload(r, by, order.Text)
	}
	return r
}

// follow puts next in force as far as that needs no restart, unless r is only to tell of it, and notes in r what changed.
func (s *service) follow(ctx context.Context, next *config.Config, r *reloaded) error {
	to, changed, err := s.plan(ctx, next)
	if err == nil && !r.Dry {
		changed, err = s.apply(to, changed)
	}
	if err != nil {
		return err
	}
	r.Changed, r.Restart = append(r.Changed, changed...), append(r.Restart, to.restart...)
	return nil
}

// plan finds out what next makes of the settings in force, and which keys that changes now. Nothing is put in force.
func (s *service) plan(ctx context.Context, next *config.Config) (to *settings, changed []string, err error) {
	old := s.settings.Load()
	changed, restart := sortChanges(old.cfg, next)
	mixed, err := next.Keep(old.cfg, restart)
	if err != nil {
		return nil, nil, err
	}
	to = &settings{cfg: mixed, upstreams: old.upstreams, retired: old.retired, trunks: old.trunks, restart: restart}
	if slices.Contains(changed, "upstreams") {
		if to.upstreams, err = s.newUpstreams(ctx, mixed); err != nil {
			return nil, nil, err
		}
		to.retired = retire(old, mixed, to.upstreams, time.Now())
	}
	if err := checkCredentials(next, time.Now(), false); err != nil {
		return nil, nil, err
	}
	if slices.Contains(changed, "peers") {
		if err := s.checkOwn(mixed); err != nil {
			return nil, nil, err
		}
		to.trunks = s.trunks(ctx, to, s.lookup)
	}
	cfg := to.proxyConfig()
	return to, changed, cfg.Validate()
}

// apply puts to in force, and returns changed with the key file if another node has rotated the keys.
func (s *service) apply(to *settings, changed []string) ([]string, error) {
	rotated, err := s.keys.Reload()
	if err != nil {
		return nil, err
	}
	if rotated {
		changed = append(changed, "topology.key_file")
	}
	before := s.settings.Load().trunks
	if err := s.enforce(to); err != nil {
		return nil, err
	}
	s.tellNames(to.trunks, before)
	mixed := to.cfg
	s.resume(time.Now(), "reloaded")
	s.names.Set(s.queries(mixed)...)
	s.forgetProblems(mixed)
	s.level.Set(mixed.Log.Level)
	s.memory.SetLimit(memoryLimit(mixed.Limits.Memory))
	return changed, nil
}

// enforce puts to in force, or nothing of it.
func (s *service) enforce(to *settings) error {
	cfg := to.proxyConfig()
	if err := cfg.Validate(); err != nil {
		return err
	}
	who, err := to.identities()
	if err != nil {
		return err
	}
	if err := s.introduce(to, who); err != nil {
		return err
	}
	if cfg.Judge, err = s.assemble(to.cfg); err != nil {
		return err
	}
	s.transport.SetInside(cfg.Sources, addrs(to.platform())) // before anything is sent there
	s.transport.SetProxyProtocol(to.cfg.Outside.ProxyProtocol)
	s.transport.SetConnectionsPerSource(to.cfg.Limits.ConnectionsPerSource)
	if err := s.proxy.Apply(cfg); err != nil {
		return err
	}
	s.settings.Store(to)
	s.protect(to)
	s.tuneMedia(&to.cfg.Media)
	s.bans.SetLengths(to.cfg.Bans.First, to.cfg.Bans.Longest)
	return nil
}

// sortChanges names the keys that differ between old, which is in force, and next: those that can change now, and those
// that need a restart. The demonstration platform is neither started nor stopped by a reload, nor do the last certificates go.
func sortChanges(old, next *config.Config) (changed, restart []string) {
	for _, key := range config.Changes(old, next) {
		demo := key == "upstreams" && (len(old.Upstreams) == 0 || len(next.Upstreams) == 0)
		bare := strings.HasPrefix(key, "tls") && len(next.TLS.Certificates) == 0 // the listeners that want one stay, too
		if slices.Contains(live, key) && !demo && !bare {
			changed = append(changed, key)
		} else {
			restart = append(restart, key)
		}
	}
	return changed, restart
}

// open is cfg with the listeners that are open, wildcards and defaults resolved.
func (s *service) open(cfg *config.Config) *config.Config {
	open := *cfg
	open.Outside.Listen, open.Inside.Listen = nil, nil
	for _, l := range s.transport.Listeners() {
		to := &open.Outside.Listen
		if l.Side == edge.Inside {
			to = &open.Inside.Listen
		}
		if !l.Spread {
			*to = append(*to, config.Listen{Transport: l.Transport, Addr: l.Addr})
		}
	}
	return &open
}

// newUpstreams finds the servers of cfg's upstreams as they can be reached from the listeners that are open.
func (s *service) newUpstreams(ctx context.Context, cfg *config.Config) ([]proxy.Upstream, error) {
	all, err := upstreams(ctx, s.open(cfg), s.lookup)
	var lost *lostUpstream
	switch {
	case errors.As(err, &lost):
		return nil, cfg.Fault(lost.Path, lost.err.Error(), "")
	case err != nil:
		return nil, err
	}
	return all, s.checkLocal(ctx, cfg, all[0])
}

// checkLocal holds where inside.listen is left out: the listeners are then on the address that led to the first upstream of the start.
func (s *service) checkLocal(ctx context.Context, cfg *config.Config, first proxy.Upstream) error {
	if len(cfg.Inside.Listen) > 0 {
		return nil
	}
	local, err := localAddr(ctx, first.Addr)
	if err != nil || slices.ContainsFunc(s.open(cfg).Inside.Listen, func(l config.Listen) bool { return l.Addr.Addr() == local }) {
		return err
	}
	return cfg.Fault(cfg.Upstreams[0].Path, "is reached from "+local.String()+", where no inside listener is",
		"restart ringwall, or set inside.listen")
}

func addrs(upstreams []proxy.Upstream) []netip.AddrPort {
	all := make([]netip.AddrPort, len(upstreams))
	for i, u := range upstreams {
		all[i] = u.Addr
	}
	return all
}

// logReload tells the operator how a reload ended, with a line per problem.
func (s *service) logReload(r *reloaded, by, why string) {
	log := s.log.With("event", eventReload)
	if why != "" {
		log = log.With("why", why)
	}
	if r.OK {
		log.Info("reloaded", "by", by, "config", r.Config, "changed", commas(r.Changed), "needs_restart", commas(r.Restart))
		return
	}
	for _, p := range r.Problems {
		line, _, _ := strings.Cut(p.String(), "\n")
		log.Error(line, "hint", p.Hint)
	}
	if r.Failure != "" {
		log = log.With("err", r.Failure)
	}
	log.Error("reload refused, the configuration stays as it was", "by", by, "config", r.Config, "problems", len(r.Problems))
}
