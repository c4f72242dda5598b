package load

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// A field is one header field line: name, value without white space around it, and the whole line without CRLF.
type field struct{ name, value, line []byte }

// A message is one SIP message cut into lines by the generator's own reader, which shares nothing with the one under test.
// It owns its bytes and is reused.
type message struct {
	raw     []byte
	start   []byte
	vias    [][]byte // via-parms from the top
	routes  [][]byte
	records [][]byte // Record-Route values from the top
	rest    []field  // every other header field, in order
	body    []byte

	maxForwards            []byte
	from, to, callID, cseq []byte
	contact                []byte
	status                 int // 0 in a request
	contentLength          int
}

var (
	errShort = errors.New("no empty line after the header fields")
	errLine  = errors.New("line without colon or with a bare CR or LF")
)

// read copies b into m and cuts it.
func (m *message) read(b []byte) error {
	m.raw = append(m.raw[:0], b...)
	return m.cut()
}

// cut finds the parts of m.raw. It is strict where a lax reader would hide what the edge did: CRLF only, no folding.
func (m *message) cut() error {
	m.reset()
	head, body, ok := bytes.Cut(m.raw, []byte("\r\n\r\n"))
	if !ok {
		return errShort
	}
	m.body = body
	start, rest, err := cutLine(head)
	if err != nil {
		return err
	}
	m.start, m.status = start, statusOf(start)
	for len(rest) > 0 {
		var line []byte
		if line, rest, err = cutLine(rest); err != nil {
			return err
		}
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			return errLine
		}
		m.add(field{name: line[:colon], value: bytes.TrimSpace(line[colon+1:]), line: line})
	}
	return m.checkLength()
}

func (m *message) reset() {
	*m = message{raw: m.raw, vias: m.vias[:0], routes: m.routes[:0], records: m.records[:0], rest: m.rest[:0], contentLength: -1}
}

// cutLine cuts the line at the start of b off, without its CRLF; the last line has none.
func cutLine(b []byte) (line, rest []byte, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		end, rest = len(b), nil
	} else {
		if end == 0 || b[end-1] != '\r' {
			return nil, nil, errLine
		}
		rest = b[end+1:]
		end--
	}
	line = b[:end]
	if bytes.IndexByte(line, '\r') >= 0 {
		return nil, nil, errLine
	}
	return line, rest, nil
}

// add files f under its name. Only canonical long names are known: another spelling stays among the rest, where comparing
// will show it.
func (m *message) add(f field) {
	switch string(f.name) {
	case "Via":
		m.vias = appendList(m.vias, f.value)
		return
	case "Route":
		m.routes = appendList(m.routes, f.value)
		return
	case "Record-Route":
		m.records = appendList(m.records, f.value)
		return
	case "Max-Forwards":
		m.maxForwards = f.value
		return
	case "From":
		m.from = f.value
	case "To":
		m.to = f.value
	case "Call-ID":
		m.callID = f.value
	case "CSeq":
		m.cseq = f.value
	case "Contact":
		m.contact = f.value
	case "Content-Length":
		m.contentLength = number(f.value)
	}
	m.rest = append(m.rest, f)
}

func (m *message) checkLength() error {
	if m.contentLength != len(m.body) {
		return fmt.Errorf("Content-Length %d with a body of %d bytes", m.contentLength, len(m.body))
	}
	return nil
}

// method is the first word of a request line or the method of CSeq in a response.
func (m *message) method() []byte {
	if m.status == 0 {
		word, _, _ := bytes.Cut(m.start, []byte(" "))
		return word
	}
	_, word, _ := bytes.Cut(m.cseq, []byte(" "))
	return word
}

// requestURI is the second word of the request line.
func (m *message) requestURI() []byte {
	_, rest, _ := bytes.Cut(m.start, []byte(" "))
	uri, _, _ := bytes.Cut(rest, []byte(" "))
	return uri
}

// appendList splits a comma list. The values that the benchmark sends have no comma inside.
func appendList(list [][]byte, value []byte) [][]byte {
	for {
		i := bytes.IndexByte(value, ',')
		if i < 0 {
			return append(list, value)
		}
		list = append(list, bytes.TrimSpace(value[:i]))
		value = bytes.TrimSpace(value[i+1:])
	}
}

func statusOf(start []byte) int {
	if !bytes.HasPrefix(start, []byte("SIP/2.0 ")) || len(start) < 11 {
		return 0
	}
	return max(number(start[8:11]), 0)
}

// number reads a decimal number of at most six digits, -1 if b is none.
func number(b []byte) int {
	if len(b) == 0 || len(b) > 6 {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// param returns the value of parameter name in value ("a;b=c") and whether it is there.
func param(value []byte, name string) ([]byte, bool) {
	for {
		i := bytes.IndexByte(value, ';')
		if i < 0 {
			return nil, false
		}
		value = value[i+1:]
		end := bytes.IndexByte(value, ';')
		if end < 0 {
			end = len(value)
		}
		if key, v, _ := bytes.Cut(value[:end], []byte("=")); string(key) == name {
			return v, true
		}
	}
}

// bracketed returns what stands between the first "<" and the next ">".
func bracketed(value []byte) []byte {
	_, rest, _ := bytes.Cut(value, []byte("<"))
	uri, _, ok := bytes.Cut(rest, []byte(">"))
	if !ok {
		return nil
	}
	return uri
}

// has reports whether name is in the list.
func has(list []string, name []byte) bool {
	return slices.ContainsFunc(list, func(s string) bool { return s == string(name) })
}
