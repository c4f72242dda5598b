package main

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
)

// Why bans are not what they could be.
const (
	reasonFronted edge.Reason = "ban.fronted" // all traffic comes through one private address, which is not banned
	reasonValve   edge.Reason = "ban.valve"   // too many known phones vanished after bans: these are lifted, checks only watch
)

// dryTime is how long checks only watch after the safety valve opened, unless a reload ends that: a machine that nobody looks at is not to stay
// open. If the same happens again, the valve opens again.
const dryTime = time.Hour

// mostLapsed is how many lost registrations are looked at of one second.
const mostLapsed = 10_000

// An innocence is what keeps bans from hitting those who have done nothing.
type innocence struct {
	mu     sync.Mutex
	lapsed []lapse // registrations that ended without a word, since the last look

	tide  ban.Tide                   // of tendBans alone
	front atomic.Pointer[netip.Addr] // that stands before everybody; nil: none
	valve atomic.Pointer[opening]    // nil: it is shut
}

// A lapse is a registration that ended without a word: where the phone was, and whose.
type lapse struct {
	from netip.AddrPort
	user string
}

// An opening is the safety valve open.
type opening struct {
	until  time.Time
	wave   ban.Wave
	lifted int
}

// String says what happened.
func (o *opening) String() string {
	return fmt.Sprintf("phones of %d of %d registered users vanished after bans: %s lifted, and checks ban and refuse nobody until %s or a reload (ringwall reload)",
		o.wave.Lost, o.wave.Known, count(o.lifted, "ban"), o.until.Local().Format(time.TimeOnly))
}

// knows reports flows that bans spare: of registered phones, and those from which the platform accepted a user before.
func (s *service) knows(f edge.Flow, at time.Time) bool {
	if s.bindings.Known(f, at) {
		return true
	}
	j := s.judge()
	return j != nil && j.Knows(f, at)
}

// knowsIn reports whether there may be such flows in p.
func (s *service) knowsIn(p netip.Prefix, at time.Time) bool {
	if s.bindings.KnownIn(p, at) {
		return true
	}
	j := s.judge()
	return j != nil && j.KnowsIn(p, at)
}

// lapsed takes note of a phone whose registration ended without a word.
func (s *service) lapsed(f edge.Flow, user string) {
	i := &s.innocence
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.lapsed) < mostLapsed {
		i.lapsed = append(i.lapsed, lapse{f.Remote, user})
	}
}

// lost is whose of those that lapsed since the last look were banned.
func (s *service) lost(at time.Time) (users []string) {
	i := &s.innocence
	i.mu.Lock()
	list := i.lapsed
	i.lapsed = nil
	i.mu.Unlock()
	for _, one := range list {
		if s.bans.Cost(one.from, at) {
			users = append(users, one.user)
		}
	}
	return users
}

// spare looks, once a second, whether bans hit the wrong ones: whether all traffic comes through one address, and whether known phones vanish.
func (s *service) spare(at time.Time) {
	j, i := s.judge(), &s.innocence
	if j == nil {
		return
	}
	if share := ban.Share(j.Front(at)); ban.Fronted(share) && s.bans.Front(share.Addr, at) {
		i.front.Store(&share.Addr)
		s.ring.Add(edge.Event{At: at, Name: event.Ban, Reason: reasonFronted, Source: edge.Flow{Remote: netip.AddrPortFrom(share.Addr, 0)}, Message: fronted(share.Addr)})
	}
	if open := i.valve.Load(); open != nil && !at.Before(open.until) {
		s.resume(at, "an hour is over")
	}
	wave := i.tide.Note(s.bindings.Users(), s.lost(at), at)
	if i.valve.Load() != nil {
		return
	}
	if lifted, open := s.bans.Relieve(wave, at); open {
		i.tide = ban.Tide{} // these are dealt with
		o := &opening{at.Add(dryTime), wave, len(lifted)}
		i.valve.Store(o)
		j.Suspend(true)
		s.ring.Add(edge.Event{At: at, Name: event.Ban, Reason: reasonValve, Message: o.String()})
	}
}

// fronted says that a stands in front of everybody.
func fronted(a netip.Addr) string {
	return fmt.Sprintf("nearly all requests come through %v, a proxy or container bridge in front of ringwall: nobody behind it can be banned until ringwall "+
		"sees where they really are (host network, or outside.proxy_protocol)", a)
}

// resume shuts the safety valve: checks act again.
func (s *service) resume(at time.Time, why string) {
	if s.innocence.valve.Swap(nil) == nil {
		return
	}
	s.judge().Suspend(false)
	s.ring.Add(edge.Event{At: at, Name: event.Ban, Message: "checks ban and refuse again: " + why})
}
