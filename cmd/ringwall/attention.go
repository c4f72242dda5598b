package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/transaction"
	"github.com/ringwall/ringwall/transport"
)

const (
	nearlyFull   = 80               // percent of a table that need attention
	dropsMatter  = 10 * time.Minute // how long lost events need attention
	lookForDrops = 10 * time.Second
)

// A concern is something that an operator should look at. Its id is stable.
type concern struct {
	ID   string `json:"id"`
	Text string `json:"text"` // one sentence
}

// facts are what concerns follow from.
type facts struct {
	at         time.Time
	proxy      proxy.Status
	tables     transaction.Config // the limits
	bindings   int                // their limit
	certs      []transport.CertificateInfo
	distrusted []string  // servers with which TLS failed, and why
	trunks     []trunk   // what the names of peers have become
	restart    []string  // keys
	reload     *reloaded // nil: none yet
	names      []nameProblem
	journal    string    // why registrations are not written; "": they are
	banJournal string    // the same of bans
	knownFile  string    // and of whom the platform accepted
	callFile   string    // and of calls with media
	aside      string    // which damaged state files nobody has looked at; "": there is none
	front      string    // what all traffic comes through; "": nothing of that kind
	valve      string    // why checks only watch; "": they act
	watching   uint64    // how often checks had something to say that only watch because the file says nothing of them
	dropped    uint64    // events
	dropAt     time.Time // when events were last seen to be lost
	open       int       // connections
	lines      int       // of media
	most       budget
	express    error  // why af_xdp can't be had; nil: it can, or is not asked for
	memory     string // what is not begun since memory is short; "": everything is
}

