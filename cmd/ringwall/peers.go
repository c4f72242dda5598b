package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/resolve"
	"github.com/ringwall/ringwall/transport"
)

// A trunk is a peer with what its names have become.
type trunk struct {
	proxy.Peer
	problems []nameProblem                      // those of its names that can't be looked up, and why
	found    map[resolve.Query][]resolve.Target // where each of its names has led last
}

// trunks finds the addresses of all peers of to.cfg. A name that can't be looked up stops nobody: it goes on to stand for the addresses that it had in
// to.trunks, and status says so.
func (s *service) trunks(ctx context.Context, to *settings, find lookupFunc) []trunk {
	look := looking{find: find, before: map[resolve.Query][]resolve.Target{}, theirs: func(a netip.Addr) bool { return s.theirs(to, a) }}
	for _, have := range to.trunks {
		maps.Copy(look.before, have.found)
	}
	all := make([]trunk, len(to.cfg.Peers))
	var peers sync.WaitGroup
	for i := range all {
		peers.Go(func() { all[i] = look.trunk(ctx, &to.cfg.Peers[i]) })
	}
	peers.Wait()
	return all
}

// tellNames tells the log of the names of peers, where that is news.
func (s *service) tellNames(all, before []trunk) {
	for i := range all {
		s.tellName(&all[i], before)
	}
}

// A looking is what the addresses of peers are found with.
type looking struct {
	find   lookupFunc
	before map[resolve.Query][]resolve.Target // where names have led last
	theirs func(netip.Addr) bool              // whether an address can be a peer's
}

// tellName tells the log of each name of t that cannot be looked up, and when it can again. Why it can't may change: that is no news.
func (s *service) tellName(t *trunk, old []trunk) {
	var before []nameProblem
	for _, have := range old {
		if have.Name == t.Name {
			before = have.problems
		}
	}
	tell := func(reason edge.Reason, text string) {
		s.ring.Add(edge.Event{At: time.Now(), Name: event.Peer, Reason: reason, Message: "peer " + t.Name + ": " + text})
	}
	for _, p := range t.problems {
		if !named(before, p.of) {
			tell(reasonPeerName, p.why)
		}
	}
	for _, p := range before {
		if !named(t.problems, p.of) && t.names(p.of) {
			tell("", "the look-up of the name "+p.of+" works again")
		}
	}
}

// names reports whether host is one of t's names.
func (t *trunk) names(host string) bool {
	for q := range t.found {
		if q.Host == host {
			return true
		}
	}
	return false
}

// fails notes why a name of t leads nowhere, once for each name.
func (t *trunk) fails(host, why string) {
	if !named(t.problems, host) {
		t.problems = append(t.problems, nameProblem{host, why})
	}
}

// peerQueries are the names of p: where it is, and where its requests come from. Trust in a peer is bound to its own transport, so
// the DNS may not choose another one.
func peerQueries(p *config.Peer) []resolve.Query {
	all := []resolve.Query{{Host: p.URI.Host, Port: p.URI.Port, Transport: p.URI.Transport, Named: true}}
	for _, m := range p.Match {
		if m.Host != "" {
			all = append(all, matchQuery(m))
		}
	}
	return all
}

func matchQuery(m config.Match) resolve.Query {
	return resolve.Query{Host: m.Host, AddressOnly: true}
}

// trunk finds the addresses of one peer.
func (l *looking) trunk(ctx context.Context, p *config.Peer) trunk {
	t := trunk{Peer: proxy.Peer{Name: p.Name, Host: p.URI.Host, Port: p.URI.Port, Weight: p.URI.Weight, Priority: p.URI.Priority,
		Transport: p.URI.Transport, Calls: p.Calls}, found: map[resolve.Query][]resolve.Target{}}
	if t.Port == 0 {
		t.Port = config.DefaultPort(t.Transport)
	}
	if p.Rate.Count > 0 {
		t.Every = p.Rate.Per / time.Duration(p.Rate.Count)
	}
	t.Targets = merge(nil, weighed(config.Upstream{Weight: 1, Large: p.Large}, l.targets(ctx, &t, peerQueries(p)[0])))
	if len(p.Match) == 0 {
		for _, target := range t.Targets {
			t.trust(target.Addr.Addr())
		}
	}
	for _, m := range p.Match {
		if m.Host == "" {
			t.Match = append(t.Match, m.Prefix)
			continue
		}
		for _, target := range l.targets(ctx, &t, matchQuery(m)) {
			t.trust(target.Addr.Addr())
		}
	}
	return t
}

// trust makes a one of the addresses that t's requests come from.
func (t *trunk) trust(a netip.Addr) {
	if p := netip.PrefixFrom(a, a.BitLen()); !slices.Contains(t.Match, p) {
		t.Match = append(t.Match, p)
	}
}

