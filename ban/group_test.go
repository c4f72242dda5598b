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

// TestNeighboursForetold: where nobody is banned since checks only watch, the ban of the network is foretold with that of the eighth address, once while it
// would last; addresses that are banned count with those that only would be. Nobody known there, and nobody twice.
func TestNeighboursForetold(t *testing.T) {
	for name, c := range map[string]struct {
		sources []int
		banned  int // of these, the first ones
		known   bool
		network int // number of the one with which the network is told; -1: none
	}{
		"eight":                   {sources: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, network: 7},
		"seven":                   {sources: []int{1, 2, 3, 4, 5, 6, 7}, network: -1},
		"one again and again":     {sources: []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, network: -1},
		"two by turns":            {sources: []int{1, 2, 1, 2, 1, 2, 1, 2, 1, 2}, network: -1},
		"some are banned":         {sources: []int{1, 2, 3, 4, 5, 6, 7, 8}, banned: 4, network: 7},
		"somebody known is there": {sources: []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, known: true, network: -1},
	} {
		b := newBook(t, Config{KnownIn: func(netip.Prefix, time.Time) bool { return c.known }})
		for i, n := range c.sources {
			o, at := order(fmt.Sprint("198.51.100.", n), true), start.Add(time.Duration(i)*time.Second)
			if i < c.banned {
				add(t, b, o, at)
				continue
			}
			would, err := b.Would(o, at)
			if err != nil {
				t.Fatal(err)
			}
			told := len(would) == 2 && would[1].String() == "198.51.100.0/24"
			if told != (i == c.network) {
				t.Errorf("%s: with number %d: %v", name, i, would)
			}
		}
		if n := b.Stats().Hard; n != c.banned {
			t.Errorf("%s: %d bans", name, n)
		}
		if b.Tick(start.Add(25 * time.Hour)); len(b.omens)+len(b.groups) != 0 {
			t.Errorf("%s: %d networks are remembered", name, len(b.omens))
		}
	}
}
