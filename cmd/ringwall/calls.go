package main

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/media"
)

// callState is one call in the answer to the verb calls. Its names are stable.
type callState struct {
	ID        uint64        `json:"id"`
	CallID    string        `json:"call_id"`                 // as inside knows it
	Other     string        `json:"other_call_id,omitempty"` // as outside does, where that is another one
	Caller    string        `json:"caller"`
	Callee    string        `json:"callee"`
	State     string        `json:"state"` // "ringing", "up", "silent"
	Since     time.Time     `json:"since"`
	Connected *time.Time    `json:"connected"` // null: not answered yet
	Streams   []streamState `json:"streams"`
}

// streamState is one direction of one media line: what came from one end.
type streamState struct {
	Kind    string            `json:"kind"` // "audio"
	From    string            `json:"from"` // "caller", "callee"
	Side    string            `json:"side"` // of that end
	Port    netip.AddrPort    `json:"port"` // ours, that it sends to
	Named   string            `json:"named"`
	Locked  string            `json:"locked"` // the only address that media is accepted from, "" before the first packet
	Packets uint64            `json:"packets"`
	Bytes   uint64            `json:"bytes"`
	RTCP    uint64            `json:"rtcp"`
	Lost    uint64            `json:"lost"`
	Jitter  float64           `json:"jitter_ms"`
	Sent    uint64            `json:"sent"`    // to that end
	Refused map[string]uint64 `json:"refused"` // packets not accepted, by why
	Silent  bool              `json:"silent"`  // although it should send
}

func newCalls() *cobra.Command {
	var of target
	var as output
	cmd := &cobra.Command{
		Use:   "calls",
		Short: "list the calls whose media is relayed",
		Long: "calls lists the calls whose media the running ringwall relays, with a line for what comes from each end: packets, bytes,\n" +
			"packets lost on the way, jitter, packets that were refused because they came from somebody else, and the address that the\n" +
			"end is locked to. A call that passes ringwall twice, from one phone to another, is listed twice.",
		Args: cobra.NoArgs,
	}
	of.flags(cmd)
	as.flag(cmd, lists...)
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		var all []callState
		if err := of.call(cmd.Context(), "calls", nil, &all); err != nil {
			return err
		}
		return printCalls(cmd.OutOrStdout(), &as, all)
	})
	return watchable(cmd)
}

// printCalls prints all as the operator wants it.
func printCalls(out io.Writer, as *output, all []callState) error {
	if len(all) == 0 && as.form == "table" {
		_, err := fmt.Fprintln(out, "no call's media is relayed")
		return err
	}
	var rows [][]string
	for _, c := range all {
		rows = append(rows, c.rows(as)...)
	}
	return as.print(out, all, callColumns, rows)
}

// callColumns are those of the table and of csv.
var callColumns = []string{"id", "caller", "callee", "state", "since", "kind", "from", "side", "locked", "packets", "bytes", "lost", "jitter", "refused"}

// rows are the lines of c: one without media if there is none yet.
func (c *callState) rows(as *output) (rows [][]string) {
	first := []string{strconv.FormatUint(c.ID, 10), c.Caller, c.Callee, c.State, as.moment(c.Since)}
	for _, s := range c.Streams {
		refused := uint64(0)
		for _, n := range s.Refused {
			refused += n
		}
		number := func(n uint64) string { return strconv.FormatUint(n, 10) }
		row := append([]string(nil), first...)
		rows = append(rows, append(row, s.Kind, s.From, s.Side, dash(s.Locked), number(s.Packets), number(s.Bytes), number(s.Lost),
			strconv.FormatFloat(s.Jitter, 'f', 1, 64), number(refused)))
	}
	if rows == nil {
		rows = [][]string{append(first, "-", "-", "-", "-", "0", "0", "0", "0", "0")}
	}
	return rows
}

// dash is text, "-" if it is empty.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// mediaState is what status shows of media.
type mediaState struct {
	Relay  string `json:"relay"`
	Calls  int    `json:"calls"`
	Silent int    `json:"silent"` // calls with an end that should send and does not
}

// String tells m in one line, nothing if media is not relayed.
func (m *mediaState) String() string {
	if m == nil {
		return ""
	}
	text := m.Relay + ", " + count(m.Calls, "call")
	if m.Silent > 0 {
		text += fmt.Sprintf(", %d silent", m.Silent)
	}
	return text
}

func (s *service) mediaState() *mediaState {
	if s.calls == nil {
		return nil
	}
	m := &mediaState{Relay: string(s.cfg.Media.Relay)}
	for _, c := range s.calls.List() {
		if m.Calls++; c.Silent != [media.Ends]bool{} {
			m.Silent++
		}
	}
	return m
}

// listCalls answers the verb calls.
func (s *service) listCalls() []callState {
	all := []callState{}
	if s.calls == nil {
		return all
	}
	for _, c := range s.calls.List() {
		one := callState{ID: c.ID, CallID: c.CallID, Other: c.Other, Caller: c.Caller, Callee: c.Callee, Since: c.Begun, State: "ringing", Streams: []streamState{}}
		if !c.Connected.IsZero() {
			one.Connected, one.State = &c.Connected, "up"
		}
		if c.Silent != [media.Ends]bool{} {
			one.State = "silent"
		}
		for _, line := range c.Streams {
			for e := range line.Ends {
				one.Streams = append(one.Streams, endState(&c, &line, media.End(e)))
			}
		}
		all = append(all, one)
	}
	return all
}

// endState tells what came from one end of a media line.
func endState(c *media.CallStatus, line *media.StreamStatus, e media.End) streamState {
	at := &line.Ends[e]
	s := streamState{Kind: line.Kind, From: [...]string{"caller", "callee"}[e], Side: [...]string{edge.Outside: "outside", edge.Inside: "inside"}[c.Parties[e].Flow.Side], Port: at.Port,
		Named: place(at.Named), Locked: place(at.Stats.Source), Packets: at.Stats.Packets, Bytes: at.Stats.Bytes, RTCP: at.Stats.RTCP,
		Lost: at.Stats.Lost, Jitter: float64(at.Stats.Jitter.Microseconds()) / 1000, Sent: at.Stats.Sent, Silent: c.Silent[e], Refused: map[string]uint64{}}
	for why, n := range at.Stats.Refused {
		if n > 0 {
			s.Refused[media.Refusal(why).String()] = n
		}
	}
	return s
}

// place is a, "" if it is none.
func place(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
