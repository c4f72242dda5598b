package ban

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// TestNeighbours (B7): eight addresses of a /24, three /64 of a /48, each banned on proof within a day, and their network is banned; not others.
func TestNeighbours(t *testing.T) {
	four := func(i int) string { return fmt.Sprint("198.51.100.", 10+i) }
	six := func(i int) string { return fmt.Sprintf("2001:db8:7:%x::1", i) }
	for name, c := range map[string]struct {
		source  func(int) string
		n       int
		every   time.Duration
		known   string
		soft    bool
		by      Origin
		network string // "": none
	}{
		"eight":                     {source: four, n: 8, network: "198.51.100.0/24"},
		"seven":                     {source: four, n: 7},
		"three of IPv6":             {source: six, n: 3, network: "2001:db8:7::/48"},
		"two of IPv6":               {source: six, n: 2},
		"over a day":                {source: four, n: 20, every: 4 * time.Hour},
		"within a day":              {source: four, n: 8, every: 3 * time.Hour, network: "198.51.100.0/24"},
		"one again and again":       {source: func(int) string { return "198.51.100.9" }, n: 30, every: time.Hour},
		"unproven":                  {source: four, n: 20, soft: true},
		"by an operator":            {source: four, n: 20, by: Operator},
		"single ports":              {source: func(i int) string { return four(i) + ":5060" }, n: 20},
		"somebody known is there":   {source: four, n: 20, known: "198.51.100.200"},
		"who is known is elsewhere": {source: four, n: 8, known: "198.51.101.200", network: "198.51.100.0/24"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, Config{KnownIn: func(p netip.Prefix, _ time.Time) bool {
				a, err := netip.ParseAddr(c.known)
				return err == nil && p.Contains(a)
			}})
			at := start
			for i := range c.n {
				o := order(c.source(i), !c.soft)
				if o.By = Judge; c.by != "" {
					o.By = c.by
				}
				b.Tick(at)
				add(t, b, o, at)
				at = at.Add(c.every)
			}
			got := ""
			for _, one := range b.Bans(at.Add(-c.every)) {
				if one.Reason == ReasonNeighbours {
					got = one.Source.String()
				}
			}
			if got != c.network {
				t.Errorf("banned the network %q, want %q", got, c.network)
			}
		})
	}
}

// TestNeighboursFreed: who frees one of a network does not want it banned for the others; old networks are forgotten.
func TestNeighboursFreed(t *testing.T) {
	b := newBook(t, Config{})
	one := func(i int) edge.Source { return source(fmt.Sprint("198.51.100.", i)) }
	for i := range 7 {
		add(t, b, Order{Ban: edge.Ban{Source: one(i), Hard: true, Reason: "test.reason"}, By: Judge}, start)
	}
	if _, err := b.Lift(one(0), start); err != nil {
		t.Fatal(err)
	}
	add(t, b, Order{Ban: edge.Ban{Source: one(9), Hard: true, Reason: "test.reason"}, By: Judge}, start)
	if n := b.Stats().Hard; n != 7 {
		t.Errorf("%d bans, want 7", n)
	}
	if b.Tick(start.Add(25 * time.Hour)); len(b.groups) != 0 {
		t.Errorf("%d networks are remembered", len(b.groups))
	}
}
