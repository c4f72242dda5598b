package main

import (
	"encoding/json"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
)

// verdictOf is an event about a message of the n-th source.
func verdictOf(n int, reason edge.Reason) *edge.Event {
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), 5060)
	return &edge.Event{Name: event.Refused, Reason: reason, Source: edge.Flow{Remote: from}, Method: "OPTIONS"}
}

// TestFold: the first verdict of a kind and source is told, the rest counted, and nothing told twice or lost.
func TestFold(t *testing.T) {
	f, at := newFold(), time.Unix(1, 0)
	take := func(n int, reason edge.Reason) bool {
		line, now := f.take(verdictOf(n, reason))
		if now && line.Source == "" {
			t.Errorf("%+v", line)
		}
		return now
	}
	for i := range 100 {
		if take(1, "flood.rate") != (i == 0) || take(2, "flood.rate") != (i == 0) || take(1, "ban.soft") {
			t.Fatalf("verdict %d", i)
		}
	}
	take(3, "access.method")
	if ban, now := f.take(&edge.Event{Name: event.Ban, Message: "Blocking traffic from 198.51.0.1"}); !now || ban.Text == "" {
		t.Errorf("a ban: %+v", ban)
	}
	want := []tailLine{{At: at, Event: "refused", Reason: "flood.rate", Source: "198.51.0.1", Count: 99},
		{At: at, Event: "refused", Reason: "flood.rate", Source: "198.51.0.2", Count: 99}, {At: at, Event: "banned", Count: 100 + 7}}
	if got := f.round(at, 7); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if take(1, "flood.rate") || !take(3, "access.method") {
		t.Error("what goes on is told again, or what came once is folded a round later")
	}
	if got := f.round(at, 0); len(got) != 1 || got[0].Count != 1 {
		t.Errorf("%+v", got)
	}
	if got := f.round(at, 0); len(got) != 0 || len(f.more) != 0 {
		t.Errorf("%+v, %d kept", got, len(f.more))
	}
}

// TestFoldIsBounded: a million sources are few lines and little memory, and every verdict is in one of them.
func TestFoldIsBounded(t *testing.T) {
	f, told := newFold(), uint64(0)
	const all = 60_000
	for i := range all {
		if _, now := f.take(verdictOf(i, "flood.rate")); now {
			told++
		}
	}
	if told != foldFirst || len(f.more) != foldSources {
		t.Errorf("%d told one by one, %d kept", told, len(f.more))
	}
	lines := f.round(time.Time{}, 0)
	for _, line := range lines {
		told += line.Count
	}
	if last := lines[len(lines)-1]; told != all || len(lines) != foldLoudest+1 || last.Sources != manySources {
		t.Errorf("%d of %d told in %d lines, the last one %+v", told, all, len(lines), last)
	}
	for i := range 500 {
		f.take(verdictOf(i, "flood.rate"))
	}
	f.round(time.Time{}, 0)
	for i := range 500 {
		f.take(verdictOf(i, "flood.rate"))
	}
	if lines := f.round(time.Time{}, 0); lines[len(lines)-1].Sources != 500-foldFirst-foldLoudest {
		t.Errorf("%+v", lines[len(lines)-1])
	}
}

// TestTailLineIsSafe: nothing that a stranger wrote reaches a terminal as more than text.
func TestTailLineIsSafe(t *testing.T) {
	e := verdictOf(1, "access.method")
	e.Method, e.CallID, e.Detail, e.Status = "A\x1b[2J", "id\nts=1", "\xff", 405
	line := tailLineOf(e)
	var out strings.Builder
	if err := line.print(&out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || strings.Contains(got, "\x1b") || strings.Contains(got, "\xff") || !strings.Contains(got, `A\x1b[2J 405 id\x0ats=1 \xff`) {
		t.Errorf("%q", got)
	}
}

// TestTailFilter: source and reason choose; a ban of a network is shown to who asks for an address.
func TestTailFilter(t *testing.T) {
	for args, want := range map[tailArgs][4]bool{
		{}:                                    {true, true, true, false},
		{Source: "198.51.0.1"}:                {true, false, true, false},
		{Source: "198.51.0.1:5061"}:           {false, false, true, false},
		{Source: "198.51.0.0/16"}:             {true, true, true, false},
		{Reason: "flood"}:                     {true, false, false, false},
		{Reason: "access.method"}:             {false, true, false, false},
		{Source: "10.0.0.1", Reason: "flood"}: {false, false, false, false},
	} {
		wanted, err := args.filter()
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range []*edge.Event{verdictOf(1, "flood.rate"), verdictOf(2, "access.method"), {Name: event.Ban, Reason: "spray.users"}, {Name: event.Upstream}} {
			if wanted(e) != want[i] {
				t.Errorf("%+v: event %d: %v", args, i, !want[i])
			}
		}
	}
	if _, err := (&tailArgs{Source: "nowhere"}).filter(); err == nil {
		t.Error("a source that is none")
	}
}

// TestTailShows prints what a service would send.
func TestTailShows(t *testing.T) {
	var out, stderr strings.Builder
	f := tailFlags{as: output{form: "text"}}
	show := f.shower(&out, &stderr)
	for _, line := range []tailLine{{Event: "begun"}, {Event: "refused", Reason: "flood.rate", Source: "198.51.0.1", Count: 9, Dropped: 2},
		{Event: "refused", Reason: "flood.rate", Count: 9, Sources: manySources, Dropped: 2}, {Event: "banned", Count: 1, Dropped: 3}} {
		raw, err := json.Marshal(line)
		if err == nil {
			err = show(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"(2 events not shown: more came than could be)\n", "198.51.0.1 9 more\n", "9 more of many sources\n", "(1 event not", "1 packet of banned sources dropped unread\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if err := f.shower(io.Discard, io.Discard)([]byte("{")); err == nil {
		t.Error("half a line is shown")
	}
}
