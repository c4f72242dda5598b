package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/sip"
)

// traceLine is one line of the answer to the verb trace on the control socket, and of `ringwall trace -o json`. Its names are
// stable. All text is printable ASCII: any other byte of a message stands as \xNN.
type traceLine struct {
	At        time.Time `json:"at"`
	Event     string    `json:"event"` // "begun" (the first line), "received", "sent"; verdicts: "refused", "noted"
	Side      string    `json:"side,omitempty"`
	Transport string    `json:"transport,omitempty"`
	Remote    string    `json:"remote,omitempty"` // far end
	Start     string    `json:"start,omitempty"`  // method, or status and phrase
	CSeq      string    `json:"cseq,omitempty"`
	CallID    string    `json:"call_id,omitempty"`
	Other     string    `json:"other_call_id,omitempty"` // by which the other side knows the call, where that is another one
	From      string    `json:"from,omitempty"`          // user, or host where there is none
	To        string    `json:"to,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Dropped   uint64    `json:"dropped,omitempty"` // messages not shown so far because too many came
	Text      string    `json:"text,omitempty"`    // the message, with --full
}

// maxTraceText bounds each value of a line, in bytes of the message; the message itself has its own bound.
const maxTraceText = 200

// lineOf makes the line of m; full adds the message, without the answers to challenges and without media keys.
func lineOf(m proxy.Traced, full bool) traceLine {
	line := traceLine{At: m.At, Event: "received", Side: "outside", Transport: m.Flow.Transport.String(),
		Remote: m.Flow.Remote.String(), Reason: string(m.Reason)}
	switch {
	case m.Noted:
		line.Event = "noted"
	case m.Reason != "":
		line.Event = "refused"
	case m.Sent:
		line.Event = "sent"
	}
	if m.Flow.Side == edge.Inside {
		line.Side = "inside"
	}
	line.describe(m.Raw)
	line.Other = printable(m.Other[:min(len(m.Other), maxTraceText)], false)
	if full && m.Reason == "" {
		line.Text = printable(redact(string(m.Raw)), true)
	}
	return line
}

// describe fills in what the message says, as far as it can be read.
func (line *traceLine) describe(raw []byte) {
	var m sip.Message
	_ = m.Parse(raw, true) // spans of what could be read are there all the same
	short := func(s sip.Span) string { return printable(string(s.Of(raw)[:min(s.Len(), maxTraceText)]), false) }
	line.CallID = short(m.CallID)
	line.From, line.To = short(userOf(raw, m.From)), short(userOf(raw, m.To))
	if m.CSeq.MethodName.Present() {
		line.CSeq = strconv.FormatUint(uint64(m.CSeq.Number), 10) + " " + short(m.CSeq.MethodName)
	}
	switch {
	case m.Status != 0:
		line.Start = strings.TrimSpace(fmt.Sprintf("%d %s", m.Status, short(m.Reason)))
	case m.MethodName.Present():
		line.Start = short(m.MethodName)
	default:
		first, _, _ := strings.Cut(string(raw[:min(len(raw), maxTraceText)]), "\r\n")
		line.Start = printable(first, false)
	}
}

// userOf is the user of an address, its host if it has none.
func userOf(raw []byte, a sip.Address) sip.Span {
	uri, err := sip.ParseURI(raw, a.URI)
	switch {
	case err != nil:
		return sip.Span{}
	case uri.User.Present():
		return uri.User
	}
	return uri.Host
}

// printable writes every byte that is not printable ASCII as \xNN; lines keeps CRLF, LF and HTAB.
func printable(text string, lines bool) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= ' ' && c < 0x7f, lines && (c == '\n' || c == '\t'), lines && c == '\r' && strings.HasPrefix(text[i:], "\r\n"):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// secrets finds what a trace must not hand on: answers to digest challenges (with challenge and answer a password can be guessed at leisure),
// other credentials, and the keys of SRTP (RFC 4568) and ICE.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`(?i)([\s,](?:response|cnonce|rspauth)\s*=\s*)(?:"(?:[^"\\]|\\.)*"?|[^\s,;"]*)`),
	regexp.MustCompile(`(?im)^((?:proxy-)?authorization\s*:\s*(?:basic|bearer)\s+)[^\r\n]*`),
	regexp.MustCompile(`(?im)^(a=crypto:[^\r\n]*inline:)[^\s|]+`),
	regexp.MustCompile(`(?im)^(a=ice-pwd:)[^\r\n]*`),
}

// redact takes the secrets out of a message.
func redact(text string) string {
	for _, s := range secrets {
		text = s.ReplaceAllString(text, "${1}(hidden)")
	}
	return text
}
