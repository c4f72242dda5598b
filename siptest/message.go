// Package siptest holds fake user agents, a fake platform, a fake registrar and a harness that runs the built binary,
// for tests that look at ringwall from outside, over real sockets.
//
// It reads SIP by itself, with strings and on purpose without the product's own parser: what the edge sends is judged by
// an independent and much stricter reading (CRLF only, no folding, Content-Length equal to the body, and so on).
// Nothing here is fast, and nothing here imports a room of the product.
//
// The usual story: StartPlatform, StartEdge, NewPhone; phone.Send a phone.Request, platform.Expect it, platform.Reply,
// phone.Expect the reply, NewDialog on both ends, and requests inside the dialog that follow the route set.
package siptest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Field is one header field line. Name is as spelled in the message.
type Field struct{ Name, Value string }

// A Message is one SIP message taken apart: the start line without CRLF, the fields in order, the body.
type Message struct {
	Start  string
	Fields []Field
	Body   string
}

// compact maps the one-letter field names to the long ones (RFC 3261 §7.3.3, RFC 3515, 3892, 4028, 6665).
var compact = map[string]string{
	"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "c": "content-type",
	"k": "supported", "s": "subject", "e": "content-encoding", "r": "refer-to", "b": "referred-by", "o": "event",
	"x": "session-expires",
}

// canonical is the lower-case long form of a field name.
func canonical(name string) string {
	name = strings.ToLower(name)
	if long, ok := compact[name]; ok {
		return long
	}
	return name
}

// Parse takes one whole message apart, strictly: CRLF line ends only, no folding, no white space before a colon, a body of
// exactly Content-Length bytes, and each of the fields that every message has exactly once (RFC 3261 §8.1.1).
func Parse(raw string) (*Message, error) {
	head, body, ok := strings.Cut(raw, "\r\n\r\n")
	if !ok {
		return nil, fmt.Errorf("no empty line after the header fields")
	}
	lines := strings.Split(head, "\r\n")
	m := &Message{Start: lines[0], Body: body}
	for _, line := range lines {
		if strings.ContainsAny(line, "\r\n\x00") {
			return nil, fmt.Errorf("bare CR, LF or NUL in line %q", line)
		}
	}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("not a header field: %q", line)
		}
		m.Fields = append(m.Fields, Field{name, strings.TrimSpace(value)})
	}
	return m, m.check()
}

// check is what Parse asks for beyond lines and colons.
func (m *Message) check() error {
	if !strings.HasSuffix(m.Start, " SIP/2.0") && !strings.HasPrefix(m.Start, "SIP/2.0 ") {
		return fmt.Errorf("start line %q", m.Start)
	}
	for _, name := range []string{"From", "To", "Call-ID", "CSeq", "Content-Length"} {
		if n := m.Count(name); n != 1 {
			return fmt.Errorf("%d %s fields in %q", n, name, m.Start)
		}
	}
	if m.Count("Via") == 0 {
		return fmt.Errorf("no Via in %q", m.Start)
	}
	if n, err := strconv.Atoi(m.Get("Content-Length")); err != nil || n != len(m.Body) {
		return fmt.Errorf("Content-Length %q, but %d bytes of body", m.Get("Content-Length"), len(m.Body))
	}
	return nil
}

// String writes the message with CRLF line ends and a Content-Length that fits, at the place where the message has one or
// else at the end.
func (m *Message) String() string {
	var b strings.Builder
	b.WriteString(m.Start + "\r\n")
	for _, f := range m.Fields {
		if canonical(f.Name) == "content-length" {
			continue
		}
		b.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(m.Body), m.Body)
	return b.String()
}

// IsRequest reports whether m is a request.
func (m *Message) IsRequest() bool { return !strings.HasPrefix(m.Start, "SIP/2.0 ") }

// Method is the method of a request, "" of a response.
func (m *Message) Method() string {
	if !m.IsRequest() {
		return ""
	}
	method, _, _ := strings.Cut(m.Start, " ")
	return method
}

// RequestURI is the Request-URI of a request, "" of a response.
func (m *Message) RequestURI() string {
	if parts := strings.Split(m.Start, " "); m.IsRequest() && len(parts) == 3 {
		return parts[1]
	}
	return ""
}

// Status is the status code of a response, 0 of a request.
func (m *Message) Status() int {
	if m.IsRequest() {
		return 0
	}
	status, _ := strconv.Atoi(strings.Split(m.Start, " ")[1])
	return status
}

// CSeq is number and method of the CSeq field.
func (m *Message) CSeq() (number int, method string) {
	n, method, _ := strings.Cut(m.Get("CSeq"), " ")
	number, _ = strconv.Atoi(n)
	return number, method
}

// Get is the value of the first field of that name, long or compact, in any case; "" if there is none.
func (m *Message) Get(name string) string {
	for _, f := range m.Fields {
		if canonical(f.Name) == canonical(name) {
			return f.Value
		}
	}
	return ""
}

// Count is the number of field lines of that name.
func (m *Message) Count(name string) (n int) {
	for _, f := range m.Fields {
		if canonical(f.Name) == canonical(name) {
			n++
		}
	}
	return n
}

// All lists the values of all fields of that name, comma lists taken apart (commas inside quotes and angle brackets don't
// separate): what Via, Route, Record-Route, Contact and Path need.
func (m *Message) All(name string) (values []string) {
	for _, f := range m.Fields {
		if canonical(f.Name) == canonical(name) {
			values = append(values, splitList(f.Value)...)
		}
	}
	return values
}

// Set gives the first field of that name a new value or adds the field, and removes its further lines. It returns m.
func (m *Message) Set(name, value string) *Message {
	at := slices.IndexFunc(m.Fields, func(f Field) bool { return canonical(f.Name) == canonical(name) })
	if at < 0 {
		return m.Add(name, value)
	}
	m.Fields[at].Value = value
	rest := m.Fields[at+1:]
	rest = slices.DeleteFunc(rest, func(f Field) bool { return canonical(f.Name) == canonical(name) })
	m.Fields = m.Fields[:at+1+len(rest)]
	return m
}

// Add appends a field. It returns m.
func (m *Message) Add(name, value string) *Message {
	m.Fields = append(m.Fields, Field{name, value})
	return m
}

// Top puts a field before all others. It returns m.
func (m *Message) Top(name, value string) *Message {
	m.Fields = slices.Insert(m.Fields, 0, Field{name, value})
	return m
}

// Del removes all fields of that name. It returns m.
func (m *Message) Del(name string) *Message {
	m.Fields = slices.DeleteFunc(m.Fields, func(f Field) bool { return canonical(f.Name) == canonical(name) })
	return m
}

// WithBody gives m a body and its Content-Type. It returns m.
func (m *Message) WithBody(contentType, body string) *Message {
	m.Body = body
	return m.Set("Content-Type", contentType)
}

// Clone copies m, so that the copy can be changed alone.
func (m *Message) Clone() *Message {
	return &Message{Start: m.Start, Fields: slices.Clone(m.Fields), Body: m.Body}
}
