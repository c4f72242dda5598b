package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// arrowWidth is the width of the column of one side; the edge stands between the two.
const arrowWidth = 30

// A ladder draws messages as arrows between three columns: phone, edge (its outside and its inside), platform.
type ladder struct {
	w       io.Writer
	begin   time.Time // of the first message
	call    string    // Call-ID of the last line, inside
	masked  string    // that of outside, if it was told
	dropped uint64    // as the last line told
	lines   int
}

// heading writes the names of the columns.
func (l *ladder) heading() {
	fmt.Fprintf(l.w, "%8s  %-*s%s%*s\n", "seconds", arrowWidth-6, "phone", "outside edge inside", arrowWidth-1, "platform")
}

// add draws one message or verdict. A line with the Call-ID stands where another call goes on.
func (l *ladder) add(m traceLine) error {
	if l.lines == 0 {
		l.begin = m.At
	}
	l.lines++
	inside, masked := m.callIDs()
	if inside != l.call || l.lines == 1 {
		l.call, l.masked = inside, ""
		fmt.Fprintf(l.w, "-- %s\n", m.title(inside))
	}
	if masked != "" && masked != l.masked {
		l.masked = masked
		fmt.Fprintf(l.w, "   outside %s\n", masked)
	}
	if m.Dropped > l.dropped {
		fmt.Fprintf(l.w, "          (%s not shown: more came than could be)\n", count(int(m.Dropped-l.dropped), "message"))
		l.dropped = m.Dropped
	}
	left, right := strings.Repeat(" ", arrowWidth), strings.Repeat(" ", arrowWidth)
	cell := &left
	if m.Side == "inside" {
		cell = &right
	}
	*cell = m.cell()
	at := fmt.Sprintf("%8.3f", m.At.Sub(l.begin).Seconds())
	line := fmt.Sprintf("%s  |%s||%s|  %s", at, left, right, m.margin())
	if m.verdict() {
		line = paint(l.w, red, strings.TrimRight(line, " "))
	}
	_, err := fmt.Fprintln(l.w, line)
	for text := range strings.Lines(m.Text) {
		fmt.Fprintln(l.w, strings.TrimRight("          "+text, " \r\n"))
	}
	return err
}

// callIDs are the Call-ID inside, and that of outside where it is another one.
func (m *traceLine) callIDs() (inside, masked string) {
	switch {
	case m.Other == "":
		return m.CallID, ""
	case m.Side == "inside":
		return m.CallID, m.Other
	}
	return m.Other, m.CallID
}

// title names a call: its Call-ID and who calls whom.
func (m *traceLine) title(callID string) string {
	if callID == "" {
		return "no Call-ID"
	}
	if m.From == "" && m.To == "" {
		return callID
	}
	return fmt.Sprintf("%s  %s -> %s", callID, m.From, m.To)
}

// verdict reports whether m is a verdict about the message before.
func (m *traceLine) verdict() bool { return m.Event == "refused" || m.Event == "noted" }

// cell is what stands in the column of the message's side: an arrow with its name, or the verdict at the edge.
func (m *traceLine) cell() string {
	if m.verdict() {
		text := cut(m.Event+": "+m.Reason, arrowWidth-2)
		if m.Side == "inside" {
			return fmt.Sprintf(" %-*s", arrowWidth-1, text)
		}
		return fmt.Sprintf("%*s ", arrowWidth-1, text)
	}
	label := " " + cut(m.Start, arrowWidth-6) + " "
	rest := strings.Repeat("-", arrowWidth-3-len(label))
	if (m.Side == "inside") == (m.Event == "sent") { // to the right
		return "--" + label + rest + ">"
	}
	return "<" + rest + label + "--"
}

// margin is what stands to the right of the ladder.
func (m *traceLine) margin() string {
	if m.verdict() {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%-10s %s %s", m.CSeq, m.Transport, m.Remote))
}

// cut shortens text, which is ASCII, to n characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return text[:n-1] + "~"
}
