package main

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	checks "github.com/ringwall/ringwall/check"
	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/state"
)

// A bench is the judge and the checks it hears; checks stay the same through a reload unless they are told something else.
type bench struct {
	judge *judge.Judge // nil: no check was ever asked for
	since time.Time    // from when on it is remembered whom the platform accepted
	told  checks.Config
	rows  map[string]any // the checks by name
}

// judgeKey is the key of the judge's hashes. It is made of the identity key, which is never rotated: whom the platform accepted is kept by hash.
func (s *service) judgeKey() meter.Key { return meter.NewKey(s.keys.ID("judge", nil, nil, nil)) }

// assemble puts the checks of cfg to work and returns the judge, nil where all are off and always were. The judge also knows which nonces went
// where, without which answers can't be unified.
func (s *service) assemble(cfg *config.Config) (*judge.Judge, error) {
	s.benching.Lock()
	defer s.benching.Unlock()
	b := &s.bench
	if b.judge == nil && cfg.Checks.None() && cfg.Access.Unify == config.CheckOff {
		return nil, nil
	}
	if b.judge == nil {
		j, err := judge.New(judge.Config{Domains: cfg.Domains, Ticks: s.ticks}, s.judgeKey(), nil)
		if err != nil {
			return nil, err
		}
		if b.since, err = s.openKnown(j); err != nil {
			return nil, err
		}
		b.judge = j
	}
	told := checkConfig(cfg, s.outsideAddrs())
	told.Spray.Since = b.since
	list, rows := charges(cfg, told, b, s.judgeKey())
	if err := b.judge.Apply(list); err != nil {
		return nil, err
	}
	s.judging.Store(b.judge)
	b.told, b.rows = told, rows
	return b.judge, nil
}

// openKnown brings whom the platform accepted in the last run back, and keeps that written from now on. It returns since when that is done.
func (s *service) openKnown(j *judge.Judge) (since time.Time, err error) {
	journal, err := judge.OpenJournal(context.Background(), s.db, j, time.Now(), state.Options{
		State: s.journalState("known users", reasonState, &s.knownError), Sound: s.file.Watch(), Repair: s.repair})
	if err != nil {
		return since, err
	}
	s.onClose(func() error { return journal.Close(context.Background()) })
	if restored, left := journal.Loaded(); restored+left > 0 {
		s.log.Info("known users are back", "event", event.State, "users", restored, "left_out", left)
	}
	return journal.Since(), nil
}

// judge returns the judge, nil if there is none.
func (s *service) judge() *judge.Judge { return s.judging.Load() }

// charges are the checks that cfg asks for; those that b has and that are told the same go on.
func charges(cfg *config.Config, told checks.Config, b *bench, key meter.Key) (list []judge.Charge, rows map[string]any) {
	rows = map[string]any{}
	for _, r := range checks.List() {
		mode := checkMode(inForce(cfg, r.Name))
		if mode == judge.Off {
			continue
		}
		one := b.rows[r.Name]
		if one == nil || !r.Same(b.told, told) {
			one = r.New(told, key)
		}
		rows[r.Name] = one
		list = append(list, judge.Charge{Name: r.Name, Mode: mode, Check: one, Reasons: r.Reasons})
	}
	return list, rows
}

// inForce is the mode of the check of that name, which mode: monitor can hold back.
func inForce(cfg *config.Config, name string) config.CheckMode {
	mode := cfg.Checks.Of(name)
	if mode == config.CheckEnforce && cfg.Mode == config.Monitor {
		return config.CheckMonitor
	}
	return mode
}

func checkMode(m config.CheckMode) judge.Mode {
	switch m {
	case config.CheckEnforce:
		return judge.Enforce
	case config.CheckMonitor:
		return judge.Monitor
	}
	return judge.Off
}

