package sip

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func mustParse(t testing.TB, s string) *Message {
	t.Helper()
	m := new(Message)
	if err := m.Parse([]byte(s), true); err != nil {
		t.Fatalf("%v at %d: %q", err, m.ErrorAt(), s)
	}
	return m
}

const editable = "OPTIONS sip:desk@pbx.example SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 203.0.113.9;rport;branch=z9hG4bKa1\r\n" +
	"v:SIP/2.0/UDP b;branch=z9hG4bKb1\r\n" +
	"Max-Forwards: 70\r\n" +
	"X-Kept:  as it is \r\n" +
	"From: <sip:carol@pbx.example>;tag=c1\r\n" +
	"To: <sip:desk@pbx.example>\r\n" +
	"Call-ID: 4711@203.0.113.9\r\n" +
	"CSeq: 12 OPTIONS\r\n" +
	"l: 04\r\n" +
	"Contact: <sip:carol@203.0.113.9:5060>,\r\n <sip:carol@203.0.113.10>;q=0.1\r\n" +
	"\r\nbody"

func TestEdit(t *testing.T) {
	m := mustParse(t, editable)
	contact := m.Find(FieldContact)
	value := m.Fields[contact].Value
	find := func(s string) Span {
		i := bytes.Index(m.Raw, []byte(s))
		return span(i, i+len(s))
	}
	if value.Len() == 0 {
		t.Fatal("no contact")
	}
	var e Edit
	e.Reset(m)
	scratch := []byte("sip:new@b;a=b")
	e.SetRequestURI(scratch)
	clear(scratch) // the Edit has its own copy
	e.Top(FieldVia, []byte("SIP/2.0/UDP edge;branch=z9hG4bKe"))
	e.Top(FieldRecordRoute, []byte("<sip:edge;lr>"))
	e.Replace(m.Find(FieldMaxForwards), []byte("69"))
	e.Before(m.Find(FieldFrom), FieldPath, []byte("<sip:one>"))
	e.Before(m.Find(FieldFrom), FieldPath, []byte("<sip:two>"))
	e.Remove(m.Next(FieldVia, 0))
	e.ReplaceSpan(contact, find("<sip:carol@203.0.113.10>"), []byte("<sip:2>"))
	e.ReplaceSpan(contact, find("<sip:carol@203.0.113.9:5060>"), []byte("<sip:1>"))
	e.ReplaceSpan(0, m.Via.RPortAt, []byte("rport=5060;received=203.0.113.77"))
	e.Add("X-New", []byte("a\r\nX-Evil: b"))
	e.Add("X-Empty", nil)
	e.SetBody([]byte("another"))
	want := "OPTIONS sip:new@b;a=b SIP/2.0\r\n" +
		"Via: SIP/2.0/UDP edge;branch=z9hG4bKe\r\n" +
		"Record-Route: <sip:edge;lr>\r\n" +
		"Via: SIP/2.0/UDP 203.0.113.9;rport=5060;received=203.0.113.77;branch=z9hG4bKa1\r\n" +
		"Max-Forwards: 69\r\n" +
		"X-Kept: as it is\r\n" +
		"Path: <sip:one>\r\n" +
		"Path: <sip:two>\r\n" +
		"From: <sip:carol@pbx.example>;tag=c1\r\n" +
		"To: <sip:desk@pbx.example>\r\n" +
		"Call-ID: 4711@203.0.113.9\r\n" +
		"CSeq: 12 OPTIONS\r\n" +
		"Content-Length: 7\r\n" +
		"Contact: <sip:1>, <sip:2>;q=0.1\r\n" +
		"X-New: a X-Evil: b\r\n" +
		"X-Empty:\r\n" +
		"\r\nanother"
	for range 2 { // AppendTo may be repeated
		if got := string(e.AppendTo(nil)); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
	e.Reset(m)
	if got := string(e.AppendTo([]byte("before "))); got != "before "+string(canonical(m)) {
		t.Fatalf("edits outlive Reset:\n%s", got)
	}
}

// TestEditLength: there is one Content-Length, whatever came in and whatever is asked for.
func TestEditLength(t *testing.T) {
	for _, lines := range []string{"", "Content-Length: 4\r\n", "l: 4\r\nContent-Length: 4\r\nL:0004\r\n", "X: y\r\nContent-Length: 4\r\n"} {
		m := mustParse(t, message(optionsLine, lines+"\r\nfour", "Content-Length"))
		for _, body := range []string{"four", "", "fourteen bytes"} {
			var e Edit
			e.Reset(m)
			if i := m.Find(FieldContentLength); i >= 0 {
				e.Remove(i)
				e.Replace(i, []byte("99"))
				e.Before(i, FieldContentLength, []byte("98"))
			}
			e.Add("l", []byte("97"))
			e.Top(FieldContentLength, []byte("96"))
			e.Top(FieldOther, []byte("nameless"))
			e.SetBody([]byte(body))
			out := e.AppendTo(nil)
			n := mustParse(t, string(out))
			if n.Defects != 0 || string(n.Body.Of(out)) != body || bytes.Count(out, []byte("Content-Length")) != 1 {
				t.Errorf("%q, %q: %q", lines, body, out)
			}
		}
	}
}

// TestEditResponse: a status line stays as it is.
func TestEditResponse(t *testing.T) {
	in := "SIP/2.0 180 \xd0\xb4\ta\r\n" + strings.Join(cleanLines, "\r\n") + "\r\n\r\n"
	m := mustParse(t, in)
	var e Edit
	e.Reset(m)
	e.SetRequestURI([]byte("sip:x"))
	if got := string(e.AppendTo(nil)); got != in {
		t.Errorf("got %q", got)
	}
}

func TestFieldKinds(t *testing.T) {
	for _, c := range []struct {
		line, want string
	}{
		{"subject:\tx\t\r\n", "Subject: x\r\n"}, {"S:\r\n", "Subject:\r\n"}, {"Subject: \r\n", "Subject:\r\n"},
		{"x-Odd:  a  b \r\n", "x-Odd: a  b\r\n"}, {"u: a\r\n", "Allow-Events: a\r\n"}, {"y: a\r\n", "Identity: a\r\n"},
		{"z: a\r\n", "z: a\r\n"}, {"Subject: a \r\n\t b\r\n  c\r\n", "Subject: a b c\r\n"}, {"Subject: a\tb\r\n", "Subject: a\tb\r\n"},
	} {
		m := mustParse(t, message(optionsLine, c.line+"\r\n"))
		if out := canonical(m); !bytes.Contains(out, []byte("\r\n"+c.want+"\r\n")) {
			t.Errorf("%q: wrote %q", c.line, out)
		}
		last := m.Fields[len(m.Fields)-1]
		if last.Canonical != (c.line == c.want) {
			t.Errorf("%q: canonical %v", c.line, last.Canonical)
		}
	}
}

// FuzzEdit applies edits drawn from ops to a message and asserts that the result parses, holds the values set, and keeps
// all fields nobody touched.
func FuzzEdit(f *testing.F) {
	f.Add([]byte(editable), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []byte("value\r\nX: y"))
	f.Add(invite, []byte{2, 9, 2, 200, 4, 3, 7, 7}, []byte(""))
	f.Fuzz(func(t *testing.T, raw, ops, value []byte) {
		var m Message
		if m.Parse(raw, true) != nil || len(ops) > 64 {
			return
		}
		var e Edit
		e.Reset(&m)
		touched := map[int]bool{}
		added := 0
		for i := 0; i+1 < len(ops); i += 2 {
			k := int(ops[i+1]) % len(m.Fields)
			switch ops[i] % 7 {
			case 0:
				e.Top(FieldSubject, value)
				added++
			case 1:
				e.Before(k, FieldSubject, value)
				added++
			case 2:
				e.Remove(k)
				touched[k] = true
			case 3:
				e.Replace(k, value)
				touched[k] = true
			case 4:
				e.SetBody(value)
			case 5:
				e.Add("X-Added", value)
				added++
			case 6:
				at := m.Fields[k].Value
				at.Start += uint32(int(ops[i]) % (at.Len() + 1))
				at.End -= uint32(int(ops[i+1]) % (at.Len() + 1))
				if !touched[k] {
					e.ReplaceSpan(k, at, value)
					touched[k] = true
				}
			}
		}
		checkEdited(t, &m, e.AppendTo(nil), touched, added)
		if got, want := e.appendFields(nil, 7), e.fieldByField(7); !bytes.Equal(got, want) {
			t.Fatalf("got\n%q\nwant\n%q", got, want)
		}
	})
}

// fieldByField is what appendFields appends, with no short cut.
func (e *Edit) fieldByField(body int) (dst []byte) {
	m := e.m
	length := m.Find(FieldContentLength)
	for i := range m.Fields {
		var ops []change
		for _, c := range e.ops {
			if int(c.field) == i {
				ops = append(ops, c)
			}
		}
		if len(ops) == 0 {
			dst = m.appendField(dst, &m.Fields[i])
			continue
		}
		dst = e.appendChanged(dst, &m.Fields[i], ops)
		if i == length {
			dst = appendContentLength(dst, body)
		}
	}
	return dst
}

func checkEdited(t *testing.T, m *Message, out []byte, touched map[int]bool, added int) {
	header, body, ok := bytes.Cut(out, []byte("\r\n\r\n"))
	if !ok {
		t.Fatalf("no header: %q", out)
	}
	lines := strings.Split(string(header), "\r\n")
	if strings.ContainsAny(strings.Join(lines, ""), "\r\n") {
		t.Fatalf("line end in a line: %q", out)
	}
	length := fmt.Sprintf("Content-Length: %d", len(body))
	kept := 0
	at := 0
	for i := range m.Fields {
		f := &m.Fields[i]
		if touched[i] || f.ID == FieldContentLength {
			continue
		}
		want := strings.TrimSuffix(string(m.appendField(nil, f)), "\r\n")
		for at < len(lines) && lines[at] != want {
			at++
		}
		if at == len(lines) {
			t.Fatalf("untouched line %q is lost: %q", want, out)
		}
		kept++
	}
	if n := strings.Count("\r\n"+string(header)+"\r\n", "\r\n"+length+"\r\n"); n != 1 {
		t.Fatalf("%d lines %q: %q", n, length, out)
	}
	if n := len(lines) - 2 - kept; n < added || n > added+len(touched) {
		t.Fatalf("%d lines more, %d added, %d touched: %q", n, added, len(touched), out)
	}
}

func TestEditReason(t *testing.T) {
	const reply = "SIP/2.0 486 Busy at pbx7\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@b>;tag=2\r\nCall-ID: x\r\n" +
		"CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
	for text, want := range map[string]string{"Busy Here": "SIP/2.0 486 Busy Here\r\nVia: ", "": "SIP/2.0 486 \r\nVia: "} {
		var e Edit
		e.Reset(mustParse(t, reply))
		e.SetReason(text)
		if out := string(e.AppendTo(nil)); !strings.HasPrefix(out, want) {
			t.Errorf("%q", out)
		}
	}
	var e Edit
	e.Reset(mustParse(t, editable))
	e.SetReason("no response")
	if out := string(e.AppendTo(nil)); !strings.HasPrefix(out, "OPTIONS sip:desk@pbx.example SIP/2.0\r\n") {
		t.Errorf("%q", out)
	}
}

// TestEditEmptySpan: where nothing stood something is put in, once.
func TestEditEmptySpan(t *testing.T) {
	for _, c := range [][2]string{{"X-A:", "<a><b>"}, {"X-A: cd", "<a><b>cd"}} {
		var m Message
		raw := "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n" + c[0] + "\r\n\r\n"
		if err := m.Parse([]byte(raw), true); err != nil {
			t.Fatal(err)
		}
		var e Edit
		e.Reset(&m)
		i := len(m.Fields) - 1
		at := Span{Start: m.Fields[i].Value.Start, End: m.Fields[i].Value.Start}
		e.ReplaceSpan(i, at, []byte("<a>"))
		e.ReplaceSpan(i, at, []byte("<b>"))
		if out := string(e.AppendTo(nil)); !strings.Contains(out, "\r\nX-A: "+c[1]+"\r\n") {
			t.Errorf("%q became\n%s", c[0], out)
		}
	}
}

// TestBelowSpace: a control byte is found wherever it stands, in values of every length, and nothing else is taken for one.
func TestBelowSpace(t *testing.T) {
	for n := range 70 {
		b := bytes.Repeat([]byte{' '}, n)
		for i := range b {
			for _, c := range []byte{0, '\t', '\r', 0x1f, ' ', '~', 0x7f, 0x80, 0x9f, 0xff} {
				b[i] = c
				if got := belowSpace(b); got != (c < ' ') {
					t.Fatalf("%q: %v", b, got)
				}
			}
			b[i] = ' '
		}
	}
}
