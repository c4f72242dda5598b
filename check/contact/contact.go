// Package contact finds Contacts that no phone has. See README.md.
package contact

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

const (
	reasonPlace edge.Reason = "contact.place" // a Contact at an address that nobody else can reach, or at ours
	reasonOther edge.Reason = "contact.other" // a Contact at a public address that is neither the source nor in its Via
)

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonPlace, reasonOther} }

// Config says who we are.
type Config struct {
	Own []netip.Addr // addresses of the edge
}

const (
	placePoints = 2
	otherPoints = 1
)

// A Check has no memory.
type Check struct {
	own   []netip.Addr
	aside bool // no own address is one of behindNAT
}

// New makes the check.
func New(cfg Config, _ meter.Key) *Check {
	near := func(a netip.Addr) bool { return strings.HasPrefix(a.Unmap().String(), string(behindNAT)) }
	return &Check{own: cfg.Own, aside: !slices.ContainsFunc(cfg.Own, near)}
}

// looked are the methods that mean something by a Contact: monitoring tools write what they like into OPTIONS.
const looked edge.Methods = 1<<sip.REGISTER | 1<<sip.INVITE | 1<<sip.SUBSCRIBE

// Minds implements edge.Chooser.
func (c *Check) Minds() (inspect, watch edge.Minds) {
	return edge.Minds{Bare: looked, Signed: looked}, edge.Minds{}
}

// Inspect implements edge.Check. Private addresses are what phones behind a NAT have, names say nothing: neither is looked at.
func (c *Check) Inspect(x *edge.Exchange) *edge.Verdict {
	m := x.Msg
	i := m.Find(sip.FieldContact)
	if i < 0 || looked>>m.Method&1 == 0 {
		return nil
	}
	var host []byte
	if one := m.Contact(); one != nil && one.Decoded.User.Len() > 0 && m.Raw[one.Whole.Start] == '<' { // so nothing stands before the user that holds an @
		host = one.Decoded.Host.Of(m.Raw)
	} else {
		host = hostIn(m.Fields[i].Value.Of(m.Raw))
	}
	if len(host) == 0 || host[0] != '[' && (host[len(host)-1] < '0' || host[len(host)-1] > '9') {
		return nil
	}
	if c.aside && bytes.HasPrefix(host, behindNAT) { // nearly every phone: whether the rest of it is an address makes no difference
		return nil
	}
	addr, ok := sip.HostAddr(host)
	source := x.From.Remote.Addr().Unmap()
	switch {
	case !ok || addr == source || source.IsLoopback():
		return nil
	case addr.IsLoopback(), addr.IsMulticast(), addr.IsUnspecified(), addr == broadcast, slices.Contains(c.own, addr):
		return x.Say(edge.Verdict{Action: edge.Reply, Reason: reasonPlace, Status: 400, Score: placePoints})
	case addr.IsPrivate(), addr.IsLinkLocalUnicast(), shared.Contains(addr), !addr.Is4(), string(host) == string(m.Via.Host.Of(m.Raw)):
		return nil
	}
	return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonOther, Score: otherPoints, Most: otherPoints})
}

// hostIn is the host of the first URI in a Contact that the parser accepted, as far as it may be an address.
func hostIn(contact []byte) []byte {
	at := bytes.IndexByte(contact, '@')
	if at < 0 {
		at = bytes.IndexByte(contact, ':')
	}
	host := contact[at+1:]
	if len(host) > 0 && host[0] == '[' {
		return host[:bytes.IndexByte(host, ']')+1]
	}
	for i, c := range host {
		if (c < '0' || c > '9') && c != '.' {
			if c == ':' || c == ';' || c == '>' || c == ',' || c == '?' || c == ' ' {
				return host[:i]
			}
			return nil
		}
	}
	return host
}

var (
	behindNAT = []byte("192.168.")
	broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	shared    = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598: between a customer and a carrier's NAT
)
