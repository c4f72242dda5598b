package main

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/resolve"
)

// How long a server that its name does not lead to any more keeps what the calls that it has need, and how many such servers do.
const (
	retiredFor  = 4 * time.Hour
	mostRetired = 64
	lookRetired = time.Minute
)

// reasonName: the name of an upstream can't be looked up.
const reasonName edge.Reason = "upstream.name"

// A retiree is a server that the name of an upstream led to, or that was an upstream. It gets no new calls, but belongs to the platform until those
// it has can be thought to have ended.
type retiree struct {
	proxy.Upstream
	entry   config.Upstream // of the configuration, that it belonged to
	removed bool            // no entry of the configuration leads to it any more: it may begin nothing
	until   time.Time
}

// followNames follows names whose answers change, until ctx ends. The packet path never waits for it: it uses what is in force.
func (s *service) followNames(ctx context.Context) {
	s.reloading.Lock()
	s.names.Set(s.queries(s.settings.Load().cfg)...)
	s.reloading.Unlock()
	s.names.Run(ctx, s.namesChanged)
}

// queries are the names of cfg that are looked up again and again.
func (s *service) queries(cfg *config.Config) (all []resolve.Query) {
	for _, u := range cfg.Upstreams {
		if _, err := netip.ParseAddr(u.Host); err != nil {
			all = append(all, query(s.open(cfg), u))
		}
	}
	for i := range cfg.Peers {
		for _, q := range peerQueries(&cfg.Peers[i]) {
			if _, err := netip.ParseAddr(q.Host); err != nil {
				all = append(all, q)
			}
		}
	}
	return all
}

// namesChanged puts the answers of now in force. When a look-up fails, what its name led to stays, and status says so.
func (s *service) namesChanged(ctx context.Context, _ []resolve.Change) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	now := s.settings.Load()
	next, problems := s.moved(ctx, now)
	if err := s.move(ctx, now, next); err != nil {
		problems = append(problems, nameProblem{"upstreams", err.Error()})
	}
	s.tellProblems(problems)
	s.movePeers(ctx)
}

// movePeers puts what the names of peers have become in force. s.reloading is held.
func (s *service) movePeers(ctx context.Context) {
	to := *s.settings.Load()
	before := to.trunks
	to.trunks = s.trunks(ctx, &to, s.answer)
	s.tellNames(to.trunks, before)
	if reflect.DeepEqual(to.trunks, s.settings.Load().trunks) {
		return
	}
	if err := s.enforce(&to); err != nil {
		s.log.Error("peers keep their last addresses", "event", "peer", "err", err.Error())
	}
}

// answer is a lookupFunc that never waits: it says what the look-ups of followed names have found last.
func (s *service) answer(ctx context.Context, q resolve.Query) ([]resolve.Target, time.Duration, error) {
	answer, known := s.names.Answer(q)
	if !known {
		return s.lookup(ctx, q) // an address, or a name that was not looked up yet
	}
	return answer.Targets, 0, answer.Err
}

// A nameProblem says why a name of the configuration cannot be followed: that in the uri of an upstream, or the host that a peer names.
type nameProblem struct{ of, why string }

// named reports whether one of list is about name.
func named(list []nameProblem, name string) bool {
	return slices.ContainsFunc(list, func(p nameProblem) bool { return p.of == name })
}

// moved are the servers that the upstreams lead to by the last answers. An entry whose answer is of no use keeps the servers it has.
func (s *service) moved(ctx context.Context, now *settings) (all []proxy.Upstream, problems []nameProblem) {
	cfg := s.open(now.cfg)
	for _, u := range cfg.Upstreams {
		some, err := s.answered(ctx, cfg, u)
		if len(some) == 0 {
			some = slices.DeleteFunc(slices.Clone(now.upstreams), func(have proxy.Upstream) bool { return have.URI != u.URI })
		}
		if err != nil {
			problems = append(problems, nameProblem{u.URI, err.Error()})
		}
		all = merge(all, some)
	}
	return all, problems
}

// answered are the servers that the last answer for u names. There may be some, and an error.
func (s *service) answered(ctx context.Context, cfg *config.Config, u config.Upstream) ([]proxy.Upstream, error) {
	answer, known := s.names.Answer(query(cfg, u))
	if !known || len(answer.Targets) == 0 {
		return nil, answer.Err
	}
	some, err := servers(ctx, cfg, u, answer.Targets)
	if answer.Err != nil {
		err = answer.Err
	}
	return some, err
}

