package smuggle

import (
	"fmt"
	"slices"
	"strings"
)

// Placeholders of a trial's text. They are as long as what replaces them, where lengths are counted.
const (
	caseID    = "CASE0000"  // the number that marks every byte that belongs to a trial
	transport = "TRANSPORT" // of the topmost Via
	address   = "ADDRESS"   // address:port of the sender
)

// A fate is what may become of a trial on its way to the platform.
type fate uint8

const (
	none  fate = iota // must not reach the platform
	clean             // may, in canonical form
	pass              // must, in canonical form
)

// A trial is one message, or nearly one, sent to the edge in one piece.
type trial struct {
	name   string
	raw    string
	fate   fate
	status int  // over a stream: what it is answered with; 0: anything from 400 on, or nothing, if it is refused
	closes bool // a connection that brought it is closed: framing is in doubt
	waits  bool // over TCP and TLS it is incomplete: the edge waits for the rest

	basic  bool                  // over UDP and TCP only: one of very many
	over   string                // "datagram", "stream" (TCP and TLS), "websocket" or what does not have "!" before it; "": all
	fields []field               // what must arrive besides the lines that are sent plainly
	body   *string               // what must arrive as body, if not what follows the first empty line
	start  string                // the start line that must arrive, if not the one sent
	hops   string                // what Max-Forwards must be, if not "69"
	gone   []string              // fields that must not arrive, in whatever spelling
	also   func(*arrival) string // a further look at what arrived; says what is wrong
}

// A field is a name and a value as they must arrive.
type field struct{ name, value string }

// on is t for one kind of transport.
func (t trial) on(kind string) trial {
	t.over = kind
	return t
}

// runs reports whether t is meant for a way outside.
func (t *trial) runs(way string) bool {
	if t.basic && way != "udp" && way != "tcp" {
		return false
	}
	want, not := strings.CutPrefix(t.over, "!")
	return want == "" || (want == kind(way)) != not
}

// kind sorts the ways by how they frame messages.
func kind(way string) string {
	switch way {
	case "udp":
		return "datagram"
	case "ws", "wss":
		return "websocket"
	}
	return "stream"
}

// A draft is an honest message, to be spoilt.
type draft struct {
	start string
	lines []string
	body  string
}

// Lines of the honest INVITE, by number.
const (
	lineVia = iota
	lineMaxForwards
	lineFrom
	lineTo
	lineCallID
	lineCSeq
	lineContact
	lineSubject
	linePlain
	lineType
	lineLength
	lineEnd
)

const startLine = "INVITE sip:" + caseID + "@example.com SIP/2.0"

const honestBody = "one line\r\n\r\nanother \x01\xfe one\n"

// honest is an INVITE that nobody has anything against.
func honest() draft {
	return draft{startLine, []string{
		"Via: SIP/2.0/" + transport + " " + address + ";branch=z9hG4bK" + caseID + ";rport",
		"Max-Forwards: 70",
		"From: \"Mallory, the \\\"Second\\\"\" <sip:mallory@example.com>;tag=f" + caseID,
		"To: <sip:bob@example.com>",
		"Call-ID: " + caseID + "@client.example.com",
		"CSeq: 7 INVITE",
		"Contact: <sip:mallory@" + address + ">",
		"Subject: an honest  call",
		"Plain: one,\ttwo  , \"three\"",
		"Content-Type: text/plain",
		fmt.Sprintf("Content-Length: %d", len(honestBody)),
	}, honestBody}
}

// carrying gives d another body and the Content-Length of it.
func (d draft) carrying(body string) draft {
	d = d.set(lineLength, fmt.Sprintf("Content-Length: %d", len(body)))
	d.body = body
	return d
}

// String is the message.
func (d draft) String() string { return d.insert(-1, "") }

// set puts text in the place of line at; "" leaves the line out.
func (d draft) set(at int, text string) draft {
	d.lines = slices.Clone(d.lines)
	d.lines[at] = text
	return d
}

// begin puts another start line.
func (d draft) begin(start string) draft {
	d.start = start
	return d
}

// insert puts text, with its line ends, before line at; lineEnd is behind the last.
func (d draft) insert(at int, text string) string {
	var b strings.Builder
	b.WriteString(d.start + "\r\n")
	for i, l := range append(slices.Clone(d.lines), "") {
		if i == at {
			b.WriteString(text)
		}
		if l != "" {
			b.WriteString(l + "\r\n")
		}
	}
	return b.String() + "\r\n" + d.body
}

// ending gives line at, or the start line for -1, another end than CRLF.
func (d draft) ending(at int, end string) string {
	if at < 0 {
		return d.start + end + strings.TrimPrefix(d.begin("").String(), "\r\n")
	}
	return d.set(at, "").insert(at, d.lines[at]+end)
}

// places are where a line is put: before all others, in the middle, before Content-Length and behind it.
var places = []struct {
	name string
	at   int
}{{"first", 0}, {"middle", lineTo}, {"before the length", lineLength}, {"last", lineEnd}}

// everywhere makes a trial of text, whole lines with their ends, at each of places.
func everywhere(model trial, text string) (all []trial) {
	for _, p := range places {
		t := model
		t.name = fmt.Sprintf("%s, %s", model.name, p.name)
		t.raw = honest().insert(p.at, text)
		all = append(all, t)
	}
	return all
}

// evil is a request that must never be run as one: it lies in bodies and behind broken lines.
const evil = "MESSAGE sip:evil@example.com SIP/2.0\r\nVia: SIP/2.0/UDP evil.example.com;branch=z9hG4bKe" + caseID + "\r\n" +
	"Max-Forwards: 70\r\nFrom: <sip:evil@example.com>;tag=e\r\nTo: <sip:evil@example.com>\r\nCall-ID: evil-" + caseID + "\r\n" +
	"CSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
