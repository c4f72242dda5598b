package main

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/media"
	"github.com/ringwall/ringwall/media/rtpengine"
	"github.com/ringwall/ringwall/state"
	"github.com/ringwall/ringwall/transport"
)

// unknownShare is the part of all calls with media, and of all media lines, in percent, that strangers may have whom the platform has not answered.
const unknownShare = 30

// openMedia starts the relay of media, if there is to be one.
func (s *service) openMedia(ctx context.Context) error {
	m := &s.cfg.Media
	switch m.Relay {
	case config.RelayOff:
		return nil
	case config.RelayRTPEngine:
		return s.openEngines()
	}
	wanted := m.Address
	if a, err := netip.ParseAddr(s.cfg.Outside.Advertise); err == nil && !wanted.IsValid() {
		wanted = a // what the world calls us is where it sends media to, too
	}
	outside, announced := s.mediaAddrs(edge.Outside, wanted)
	inside, more := s.mediaAddrs(edge.Inside, m.InsideAddress)
	for own, shown := range more {
		announced[own] = shown
	}
	relay, err := media.NewRelay(media.RelayConfig{Outside: outside, Inside: inside, First: m.Ports.First, Last: m.Ports.Last, Streams: s.budget.lines,
		Owned: max(1, s.budget.lines*unknownShare/100), Loops: m.Threads, Coalesce: m.Coalesce, Guard: s.guardRelay})
	if err != nil {
		return s.cfg.Fault("media", err.Error(), "")
	}
	s.relay = relay
	s.onClose(func() error { relay.Close(); return nil })
	s.builtin = &media.BuiltIn{Relay: relay, Near: s.near, Announce: announced}
	s.calls = s.builtin.NewCalls(s.callsConfig())
	s.tuneMedia(m)
	if m.Journal {
		s.keepCalls(context.WithoutCancel(ctx))
	}
	s.metrics.Gauge("ringwall_media_streams", "Media lines with ports.", func() float64 { return float64(relay.Streams()) })
	return nil
}

// tuneMedia puts in force what may change of media while calls go on. What is described from now on is accepted by it; packets of descriptions of
// before go on as they did.
func (s *service) tuneMedia(m *config.Media) {
	if s.calls != nil {
		s.calls.SetSilence(silence(m))
	}
	if s.builtin == nil {
		return
	}
	s.relay.SetCoalesce(m.Coalesce)
	s.builtin.Accept(media.Acceptance{Rate: m.Packets, Latch: [...]media.Latch{
		edge.Unknown: latch(m.Latch.Unknown), edge.Known: latch(m.Latch.Known), edge.Peer: latch(m.Latch.Peer)}})
}

// silence says it in media's terms.
func silence(m *config.Media) media.Quiet {
	return media.Quiet{After: m.Silence.After, End: m.Silence.End}
}

// keepCalls takes up the calls of the last run and keeps them written from now on. Service goes on without, if that is not possible.
func (s *service) keepCalls(ctx context.Context) {
	note := s.journalState("calls", reasonCalls, &s.callError)
	journal, err := media.OpenJournal(ctx, s.db, s.calls, s.since, state.Options{State: note, Sound: s.file.Watch(), Repair: s.repair})
	if err != nil {
		note(err)
		return
	}
	s.onClose(func() error { return journal.Close(context.Background()) })
	if restored, left := journal.Loaded(); restored+left > 0 {
		s.log.Info("calls are back", "event", event.State, "calls", restored, "left_out", left)
	}
}

// openEngines opens the way to the rtpengine servers that relay media.
func (s *service) openEngines() error {
	cluster, err := rtpengine.New(rtpengine.Config{Instances: s.cfg.Media.RTPEngine, Tell: s.tellEngine})
	if err != nil {
		return s.cfg.Fault("media.rtpengine", err.Error(), "")
	}
	s.onClose(func() error { cluster.Close(); return nil })
	by := &media.Engines{Cluster: cluster, Guard: s.guardMedia}
	s.calls = by.NewCalls(s.callsConfig())
	s.metrics.Gauge("ringwall_media_servers", "rtpengine servers that are up.", func() float64 { return float64(cluster.Up()) })
	return nil
}

