package main

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/proxy"
)

// nameEvery is how often the names of upstreams are looked up again. The packet path never waits for it: it uses the addresses of
// the last look-up that worked.
const nameEvery = 30 * time.Second

// followNames follows upstreams whose names get other addresses, until ctx ends.
func (s *service) followNames(ctx context.Context) {
	tick := time.NewTicker(nameEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.lookAgain(ctx, lookup)
			s.lookPeers(ctx, lookup)
		}
	}
}

// lookAgain looks the names of upstreams up with resolve and puts other addresses in force. When a look-up fails, everything stays
// as it is, and status says so.
func (s *service) lookAgain(ctx context.Context, resolve func(context.Context, string) ([]netip.Addr, error)) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	now := s.settings.Load()
	moved, err := moved(ctx, now, resolve)
	if err == nil && moved {
		err = s.moveUpstreams(ctx, now)
	}
	was := s.nameError.Load()
	if err == nil {
		s.nameError.Store(nil)
		return
	}
	why := err.Error()
	s.nameError.Store(&why)
	if was == nil || *was != why {
		s.ring.Add(edge.Event{At: time.Now(), Name: event.Upstream, Reason: reasonName, Message: "the last addresses stay in force: " + why})
	}
}

// reasonName: the name of an upstream can't be looked up.
const reasonName edge.Reason = "upstream.name"

// moved reports whether an upstream's address is none of its name's any more. Another order of the same addresses moves nothing.
func moved(ctx context.Context, now *settings, resolve func(context.Context, string) ([]netip.Addr, error)) (bool, error) {
	for i, u := range now.cfg.Upstreams {
		if _, err := netip.ParseAddr(u.Host); err == nil || i >= len(now.upstreams) {
			continue
		}
		all, err := resolve(ctx, u.Host)
		if err != nil {
			return false, err
		}
		if !slices.Contains(all, now.upstreams[i].Addr.Addr()) {
			return true, nil
		}
	}
	return false, nil
}

// moveUpstreams finds all addresses anew and puts them in force.
func (s *service) moveUpstreams(ctx context.Context, now *settings) error {
	all, err := s.newUpstreams(ctx, now.cfg)
	if err != nil {
		return err
	}
	who, err := identities(now.cfg, all)
	if err == nil {
		err = s.transport.SetIdentities(who)
	}
	if err != nil {
		return err
	}
	s.transport.SetInside(now.cfg.Inside.Sources, addrs(all)) // before anything is sent there
	if err := s.proxy.Apply(proxyConfig(now.cfg, all, now.trunks)); err != nil {
		return err
	}
	s.settings.Store(&settings{now.cfg, all, now.trunks, now.restart})
	s.log.Info("upstreams have other addresses", "event", "upstream", "upstream", upstreamNames(now.cfg, all))
	return nil
}

// upstreamNames tells upstreams as configured with their addresses.
func upstreamNames(cfg *config.Config, all []proxy.Upstream) string {
	var names []string
	for i, u := range cfg.Upstreams {
		names = append(names, u.URI+"="+all[i].Addr.String())
	}
	return commas(names)
}