// concerns are what needs attention, what stops calls first.
func (f *facts) concerns() []concern {
	all := []concern{}
	add := func(is bool, id, format string, args ...any) {
		if is {
			all = append(all, concern{id, fmt.Sprintf(format, args...)})
		}
	}
	full := func(id, what string, n, most int) {
		add(n*100 >= most*nearlyFull, id, "%s: %d of %d, %d %%", what, n, most, n*100/max(1, most))
	}
	add(isDown(f.proxy.Upstream), "upstream.down", "%s does not answer: %s", allOrOne("the platform", f.proxy.Up), f.proxy.Upstream)
	for _, p := range f.names {
		add(true, string(reasonName), "%s", p)
	}
	all = append(all, peerConcerns(f.proxy.Peers, f.trunks)...)
	add(f.proxy.Draining, "draining", "new work is refused with 503 (ringwall drain --off ends that)")
	add(f.memory != "", string(reasonMemory), "memory is short: %s", f.memory)
	add(f.proxy.Realm != "", "topology.realm", "the platform's challenges show %s to everybody: give it another realm (Asterisk: realm, FreeSWITCH: challenge-realm, "+
		"Kamailio: the realm of www_challenge)", f.proxy.Realm)
	add(f.proxy.Tag != "", "topology.tag", "tags of the platform show %s to everybody, and no proxy may replace a tag: have the platform make them another way", f.proxy.Tag)
	full("connections.full", "the table of connections fills up", f.open, f.most.connections)
	add(f.most.wanted > 0, "connections.descriptors", "limits.connections is %d, but open files (ulimit -n, LimitNOFILE) allow %d only",
		f.most.wanted, f.most.connections)
	add(f.express != nil, "af_xdp.failed", "af_xdp can't be had, all datagrams take the sockets: %v", f.express)
	full("media.full", "the room for media lines (media.ports, and half of the open files that ulimit -n or LimitNOFILE allow) fills up", f.lines, max(1, f.most.lines))
	full("transactions.full", "the table of transactions fills up", f.proxy.Transactions, f.tables.Max)
	full("transactions.unknown", "the share of unknown sources in transactions fills up", f.proxy.Untrusted, f.tables.Untrusted)
	full("bindings.full", "the table of registered phones fills up", f.proxy.Bindings, f.bindings)
	add(f.journal != "", string(reasonState), "registrations cannot be written, a restart would lose them: %s", f.journal)
	add(f.callFile != "", string(reasonCalls), "calls with media are not kept, a restart would silence them: %s", f.callFile)
	add(f.banJournal != "", string(reasonBans), "bans cannot be written, a restart would lose them: %s", f.banJournal)
	add(f.knownFile != "", string(reasonState), "known users cannot be written, a restart would lose them: %s", f.knownFile)
	add(f.aside != "", string(reasonDamaged), "%s", f.aside)
	add(f.front != "", string(reasonFronted), "%s", f.front)
	add(f.valve != "", string(reasonValve), "%s", f.valve)
	add(f.watching > 0, "checks.watch", "checks only watch, and had something to say of %s (ringwall tail): write checks: {mode: enforce} to have them act, "+
		"or {mode: monitor} if this is as it should be", count(int(min(f.watching, math.MaxInt)), "message"))
	for _, c := range f.certs {
		about := certificateConcern(&c, f.at)
		add(about != (concern{}), about.ID, "%s", about.Text)
		add(c.Problem != "", "certificate.reload", "%s is not read again: %s", certificateName(&c), c.Problem)
	}
	for _, why := range f.distrusted {
		add(true, "tls.failed", "TLS fails with the server %s", why)
	}
	if r := f.reload; r != nil && !r.OK {
		add(true, "reload.refused", "the last reload was refused, the configuration before it is in force: %s", r.why())
	}
	add(len(f.restart) > 0, "restart.needed", "restart needed for: %s", strings.Join(f.restart, ", "))
	add(!f.dropAt.IsZero() && f.at.Sub(f.dropAt) < dropsMatter, "events.dropped",
		"events come faster than the log takes them, or nobody reads it: %d are lost so far", f.dropped)
	return all
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// isDown reports whether state, of one server or several, tells that one is down.
func isDown(state string) bool { return strings.Contains(state, "down since") }

// allOrOne names who does not answer: what, or where others of its servers do, one of them.
func allOrOne(what string, up bool) string {
	if up {
		return "a server of " + what
	}
	return what
}

// facts gathers what concerns follow from.
func (s *service) facts(p proxy.Status, now *settings) *facts {
	f := &facts{at: time.Now(), proxy: p, tables: proxyConfig(now.cfg, now.upstreams, now.trunks).Transactions, bindings: binding.Default().Max,
		trunks: now.trunks, restart: now.restart, reload: s.lastReload.Load(), dropped: s.dropped(),
		certs: s.transport.Certificates(), distrusted: s.transport.Distrusted(now.removed()...), aside: setAside(s.cfg.State)}
	f.express = s.transport.AFXDP()
	f.open, f.most = int(s.transport.Counters().ConnectionsOpen), s.budget
	if s.relay != nil {
		f.lines = s.relay.Streams()
	}
	if p := s.memory.Pressure(); p != edge.Calm {
		f.memory = shortage(p, s.memory.Used(), s.memory.Limit())
	}
	if list := s.nameProblems.Load(); list != nil {
		f.names = *list
	}
	if why := s.journalError.Load(); why != nil {
		f.journal = *why
	}
	if why := s.banError.Load(); why != nil {
		f.banJournal = *why
	}
	if why := s.knownError.Load(); why != nil {
		f.knownFile = *why
	}
	if why := s.callError.Load(); why != nil {
		f.callFile = *why
	}
	if a := s.innocence.front.Load(); a != nil {
		f.front = fronted(*a)
	}
	if open := s.innocence.valve.Load(); open != nil {
		f.valve = open.String()
	}
	if j := s.judge(); j != nil && !now.cfg.Checks.Said() {
		for _, c := range j.Counts() {
			f.watching += c.Hits()
		}
	}
	if at := s.dropAt.Load(); at != nil {
		f.dropAt = *at
	}
	return f
}

// journalState returns what notes in note whether what ("bans") can be written, and tells the log.
func (s *service) journalState(what string, reason edge.Reason, note *atomic.Pointer[string]) func(error) {
	return func(err error) {
		e := edge.Event{At: time.Now(), Name: event.State, Message: what + " are written again"}
		var why *string
		if err != nil {
			text := err.Error()
			why, e.Reason, e.Message = &text, reason, what+" cannot be written: "+text
		}
		note.Store(why)
		s.ring.Add(e)
	}
}

// dropped is how many events and lines the log did not get.
func (s *service) dropped() uint64 { return s.ring.Dropped() + s.lines.Lost() }

// watchDrops notes when events are lost, until ctx ends.
func (s *service) watchDrops(ctx context.Context) {
	var seen uint64
	each(ctx, lookForDrops, func(at time.Time) {
		if n := s.dropped(); n > seen {
			seen = n
			s.dropAt.Store(&at)
		}
	})
}
