package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
)

// tailLine is one line of the answer to the verb tail on the control socket, and of `ringwall tail -o json`. Its names are stable. All text is
// printable ASCII: any other byte of a message stands as \xNN.
type tailLine struct {
	At        time.Time `json:"at"`
	Event     string    `json:"event"` // "begun" (the first line), "refused", "noted", "ban", "would_ban" (mode: monitor), "unban"; "banned": dropped unread
	Reason    string    `json:"reason,omitempty"`
	Source    string    `json:"source,omitempty"` // address and port, of what was folded the address
	Transport string    `json:"transport,omitempty"`
	Method    string    `json:"method,omitempty"`
	Status    int       `json:"status,omitempty"` // that it was answered with, or would be
	CallID    string    `json:"call_id,omitempty"`
	Other     string    `json:"other_call_id,omitempty"` // by which the other side knows the call, where that is another one
	Text      string    `json:"text,omitempty"`          // one sentence
	Count     uint64    `json:"count,omitempty"`         // of what was folded: how many more there were since the last line of that kind
	Sources   int       `json:"sources,omitempty"`       // of so many sources, where that is not one; 1000 is any number from there on
	Dropped   uint64    `json:"dropped,omitempty"`       // events not shown so far because too many came
}

// tailLineOf makes the line of e.
func tailLineOf(e *edge.Event) tailLine {
	line := tailLine{At: e.At, Event: e.Name, Reason: string(e.Reason), Method: printable(e.Method, false), Status: e.Status,
		CallID: printable(e.CallID, false), Other: printable(e.Other, false), Text: printable(e.Message, false)}
	if e.Detail != "" {
		line.Text = strings.TrimPrefix(line.Text+": ", ": ") + printable(e.Detail, false)
	}
	if from := e.Source.Remote; from.IsValid() {
		line.Source, line.Transport = from.String(), e.Source.Transport.String()
		if from.Port() == 0 { // the whole address
			line.Source, line.Transport = from.Addr().String(), ""
		}
	}
	return line
}

// print writes line for a reader.
func (line *tailLine) print(out io.Writer) error {
	colour := map[string]string{event.Refused: amber, event.Ban: red, event.WouldBan: amber, event.Unban: green}[line.Event]
	name := fmt.Sprintf("%-9s", line.Event)
	if colour != "" {
		name = paint(out, colour, name)
	}
	words := []string{line.Source}
	switch {
	case line.Event == "banned":
		words = []string{count(int(line.Count), "packet") + " of banned sources dropped unread"}
	case line.Sources > 0:
		words = []string{fmt.Sprintf("%d more of %s", line.Count, sourceCount(line.Sources))}
	case line.Count > 0:
		words = append(words, fmt.Sprintf("%d more", line.Count))
	default:
		words = append(words, line.Transport, line.Method)
		if line.Status > 0 {
			words = append(words, fmt.Sprint(line.Status))
		}
		words = append(words, line.CallID, line.Text)
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	_, err := fmt.Fprintf(out, "%s  %s  %-18s  %s\n", line.At.Local().Format("15:04:05.000"), name, line.Reason, strings.Join(words, " "))
	return err
}

// sourceCount is "3 sources".
func sourceCount(n int) string {
	if n >= manySources {
		return "many sources"
	}
	return count(n, "source")
}

// Bounds of what a fold tells and keeps.
const (
	foldSources = 1024 // kinds of verdicts, by their source, that are told apart
	foldFirst   = 20   // verdicts told one by one in a round
	foldLoudest = 10   // sources told one by one at the end of a round; the others together
	manySources = 1000 // that many sources and more are not counted
)

// A fold turns verdicts into few lines, however many there are: the first verdict of a kind and source is told as it is, the further ones as a number
// at the end of each round. A kind is forgotten when a round brought none of it. It is used by one goroutine.
type fold struct {
	more   map[foldKey]uint64 // that were not told yet; an entry is there from the first one on
	rest   map[foldKey]uint64 // without a source: of those that found no room in more
	told   int                // in this round
	banned uint64             // of sources with a soft ban
}

// A foldKey is a kind of verdict.
type foldKey struct {
	name   string
	reason edge.Reason
	from   netip.Addr
}

func newFold() *fold { return &fold{more: map[foldKey]uint64{}, rest: map[foldKey]uint64{}} }

// softReason is the reason of verdicts on requests of sources that are banned without proof.
const softReason edge.Reason = "ban.soft"

// take takes e and returns its line, and whether that is to be told now.
func (f *fold) take(e *edge.Event) (line tailLine, now bool) {
	switch {
	case e.Name != event.Refused && e.Name != event.Noted:
		return tailLineOf(e), true
	case e.Reason == softReason:
		f.banned++
		return line, false
	}
	key := foldKey{e.Name, e.Reason, e.Source.Remote.Addr()}
	if n, seen := f.more[key]; seen {
		f.more[key] = n + 1
		return line, false
	}
	if len(f.more) >= foldSources {
		key.from = netip.Addr{}
		f.rest[key]++
		return line, false
	}
	f.more[key] = 0
	if f.told >= foldFirst {
		f.more[key] = 1
		return line, false
	}
	f.told++
	return tailLineOf(e), true
}

// round ends a round: it returns a line for each kind of the loudest sources and one for each kind of all others, and one for what banned sources
// sent, unread of them.
func (f *fold) round(at time.Time, unread uint64) (lines []tailLine) {
	others := map[foldKey]int{} // how many sources f.rest counts
	for i, key := range f.loudest() {
		if i < foldLoudest {
			lines = append(lines, tailLine{At: at, Event: key.name, Reason: string(key.reason), Source: key.from.String(), Count: f.more[key]})
		} else {
			kind := foldKey{name: key.name, reason: key.reason}
			if others[kind]++; f.rest[kind] > 0 && others[kind] == 1 {
				others[kind] = manySources
			}
			f.rest[kind] += f.more[key]
		}
		f.more[key] = 0
	}
	for _, kind := range slices.SortedFunc(maps.Keys(f.rest), foldKey.compare) {
		sources := others[kind]
		if sources == 0 {
			sources = manySources
		}
		lines = append(lines, tailLine{At: at, Event: kind.name, Reason: string(kind.reason), Count: f.rest[kind], Sources: min(sources, manySources)})
	}
	if n := unread + f.banned; n > 0 {
		lines = append(lines, tailLine{At: at, Event: "banned", Count: n})
	}
	clear(f.rest)
	f.told, f.banned = 0, 0
	return lines
}

// compare gives kinds an order.
func (k foldKey) compare(other foldKey) int {
	return cmp.Or(strings.Compare(string(k.reason), string(other.reason)), strings.Compare(k.name, other.name), k.from.Compare(other.from))
}

// loudest are the kinds that there is something to tell of, most first. Those that there is not are forgotten.
func (f *fold) loudest() (keys []foldKey) {
	for key, n := range f.more {
		if n == 0 {
			delete(f.more, key)
			continue
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b foldKey) int {
		return cmp.Or(cmp.Compare(f.more[b], f.more[a]), a.compare(b))
	})
	return keys
}
