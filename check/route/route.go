// Package route finds requests of strangers that claim to have come a way, or want to go one. See README.md.
package route

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

const (
	reasonRecord   edge.Reason = "route.record"   // Record-Route on a first request of a stranger
	reasonForeign  edge.Reason = "route.foreign"  // a Route that leads somewhere else
	reasonIdentity edge.Reason = "route.identity" // a stranger asserts an identity, or a diversion
)

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonRecord, reasonForeign, reasonIdentity} }

// Config says who we are.
type Config struct {
	Own   []netip.Addr // addresses of the edge
	Names []string     // by which the world calls it and its domains, lower case
}

const (
	recordPoints  = 1
	recordMost    = 2 // trunks that are no configured peers look so, too
	foreignPoints = 3
	foreignMost   = 6 // an INVITE through an outbound proxy whose name we don't know as ours looks so, too; with other forgeries it is a ban
	claimPoints   = 1
	claimMost     = 3
)

// A Check has no memory.
type Check struct{ cfg Config }

// New makes the check.
func New(cfg Config, _ meter.Key) *Check { return &Check{cfg: cfg} }

// Inspect implements edge.Check. Whatever it says, the proxy takes these fields off the requests of strangers. REGISTERs may name any Route: it is the
// phone's outbound proxy, and leads nobody anywhere.
func (c *Check) Inspect(x *edge.Exchange) *edge.Verdict {
	m := x.Msg
	if m.ToTag.Present() || m.Method == sip.ACK || m.Method == sip.CANCEL {
		return nil
	}
	if m.Find(sip.FieldRoute) < 0 && m.Find(sip.FieldRecordRoute) < 0 && m.Find(sip.FieldOther) < 0 { // nothing of what is looked for
		return nil
	}
	for i := range m.Fields {
		f := &m.Fields[i]
		switch f.ID {
		case sip.FieldRoute:
			if m.Method != sip.REGISTER && !c.ours(m, f.Value) {
				return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonForeign, Score: foreignPoints, Most: foreignMost})
			}
		case sip.FieldRecordRoute:
			return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonRecord, Score: recordPoints, Most: recordMost})
		case sip.FieldOther:
			if claims(f.Name.Of(m.Raw)) {
				return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonIdentity, Score: claimPoints, Most: claimMost})
			}
		}
	}
	return nil
}

// ours reports whether the first Route of value names us: a phone's outbound proxy.
func (c *Check) ours(m *sip.Message, value sip.Span) bool {
	a, _, err := sip.NextAddress(m.Raw, value)
	if err != nil {
		return false
	}
	uri, err := sip.ParseURI(m.Raw, a.URI)
	if err != nil {
		return false
	}
	host := uri.Host.Of(m.Raw)
	if addr, ok := sip.HostAddr(host); ok {
		return slices.Contains(c.cfg.Own, addr)
	}
	for _, name := range c.cfg.Names {
		if strings.EqualFold(name, string(host)) {
			return true
		}
	}
	return false
}

// claims reports whether a field of that name asserts who the caller is.
func claims(name []byte) bool {
	if len(name) < 9 || name[0]|0x20 != 'p' && name[0]|0x20 != 'r' && name[0]|0x20 != 'd' {
		return false
	}
	return strings.EqualFold(string(name), "P-Asserted-Identity") || strings.EqualFold(string(name), "Remote-Party-ID") || strings.EqualFold(string(name), "Diversion")
}
