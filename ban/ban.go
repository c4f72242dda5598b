// Package ban is the ban book: which sources are banned, why, on what evidence and until when; who is never to be; and what past
// offences are remembered. The book is the truth, gates enforce it. Time is always an argument.
//
// Who asks for each packet (Refuses, Soft) takes no lock and allocates nothing: bans lie in routing tables (gaissmai/bart) that are
// never changed, only replaced. Whoever changes the book holds one mutex; Config.Changed is called after it is given back.
package ban

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Bounds of what is kept.
const (
	MaxMessages  = 4    // offending messages of one ban
	MaxBytes     = 1024 // of each of them
	MaxText      = 200  // bytes of an operator's words
	portsPerAddr = 64   // banned ports of one address; one more takes the place of the one that would be free first
	maxParts     = 16
)

// Reasons of bans that no check asked for.
const (
	ReasonOperator edge.Reason = "ban.operator"
)

// Origin is who asked for a ban.
type Origin string

// Origins.
const (
	Judge    Origin = "judge"
	Operator Origin = "operator"
)

// Config is what a Book is told once. A zero number means the default of that field.
type Config struct {
	First, Longest time.Duration // of a first ban, and of any that nobody gave a length; 10 min and 7 days
	Max            int           // bans and remembered offenders together; 200,000
	EvidenceBytes  int           // of offending messages on the whole; 16 MiB; the oldest go first
	Calls          int           // calls that are followed to be spared; 20,000

	// Known reports flows that are known to be good: a hard ban spares them unless it is told not to, a soft ban never touches them. It is
	// called for packets of banned sources. KnownIn reports whether any comes from a prefix; it is called for new bans, under the
	// book's lock. Nil: none.
	Known   func(edge.Flow, time.Time) bool
	KnownIn func(netip.Prefix, time.Time) bool
	// Changed is told of every change, after it is in force and without a lock. It must not wait. Nil: nobody is.
	Changed func(Change)
}

// longestBan is how long an automatic ban lasts at most, unless Config says more.
const longestBan = 7 * 24 * time.Hour

// Default returns a Config with every number filled in.
func Default() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	orDuration(&c.First, 10*time.Minute)
	orDuration(&c.Longest, longestBan)
	orInt(&c.Max, 200_000)
	orInt(&c.EvidenceBytes, 16<<20)
	orInt(&c.Calls, 20_000)
	if c.Known == nil {
		c.Known = func(edge.Flow, time.Time) bool { return false }
	}
	if c.KnownIn == nil {
		c.KnownIn = func(netip.Prefix, time.Time) bool { return false }
	}
	if c.Changed == nil {
		c.Changed = func(Change) {}
	}
	return c
}

func orDuration(p *time.Duration, def time.Duration) {
	if *p == 0 {
		*p = def
	}
}

func orInt(p *int, def int) {
	if *p == 0 {
		*p = def
	}
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.First < time.Second || c.Longest < c.First:
		return fmt.Errorf("bans: first %v and longest %v: want at least a second, and longest not below first", c.First, c.Longest)
	case c.Max < 16 || c.EvidenceBytes < 0 || c.Calls < 1:
		return fmt.Errorf("bans: room for %d bans, %d bytes of evidence, %d calls: want at least 16, 0 and 1", c.Max, c.EvidenceBytes, c.Calls)
	}
	return nil
}

// An Order asks for a ban.
type Order struct {
	edge.Ban
	By         Origin
	Text       string // an operator's words, bounded to MaxText
	Everything bool   // known-good flows and calls are not spared either
}

// A Ban is a copy of an entry of the book. Its JSON names are stable.
type Ban struct {
	Source     edge.Source `json:"source"`
	Reason     edge.Reason `json:"reason"`
	Text       string      `json:"text,omitempty"`
	By         Origin      `json:"by"`
	Hard       bool        `json:"hard"`
	Everything bool        `json:"everything,omitempty"`
	Score      float64     `json:"score,omitempty"`
	Parts      []edge.Part `json:"parts,omitempty"`
	First      time.Time   `json:"first"` // when the book first heard of the source
	Since      time.Time   `json:"since"` // of this ban
	Until      time.Time   `json:"until"`
	Offences   float64     `json:"offences"` // that are remembered, this one included; half of them every 7 days that it is free
	Count      uint64      `json:"count"`    // messages and connections refused since
	Last       time.Time   `json:"last,omitzero"`
	Spares     bool        `json:"spares,omitempty"`   // known-good flows or calls come from there, and are spared
	Messages   []Message   `json:"messages,omitempty"` // the evidence, where it was asked for
}

// A Message is a piece of evidence, cut to MaxBytes.
type Message struct {
	At   time.Time `json:"at"`
	Text []byte    `json:"text"` // as it came
}

// Kind is what a Change did.
type Kind uint8

// Kinds of changes.
const (
	Banned    Kind = iota // a new ban, or a harder or other one of a banned source
	Prolonged             // the source was still sending at the end of its ban
	Lifted                // before its time: by an operator, an allow entry or the safety valve
	Expired               // it is free again, and remembered
	Evicted               // it had to make room for another
)

// A Change is one entry of the book that became different.
type Change struct {
	Kind Kind
	At   time.Time
	Ban  Ban // without messages
}

// ErrUnknown: the book holds no ban of exactly that source.
var ErrUnknown = errors.New("is not banned")

// ErrNotAllowed: the source is not on the allow list.
var ErrNotAllowed = errors.New("is not on the allow list")

// ErrFull: the book is full of bans that an automatic one may not replace.
var ErrFull = errors.New("the ban book is full")

// A ProtectedError says why a source is never banned.
type ProtectedError struct {
	Source edge.Source // that was to be banned
	By     Exemption
}

// Error is one sentence for an operator.
func (e *ProtectedError) Error() string {
	return fmt.Sprintf("%v is never banned: %s", e.Source, e.By.Why)
}