// checkConfig says it in the checks' terms. own are the addresses of the edge.
func checkConfig(cfg *config.Config, own []netip.Addr) (c checks.Config) {
	in := &cfg.Checks
	c.Flood.Limit, c.Flood.Unlimited, c.Flood.Shut = meter.Limit{Every: in.Flood.Rate.Per / time.Duration(max(1, in.Flood.Rate.Count)), Burst: in.Flood.Burst},
		in.Flood.Unlimited, in.Flood.Latency
	if in.Flood.Strangers.Count > 0 {
		c.Flood.Strangers = in.Flood.Strangers.Per / time.Duration(in.Flood.Strangers.Count)
	}
	if in.Flood.Unit > 0 {
		c.Flood.Limit = meter.Limit{Every: in.Flood.Unit / time.Duration(in.Flood.Density), Burst: in.Flood.Density}
	}
	c.Lockout.Failures, c.Lockout.Within, c.Lockout.For = in.Lockout.Failures, in.Lockout.Within, in.Lockout.Ban
	c.Bruteforce.Tries, c.Bruteforce.Slowly, c.Bruteforce.Within = in.Bruteforce.Tries, in.Bruteforce.Slowly, in.Bruteforce.Within
	c.Spray.Users, c.Spray.OfAddress, c.Spray.Within = in.Spray.Users, in.Spray.OfAddress, in.Spray.Within
	c.Spray.OfGroup, c.Spray.Group, c.Spray.Learning = in.Spray.OfGroup, in.Spray.Group, in.Spray.Learning
	c.Userguard.Sources, c.Userguard.Within, c.Userguard.Every = in.Userguard.Sources, in.Userguard.Within, in.Userguard.Every
	c.Dialprefix.Variants, c.Dialprefix.Users, c.Dialprefix.Within, c.Dialprefix.Shut = in.Dialprefix.Variants, in.Dialprefix.Users, in.Dialprefix.Within, in.Dialprefix.Shut
	c.Dialprefix.Calls, c.Dialprefix.Guests = in.Dialprefix.Calls, slices.ContainsFunc(cfg.Access.OpenInbound, isAddress)
	c.Enumeration.Users, c.Enumeration.Slowly, c.Enumeration.Within = in.Enumeration.Users, in.Enumeration.Slowly, in.Enumeration.Within
	c.Method.Stray, c.Method.Within, c.Method.Grace = in.Method.Stray, in.Method.Within, in.Method.Grace
	c.Method.Allowed = cfg.Access.Unknown.List
	for m := sip.INVITE; cfg.Access.Unknown.Any && m <= sip.MESSAGE; m++ {
		c.Method.Allowed = append(c.Method.Allowed, m)
	}
	c.Scanner.Spared = cfg.Trust.NeverBan
	c.Contact.Own, c.Route.Own, c.Route.Names = own, own, cfg.Domains
	if host := cfg.Outside.Advertise; host != "" {
		if a, ok := sip.HostAddr([]byte(host)); ok {
			c.Contact.Own, c.Route.Own = append(own, a), append(own, a)
		} else {
			c.Route.Names = append([]string{strings.ToLower(host)}, cfg.Domains...)
		}
	}
	return c
}

// isAddress reports whether host is an address, and no name.
func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// outsideAddrs are the addresses that the edge has outside.
func (s *service) outsideAddrs() (list []netip.Addr) {
	for _, l := range s.transport.Listeners() {
		if l.Side == edge.Outside && !l.Spread {
			list = append(list, l.Addr.Addr().Unmap())
		}
	}
	return list
}

// ticks is the clock that measures what checks cost.
func (s *service) ticks() uint64 { return uint64(time.Since(s.since)) }

// checkReasons are all reasons of all checks.
func checkReasons() (list []edge.Reason) {
	for _, r := range checks.List() {
		list = append(list, r.Reasons...)
	}
	return list
}

// checkMetrics are the metrics of checks, labelled with their names.
type checkMetrics struct{ of func() *judge.Judge }

var (
	checkHits = prometheus.NewDesc("ringwall_check_hits_total", "Opinions of a check, in mode monitor too; since it was told something else.", []string{"check"}, nil)
	checkCost = prometheus.NewDesc("ringwall_check_cost_seconds", "What a message costs in a check on average, of those that are measured.", []string{"check"}, nil)
)

// Describe tells nothing: checks come and go with the configuration.
func (checkMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect tells of the checks of now.
func (m checkMetrics) Collect(to chan<- prometheus.Metric) {
	j := m.of()
	if j == nil {
		return
	}
	for _, c := range j.Counts() {
		to <- prometheus.MustNewConstMetric(checkHits, prometheus.CounterValue, float64(c.Hits()), c.Name)
		to <- prometheus.MustNewConstMetric(checkCost, prometheus.GaugeValue, c.Cost()/1e9, c.Name)
	}
}
