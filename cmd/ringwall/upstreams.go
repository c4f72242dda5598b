package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/resolve"
)

const (
	lookupTimeout = 5 * time.Second // for the look-up of one upstream's name at start and reload
	mostServers   = 32              // of all upstreams together: the proxy's maximum
	ranks         = 64              // more than a look-up has priorities
	weightScale   = 10_000          // parts that a weight of the configuration is shared out in
)

// A lookupFunc finds where requests for a name go, as resolve.Resolver.Lookup does.
type lookupFunc func(context.Context, resolve.Query) ([]resolve.Target, time.Duration, error)

// query is what to look up for u.
func query(cfg *config.Config, u config.Upstream) resolve.Query {
	speaks := resolve.Only(edge.UDP, edge.TCP)
	if len(cfg.Inside.Listen) > 0 {
		speaks = 0
		for _, l := range cfg.Inside.Listen {
			speaks |= resolve.Only(l.Transport)
		}
	}
	return resolve.Query{Host: u.Host, Port: u.Port, Transport: u.Transport, Named: u.Named, Speaks: speaks}
}

// upstreams finds the servers that cfg's upstreams stand for: those that this machine has a route to and that an inside listener
// can reach. Whether anybody listens there is not asked. Where each entry leads is found out by lookup.
func upstreams(ctx context.Context, cfg *config.Config, lookup lookupFunc) ([]proxy.Upstream, error) {
	var all []proxy.Upstream
	for _, u := range cfg.Upstreams {
		some, err := entry(ctx, cfg, u, lookup)
		if err != nil {
			return nil, fail(exitUnavailable, &lostUpstream{u, cfg.Where(u.Path), err})
		}
		all = merge(all, some)
	}
	if err := tooMany(all); err != nil {
		return nil, fail(exitUnavailable, err)
	}
	return all, nil
}

// entry finds the servers of one entry.
func entry(ctx context.Context, cfg *config.Config, u config.Upstream, lookup lookupFunc) ([]proxy.Upstream, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	targets, _, err := lookup(ctx, query(cfg, u))
	if len(targets) == 0 {
		return nil, err
	}
	return servers(ctx, cfg, u, targets)
}

// merge adds to all those of some that are not there yet, so that a server that two names lead to is one. Over TLS each name counts: whether
// one server may have both is for identities to say.
func merge(all, some []proxy.Upstream) []proxy.Upstream {
	for _, u := range some {
		if !slices.ContainsFunc(all, func(have proxy.Upstream) bool {
			return have.Addr == u.Addr && have.Transport == u.Transport && (have.URI == u.URI || u.Transport != edge.TLS)
		}) {
			all = append(all, u)
		}
	}
	return all
}

// tooMany is the error for more servers than the proxy can have.
func tooMany(all []proxy.Upstream) error {
	if len(all) <= mostServers {
		return nil
	}
	counts := map[string]int{}
	var names []string
	for _, u := range all {
		if counts[u.URI]++; counts[u.URI] == 1 {
			names = append(names, u.URI)
		}
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, counts[name])
	}
	return fmt.Errorf("the upstreams are %d servers (%s), there can be %d: name fewer in upstreams, or let their DNS records name fewer",
		len(all), strings.Join(names, ", "), mostServers)
}

// servers are the targets of u that can be used, best first. Of a host that has addresses of both families one family is used,
// the first that can be reached: the other one leads to the same machine.
func servers(ctx context.Context, cfg *config.Config, u config.Upstream, targets []resolve.Target) ([]proxy.Upstream, error) {
	type host struct {
		name      string
		transport edge.Transport
		port      uint16
		rank      int
	}
	isFour := map[host]bool{}
	var usable []resolve.Target
	err := errors.New("no address")
	for _, t := range resolve.Sorted(targets) {
		of := host{t.Host, t.Transport, t.Addr.Port(), t.Priority}
		if four, known := isFour[of]; known && four != t.Addr.Addr().Is4() {
			continue
		}
		if why := unusable(ctx, cfg, t); why != nil {
			err = why
			continue
		}
		isFour[of] = t.Addr.Addr().Is4()
		usable = append(usable, t)
	}
	if len(usable) == 0 {
		return nil, err
	}
	return merge(nil, weighed(u, usable)), nil
}

// unusable says why nothing can be sent to t; nil if something can.
func unusable(ctx context.Context, cfg *config.Config, t resolve.Target) error {
	a := t.Addr.Addr()
	switch {
	case a.IsUnspecified() || a.IsMulticast() || a == broadcast:
		return fmt.Errorf("%v is not the address of one machine", a)
	case isOurs(cfg, t):
		return fmt.Errorf("%v is ringwall itself", t.Addr)
	case !reachable(cfg.Inside.Listen, t.Transport, a):
		return fmt.Errorf("no inside listener has %v and an address of the family of %v", t.Transport, a)
	}
	_, err := localAddr(ctx, t.Addr)
	return err
}

// isOurs reports whether t is a listener of ours: who is in charge of the DNS must not make ringwall call itself.
func isOurs(cfg *config.Config, t resolve.Target) bool {
	return slices.ContainsFunc(slices.Concat(cfg.Outside.Listen, cfg.Inside.Listen), func(l config.Listen) bool {
		return l.Addr == t.Addr && l.Transport.Stream() == t.Transport.Stream()
	})
}

// weighed combines what the configuration says of u with what its SRV records say of the targets: the entry's priority comes first, and
// its weight is shared out among the targets of one rank, by their weights; the addresses of one host have one share together.
func weighed(u config.Upstream, targets []resolve.Target) []proxy.Upstream {
	sums, perHost := map[int]int{}, map[resolve.Target]int{}
	hostOf := func(t resolve.Target) resolve.Target {
		t.Addr = netip.AddrPortFrom(netip.Addr{}, t.Addr.Port())
		return t
	}
	for _, t := range targets {
		if perHost[hostOf(t)]++; perHost[hostOf(t)] == 1 {
			sums[t.Priority] += t.Weight
		}
	}
	var all []proxy.Upstream
	for _, t := range targets {
		share := u.Weight * weightScale
		if sum := sums[t.Priority]; sum > 0 {
			share = share * t.Weight / sum
		} else {
			share /= hosts(perHost, t.Priority)
		}
		all = append(all, proxy.Upstream{URI: u.URI, Addr: t.Addr, Transport: t.Transport,
			Weight: max(1, share/perHost[hostOf(t)]), Priority: u.Priority*ranks + t.Priority, Large: u.Large})
	}
	return all
}

// hosts counts those of one rank.
func hosts(perHost map[resolve.Target]int, rank int) (n int) {
	for t := range perHost {
		if t.Priority == rank {
			n++
		}
	}
	return n
}