// move puts upstreams in force if they are others than those of now. Those that are left retire.
func (s *service) move(ctx context.Context, now *settings, upstreams []proxy.Upstream) error {
	if len(upstreams) == 0 || sameUpstreams(now.upstreams, upstreams) {
		return nil
	}
	if err := tooMany(upstreams); err != nil {
		return err
	}
	if err := s.checkLocal(ctx, now.cfg, upstreams[0]); err != nil {
		return err
	}
	to := *now
	to.upstreams, to.retired = upstreams, retire(now, now.cfg, upstreams, time.Now())
	if err := s.enforce(&to); err != nil {
		return err
	}
	s.log.Info("upstreams have other addresses", "event", "upstream", "upstream", upstreamNames(upstreams))
	return nil
}

// sameUpstreams reports whether a and b are the same servers; their order does not matter.
func sameUpstreams(a, b []proxy.Upstream) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(u proxy.Upstream) bool { return !slices.Contains(b, u) })
}

// retire returns the retirees when upstreams, as cfg names them, replace those of now, latest first.
func retire(now *settings, cfg *config.Config, upstreams []proxy.Upstream, at time.Time) (all []retiree) {
	for _, u := range now.upstreams {
		one := retiree{Upstream: u, until: at.Add(retiredFor)}
		if i := entryOf(now.cfg, u); i >= 0 {
			one.entry = now.cfg.Upstreams[i]
		}
		all = append(all, one)
	}
	all = append(all, now.retired...)
	seen := slices.Clone(upstreams)
	all = slices.DeleteFunc(all, func(r retiree) bool {
		if len(merge(seen, []proxy.Upstream{r.Upstream})) == len(seen) || !at.Before(r.until) {
			return true
		}
		seen = append(seen, r.Upstream)
		return false
	})
	for i := range all {
		all[i].removed = entryOf(cfg, all[i].Upstream) < 0
	}
	return all[:min(len(all), mostRetired)]
}

// entryOf is the index of the entry of cfg that u belongs to, -1 if there is none.
func entryOf(cfg *config.Config, u proxy.Upstream) int {
	return slices.IndexFunc(cfg.Upstreams, func(entry config.Upstream) bool { return entry.URI == u.URI })
}

// forgetRetired ends retirements whose time is over, until ctx ends.
func (s *service) forgetRetired(ctx context.Context) { each(ctx, lookRetired, s.forget) }

// forget does it at one moment.
func (s *service) forget(at time.Time) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	now := s.settings.Load()
	over := func(r retiree) bool { return !at.Before(r.until) }
	if !slices.ContainsFunc(now.retired, over) {
		return
	}
	to := *now
	to.retired = slices.DeleteFunc(slices.Clone(now.retired), over)
	if err := s.enforce(&to); err != nil {
		s.log.Error("former servers of upstreams keep their place", "event", "upstream", "err", err.Error())
	}
}

// tellProblems notes for status which names cannot be followed, and tells the log of those where that is news.
func (s *service) tellProblems(problems []nameProblem) {
	var was []nameProblem
	if list := s.nameProblems.Swap(&problems); list != nil {
		was = *list
	}
	tell := func(reason edge.Reason, text string) {
		s.ring.Add(edge.Event{At: time.Now(), Name: event.Upstream, Reason: reason, Message: text})
	}
	for _, p := range problems {
		if !named(was, p.of) {
			tell(reasonName, p.String())
		}
	}
	for _, p := range was {
		if !named(problems, p.of) {
			tell("", p.of+": the look-up of its name works again")
		}
	}
}

// forgetProblems leaves out the problems of names that cfg has no more; what is wrong with the others is found out anew at their next answers.
func (s *service) forgetProblems(cfg *config.Config) {
	list := s.nameProblems.Load()
	if list == nil {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(*list), func(p nameProblem) bool {
		return !slices.ContainsFunc(cfg.Upstreams, func(u config.Upstream) bool { return u.URI == p.of })
	})
	s.nameProblems.Store(&kept)
}

// String is one sentence about an upstream for the operator.
func (p nameProblem) String() string {
	return p.of + ": the last addresses stay in force: " + p.why
}

// upstreamNames tells upstreams as configured with their addresses.
func upstreamNames(all []proxy.Upstream) string {
	var names []string
	for _, u := range all {
		names = append(names, u.URI+"="+u.Transport.String()+":"+u.Addr.String())
	}
	return commas(names)
}
