package ban

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/gaissmai/bart"

	"github.com/ringwall/ringwall/edge"
)

// An Exemption is why sources are never banned. It always wins: over bans, old and new, of whoever asks.
type Exemption struct {
	Prefix netip.Prefix `json:"prefix"`
	Why    string       `json:"why"` // "default gateway", "trust.never_ban", "allowed by an operator: office"
}

// An Allowed is an entry of the allow list, which operators change and the journal keeps.
type Allowed struct {
	Source edge.Source `json:"source"`
	Text   string      `json:"text,omitempty"`
	At     time.Time   `json:"at"`
}

// SetNever replaces the addresses that are never banned whatever anybody asks: our own, the platform's, the operator's … Bans of
// them end. It is to be called when the configuration or the machine's surroundings change.
func (b *Book) SetNever(never []Exemption, at time.Time) {
	b.mu.Lock()
	var changes []Change
	if !slices.Equal(b.never, never) {
		b.never = slices.Clone(never)
		changes = b.exempted(at)
	}
	b.mu.Unlock()
	b.tell(changes)
}

// The widest networks that the allow list takes, as trust.never_ban does: all of 10.0.0.0/8 and fc00::/7.
const (
	widestAllowed4 = 8
	widestAllowed6 = 7
)

// Allow puts source on the allow list and lifts the bans in it, which it returns. A source with a port is refused: who may send from
// one port of an address is no answer to who the address is. So is a network that is wider than anybody's own: a slip would free everybody.
func (b *Book) Allow(source edge.Source, text string, at time.Time) (lifted []Ban, err error) {
	if err := checkAllowed(source); err != nil {
		return nil, err
	}
	b.mu.Lock()
	if len(b.allowed) >= maxAllowed {
		b.mu.Unlock()
		return nil, fmt.Errorf("allow %v: there are %d entries already, the most there may be", source, maxAllowed)
	}
	b.allowed[source.Prefix] = Allowed{Source: source, Text: words(text), At: at}
	b.markAllow(source)
	changes := b.exempted(at)
	b.mu.Unlock()
	b.tell(changes)
	for _, c := range changes {
		lifted = append(lifted, c.Ban)
	}
	return lifted, nil
}

// checkAllowed refuses what is nothing for the allow list.
func checkAllowed(source edge.Source) error {
	p := source.Prefix
	switch {
	case source.Port != 0 || !p.IsValid():
		return fmt.Errorf("allow %v: want an address or a prefix", source)
	case p.Bits() < widestAllowed6, p.Addr().Is4() && p.Bits() < widestAllowed4:
		return fmt.Errorf("allow %v: wider than /%d (IPv4) or /%d (IPv6) is not taken: nobody in a good part of the internet could be banned", source, widestAllowed4, widestAllowed6)
	}
	return nil
}

// maxAllowed bounds the allow list.
const maxAllowed = 100_000

// Disallow takes source off the allow list; ErrNotAllowed if it is not on it.
func (b *Book) Disallow(source edge.Source, at time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, found := b.allowed[source.Prefix]; !found || source.Port != 0 {
		return fmt.Errorf("%v %w", source, ErrNotAllowed)
	}
	delete(b.allowed, source.Prefix)
	b.markAllow(source)
	b.exempted(at)
	return nil
}

// AllowList returns the entries of the allow list, by address.
func (b *Book) AllowList() []Allowed {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Allowed, 0, len(b.allowed))
	for _, a := range b.allowed {
		all = append(all, a)
	}
	slices.SortFunc(all, func(x, y Allowed) int { return compareSources(x.Source, y.Source) })
	return all
}

// Never returns what is never banned besides the allow list, in the order it was given.
func (b *Book) Never() []Exemption {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Concat(b.never, b.fronts())
}

// Exempt tells why the address a is never banned.
func (b *Book) Exempt(a netip.Addr) (Exemption, bool) {
	e, ok := b.view.Load().exempt.Lookup(a.Unmap().WithZone(""))
	return e, ok
}

// Front says that a stands in front of everybody, as a proxy or a container's bridge does (Fronted): it is never banned from now on.
// It reports whether that is news.
func (b *Book) Front(a netip.Addr, at time.Time) bool {
	b.mu.Lock()
	_, known := b.front[a]
	if !known && len(b.front) < maxFronts {
		b.front[a] = at
	}
	changes := b.exempted(at)
	b.mu.Unlock()
	b.tell(changes)
	return !known
}

// maxFronts bounds the addresses that may stand in front of us: there is one, or two with IPv6.
const maxFronts = 16

// fronts are exemptions of the addresses in front of us.
func (b *Book) fronts() (all []Exemption) {
	for a := range b.front {
		all = append(all, Exemption{netip.PrefixFrom(a, a.BitLen()),
			"nearly all requests and many known phones come from this private address: a proxy or a container bridge in front of ringwall"})
	}
	slices.SortFunc(all, func(x, y Exemption) int { return x.Prefix.Compare(y.Prefix) })
	return all
}

// exempted builds the table of exemptions anew and lifts the bans that it covers. The lock is held.
func (b *Book) exempted(at time.Time) (changes []Change) {
	table := new(bart.Table[Exemption])
	for _, a := range b.allowed {
		why := "it is on the allow list"
		if a.Text != "" {
			why += " (" + a.Text + ")"
		}
		table.Insert(a.Source.Prefix, Exemption{a.Source.Prefix, why})
	}
	for _, e := range slices.Backward(slices.Concat(b.never, b.fronts())) { // of two that name the same, the first says why
		table.Insert(e.Prefix, e)
	}
	v := *b.view.Load()
	v.exempt = table
	b.view.Store(&v)
	for _, e := range b.entries {
		if !e.active() {
			continue
		}
		if _, covered := table.LookupPrefix(e.source.Prefix); covered {
			changes = append(changes, Change{Lifted, at, e.ban(false)})
			b.drop(e)
		}
	}
	return changes
}

// compareSources orders sources by address, then length, then port.
func compareSources(x, y edge.Source) int {
	if c := x.Prefix.Compare(y.Prefix); c != 0 {
		return c
	}
	return cmp.Compare(x.Port, y.Port)
}

// words are an operator's: one line of at most MaxText bytes.
func words(text string) string {
	one := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	return strings.ToValidUTF8(one[:min(len(one), MaxText)], "")
}
