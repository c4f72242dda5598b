package replay

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Bounds of who is counted; what comes from others is counted together.
const (
	maxCounted = 1 << 19 // flows
	maxGiven   = 16      // reasons of one source
)

// A crowd counts what came from whom.
type crowd struct {
	flows   map[netip.AddrPort]*flow
	sources map[edge.Source]*source
	others  *flow // of whom there is no room for
	most    int   // flows
}

// A tally is what became of messages.
type tally struct {
	messages uint64
	passed   uint64 // that the platform got
	acted    uint64
	first    float64 // when the first came: seconds
	banned   bool
	judged   bool    // something was done about it
	when     float64 // for the first time: seconds
	before   uint64  // passed until then
}

// A flow is one address and port outside. Times are nanoseconds since 1970.
type flow struct {
	tally
	source *source
	bound  int64 // a phone is registered from there: until when
}

// A source is one address outside; of IPv6 a /64.
type source struct {
	tally
	name    edge.Source
	reasons []edge.Reason
	bound   int64 // the longest of its flows
}

func (c *crowd) init() {
	c.flows, c.sources = map[netip.AddrPort]*flow{}, map[edge.Source]*source{}
	c.others, c.most = &flow{source: &source{}}, maxCounted
}

// flow returns the flow from there.
func (c *crowd) flow(from netip.AddrPort) *flow {
	if f := c.flows[from]; f != nil {
		return f
	}
	if len(c.flows) >= c.most {
		return c.others
	}
	name := edge.SourceOf(from.Addr())
	s := c.sources[name]
	if s == nil {
		s = &source{name: name}
		c.sources[name] = s
	}
	f := &flow{source: s}
	c.flows[from] = f
	return f
}

// bind notes that the phone there is registered until then. Of flows that are counted together nothing is known.
func (c *crowd) bind(f *flow, until time.Time) {
	if f != c.others {
		f.bound = until.UnixNano()
		f.source.bound = max(f.source.bound, f.bound)
	}
}

// known reports whether a phone is registered from there, knownIn whether one is from anywhere in a prefix.
func (c *crowd) known(from edge.Flow, at time.Time) bool {
	f := c.flows[from.Remote]
	return f != nil && at.UnixNano() < f.bound
}

func (c *crowd) knownIn(p netip.Prefix, at time.Time) bool {
	if s := c.sources[edge.Source{Prefix: p}]; s != nil {
		return at.UnixNano() < s.bound
	}
	return false // of addresses that nothing came from, or a part of a /64: nobody
}

// passedIn is how many messages of sources in a prefix the platform got.
func (c *crowd) passedIn(in netip.Prefix) (n uint64) {
	for _, s := range c.sources {
		if in.Contains(s.name.Prefix.Addr()) {
			n += s.passed
		}
	}
	return n
}

// count counts a message.
func (f *flow) count(now float64) {
	f.tally.count(now)
	f.source.tally.count(now)
}

func (t *tally) count(now float64) {
	if t.messages == 0 {
		t.first = now
	}
	t.messages++
}

// pass counts a message that the platform gets.
func (f *flow) pass() { f.passed++; f.source.passed++ }

// stop counts a message that does not get through.
func (f *flow) stop(why edge.Reason, now float64) {
	f.acted++
	f.source.acted++
	f.source.gave(why)
	f.verdict(now)
}

// verdict notes that something is done about the flow, and its source.
func (f *flow) verdict(now float64) {
	f.tally.verdict(now)
	f.source.tally.verdict(now)
}

func (t *tally) verdict(now float64) {
	if !t.judged {
		t.judged, t.when, t.before = true, now, t.passed
	}
}

// gave notes a reason.
func (s *source) gave(why edge.Reason) {
	if len(s.reasons) < maxGiven && !slices.Contains(s.reasons, why) {
		s.reasons = append(s.reasons, why)
	}
}