// tellEngine tells of an rtpengine that went down or came back.
func (s *service) tellEngine(server netip.AddrPort, up bool) {
	e := edge.Event{At: time.Now(), Name: "media", Reason: media.ReasonServer, Message: "rtpengine " + server.String() + " answers again"}
	if !up {
		e.Message = "rtpengine " + server.String() + " does not answer: its calls have no media until they are moved, new calls go elsewhere"
	}
	s.ring.Add(e)
}

// tellMedia counts and tells of what happened to the media of a call. An ordinary end has no reason.
func (s *service) tellMedia(e edge.Event) {
	if e.Reason != "" {
		s.metrics.Lane().Refused(e.Reason)
	}
	s.ring.Add(e)
}

// callsConfig bounds calls with media, and says how many there are.
func (s *service) callsConfig() media.CallsConfig {
	c := media.DefaultCallsConfig()
	c.Calls, c.Strangers = s.cfg.Limits.Calls, max(1, s.cfg.Limits.Calls*unknownShare/100)
	c.Silence, c.Tell = silence(&s.cfg.Media), s.tellMedia
	s.metrics.Reasons(media.ReasonSilent, media.ReasonEnded, media.ReasonLost, media.ReasonServer)
	s.metrics.Gauge("ringwall_media_calls", "Calls whose media is relayed.", func() float64 { return float64(s.calls.Len()) })
	return c
}

// latch says it in media's terms.
func latch(l config.Latch) media.Latch {
	switch l {
	case config.LatchPrefix24:
		return media.Prefix24
	case config.LatchAny:
		return media.Any
	}
	return media.Strict
}

// near is our address that signalling of a far end uses.
func (s *service) near(f edge.Flow) (a netip.Addr) {
	if all := s.transport.Listeners(); int(f.Listener) < len(all) {
		a = all[f.Listener].Addr.Addr()
	}
	return a
}

// mediaAddrs are the addresses of a side that media comes to: those of the listeners, but for what wanted stands for; and what descriptions name in their place.
// wanted is what the configuration names: one of ours, or an address by which others reach the listeners; not valid if it names none.
func (s *service) mediaAddrs(side edge.Side, wanted netip.Addr) (all []netip.Addr, announced map[netip.Addr]netip.Addr) {
	announced = map[netip.Addr]netip.Addr{}
	if wanted.IsValid() && s.transport.Own(wanted) {
		all = append(all, wanted)
	}
	own := len(all) > 0
	for _, l := range s.transport.Listeners() {
		a := l.Addr.Addr()
		if l.Side != side || own && a.Is4() == wanted.Is4() || slices.Contains(all, a) {
			continue
		}
		if all = append(all, a); wanted.IsValid() && a.Is4() == wanted.Is4() {
			announced[a] = wanted
		}
	}
	// Whose signalling uses the other version of IP gets the first address of his: one that other machines can reach, if there is one.
	slices.SortStableFunc(all, func(a, b netip.Addr) int { return cmp.Compare(loopbackLast(a), loopbackLast(b)) })
	return all, announced
}

func loopbackLast(a netip.Addr) int {
	if a.IsLoopback() {
		return 1
	}
	return 0
}

// guardMedia returns an error for an address outside that only a description named and that nothing may be sent to.
func (s *service) guardMedia(to netip.AddrPort) error {
	i := slices.IndexFunc(s.transport.Listeners(), func(l transport.Listener) bool {
		return l.Side == edge.Outside && l.Addr.Addr().Is4() == to.Addr().Is4()
	})
	if i < 0 {
		return nil // no media is sent there either
	}
	return s.transport.Guard(to, uint16(i))
}

// guardRelay is guardMedia for the built-in relay, which sends nothing unasked to an address that is neither proven nor a peer's: a private one may be
// a peer's, and else harms nobody.
func (s *service) guardRelay(to netip.AddrPort) error {
	if err := s.guardMedia(to); err != transport.GuardError("private") {
		return err
	}
	return nil
}

// serveMedia looks after calls.
func (s *service) serveMedia() {
	if s.calls == nil {
		return
	}
	s.goUntilClose(func(ctx context.Context) { each(ctx, time.Second, s.calls.Sweep) })
}