// targets looks a name of t up; where that leads nowhere, it stands for what it led to before. Addresses that can't be a peer's are left out:
// whoever is in charge of a carrier's DNS must not make the platform call itself.
func (l *looking) targets(ctx context.Context, t *trunk, q resolve.Query) []resolve.Target {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	answer, _, err := l.find(ctx, q)
	if err != nil {
		t.fails(q.Host, err.Error())
	}
	all := l.only(answer)
	if len(all) == 0 {
		all = l.only(l.before[q])
		if err == nil {
			t.fails(q.Host, "the name "+q.Host+" has no address that a peer could have")
		}
	}
	t.found[q] = all
	return all
}

// only are those of all that can be a peer's, best first.
func (l *looking) only(all []resolve.Target) []resolve.Target {
	return slices.DeleteFunc(resolve.Sorted(all), func(target resolve.Target) bool {
		a := target.Addr.Addr()
		return !l.theirs(a) || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() || a == broadcast
	})
}

// theirs reports whether a can be a peer's address: it is neither ours nor the platform's.
func (s *service) theirs(to *settings, a netip.Addr) bool {
	if to.inside(a) {
		return false
	}
	return s.transport == nil || !slices.ContainsFunc(s.transport.Listeners(), func(l transport.Listener) bool { return l.Addr.Addr() == a })
}

// checkOwn refuses a match that holds an address of ours, now that wildcards are known as addresses.
func (s *service) checkOwn(cfg *config.Config) error {
	for _, p := range cfg.Peers {
		for i, m := range p.Match {
			for _, l := range s.transport.Listeners() {
				if m.Host == "" && m.Prefix.Contains(l.Addr.Addr()) {
					return cfg.Fault(fmt.Sprintf("%s.match[%d]", p.Path, i), fmt.Sprintf("%v holds ringwall's own address %v", m, l.Addr.Addr()),
						"a peer is outside: name its own addresses only")
				}
			}
		}
	}
	return nil
}

// proxyPeers are all as the proxy knows them.
func proxyPeers(all []trunk) []proxy.Peer {
	peers := make([]proxy.Peer, len(all))
	for i, t := range all {
		peers[i] = t.Peer
	}
	return peers
}

// trusted reports whether a is an address of a peer, on whatever transport.
func (s *settings) trusted(a netip.Addr) bool {
	return slices.ContainsFunc(s.trunks, func(t trunk) bool {
		return slices.ContainsFunc(t.Match, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// reasonPeerName: a name of a peer can't be looked up.
const reasonPeerName edge.Reason = "peer.name"

// peerState is one peer in status. Its names are stable.
type peerState struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Calls   int    `json:"calls"` // now, counted if they are limited
	Limit   int    `json:"limit"` // of calls, 0: none
	Refused uint64 `json:"refused"`
}

// String tells p in one line.
func (p peerState) String() string {
	text := p.Name + ": " + p.State
	if p.Limit > 0 {
		text += fmt.Sprintf(", %d of %s", p.Calls, count(p.Limit, "call"))
	}
	if p.Refused > 0 {
		text += fmt.Sprintf(", %d refused", p.Refused)
	}
	return text
}

func peerStates(all []proxy.PeerStatus) []peerState {
	states := []peerState{}
	for _, p := range all {
		states = append(states, peerState{p.Name, p.State, p.Calls, p.Limit, p.Refused})
	}
	return states
}

// peerConcerns are what needs attention about peers.
func peerConcerns(status []proxy.PeerStatus, all []trunk) (concerns []concern) {
	for _, t := range all {
		for _, p := range t.problems {
			concerns = append(concerns, concern{string(reasonPeerName), "peer " + t.Name + ": " + p.why})
		}
	}
	for _, p := range status {
		if isDown(p.State) {
			concerns = append(concerns, concern{"peer.down", allOrOne("peer "+p.Name, p.Up) + " does not answer: " + p.State})
		}
		if p.Limit > 0 && p.Calls >= p.Limit {
			concerns = append(concerns, concern{"peer.calls", fmt.Sprintf("peer %s has all of its %s", p.Name, count(p.Limit, "call"))})
		}
	}
	return concerns
}

// peerMetrics are the metrics of peers, labelled with their names: as many series as the configuration has peers.
type peerMetrics struct{ of func() []proxy.PeerStatus }

var (
	peerUp      = prometheus.NewDesc("ringwall_peer_up", "1 unless the peer is known to be down.", []string{"peer"}, nil)
	peerCalls   = prometheus.NewDesc("ringwall_peer_calls", "Calls of a peer whose calls are limited.", []string{"peer"}, nil)
	peerRefused = prometheus.NewDesc("ringwall_peer_refused_total", "New calls over a limit of the peer.", []string{"peer"}, nil)
)

// Describe tells nothing: peers come and go with the configuration.
func (peerMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect tells of the peers of now.
func (m peerMetrics) Collect(to chan<- prometheus.Metric) {
	for _, p := range m.of() {
		up := 0.0
		if p.Up {
			up = 1
		}
		to <- prometheus.MustNewConstMetric(peerUp, prometheus.GaugeValue, up, p.Name)
		to <- prometheus.MustNewConstMetric(peerCalls, prometheus.GaugeValue, float64(p.Calls), p.Name)
		to <- prometheus.MustNewConstMetric(peerRefused, prometheus.CounterValue, float64(p.Refused), p.Name)
	}
}
