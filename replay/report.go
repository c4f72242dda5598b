package replay

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/ringwall/ringwall/edge"
)

// A Report is what a replay found. Its JSON names are stable.
type Report struct {
	Messages uint64   `json:"messages"`   // SIP between outside and inside, and what came where SIP is spoken
	Duration float64  `json:"duration_s"` // from the first packet to the last, seconds
	Bans     []Ban    `json:"bans"`       // in the order in which they began
	Locks    []Lock   `json:"locks"`      // the same
	Sources  []Source `json:"sources"`    // outside; those that most was done about first
	Labels   []Score  `json:"labels,omitempty"`

	WouldBan  []Ban  `json:"would_ban,omitempty"`  // where checks only watch: the first ban of each source that there would be
	WouldLock []Lock `json:"would_lock,omitempty"` // the same of locks

	Elsewhere uint64   `json:"-"` // messages between two of the platform, or two of others
	Notes     []string `json:"-"` // what a reader should know, a sentence each
	crowd     *crowd
}

// A Ban is one that began.
type Ban struct {
	Source edge.Source `json:"source"` // an address, a prefix, or address:port where only that flow is banned
	Reason edge.Reason `json:"reason"`
	At     float64     `json:"at_s"`            // seconds after the first packet
	Before uint64      `json:"messages_before"` // of the source, that the platform got before
}

// A Lock is one that began.
type Lock struct {
	User   string      `json:"user"`
	Source string      `json:"source"` // "*": everywhere but where the platform accepted the user before
	Reason edge.Reason `json:"reason"`
	At     float64     `json:"at_s"`
}

// A Source is an address outside; of IPv6 a /64.
type Source struct {
	Source   edge.Source   `json:"source"`
	Messages uint64        `json:"messages"`
	Acted    uint64        `json:"acted"` // of these, that did not just pass
	Reasons  []edge.Reason `json:"reasons"`
}

// Bounds of a report.
const (
	maxListed = 1 << 16 // bans, and locks
	maxNotes  = 16
)

func newReport() *Report {
	return &Report{Bans: []Ban{}, Locks: []Lock{}, Sources: []Source{}}
}

// listed is list with one more, if there is room.
func listed[T any](list []T, one T) []T {
	if len(list) < maxListed {
		list = append(list, one)
	}
	return list
}

// note adds a sentence, once.
func (r *Report) note(text string) {
	if len(r.Notes) < maxNotes && !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

// round keeps microseconds.
func round(seconds float64) float64 { return math.Round(seconds*1e6) / 1e6 }

// finish fills in what is known at the end.
func (p *player) finish() {
	r, w := p.report, p.wire
	r.crowd = &p.crowd
	r.Duration = round(w.clock.Sub(w.first).Seconds())
	for _, s := range p.crowd.sources {
		one := Source{s.name, s.messages, s.acted, s.reasons}
		if one.Reasons == nil {
			one.Reasons = []edge.Reason{}
		}
		if s.messages > 0 {
			r.Sources = append(r.Sources, one)
		}
	}
	slices.SortFunc(r.Sources, func(a, b Source) int {
		return cmp.Or(cmp.Compare(b.Acted, a.Acted), cmp.Compare(b.Messages, a.Messages), a.Source.Prefix.Compare(b.Source.Prefix))
	})
	for _, n := range []struct {
		count int
		text  string
	}{
		{w.capture.skipped, "%d packets of other link types were left out"},
		{w.short, "%d datagrams were captured only in part and left out: capture with a larger snapshot length"},
		{w.fragments.lost + len(w.fragments.waiting), "%d fragmented packets never became whole"},
		{w.streams.lost, "%d times part of a TCP stream was missing"},
		{w.streams.foreign, "%d TCP streams hold no plain SIP, TLS for one"},
		{int(p.crowd.others.messages), "%d messages are of sources too many to list"},
	} {
		if n.count > 0 {
			r.note(fmt.Sprintf(n.text, n.count))
		}
	}
	if r.Messages == 0 {
		r.note("no SIP goes to or comes from the platform in this capture")
	}
}
