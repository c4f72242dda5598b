package sip

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// seeds adds the bench INVITE, a few small messages, and the messages of testdata.
func seeds(f *testing.F) {
	f.Add(invite)
	for _, s := range seedMessages {
		f.Add([]byte(s))
	}
	for _, c := range messageFiles(f) {
		f.Add(c.raw)
	}
	files, _ := filepath.Glob(filepath.Join("..", "..", "shared", "testdata", "rfc*", "*.dat"))
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil {
			f.Add(b)
		}
	}
}

var seedMessages = []string{
	"OPTIONS sip:a.example SIP/2.0\r\nv:SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bK1;received=2001:db8::2;rport=\r\n" +
		"f:<sip:a@b>;tag=1\r\nt:sip:b\r\ni:a@b\r\nCSeq:1 OPTIONS\r\nl:0\r\n\r\n",
	"SIP/2.0 180 \r\nVia: SIP/2.0/UDP a,SIP/2.0/UDP b;ttl=1\r\nFrom: \"a\\\"b\" <sip:a:p@b;x=y?h=v>;tag=1\r\n" +
		"To: tel:+1-2;ext=3\r\nCall-ID: x\r\nCSeq: 0009 INVITE\r\nContact: *\r\nContent-Length: 3\r\nl: 03\r\n\r\nabc",
	"REGISTER sip:a;lr SIP/2.0\r\nVia : SIP / 2.0 / UDP\r\n a : 5070 ; branch = z ; maddr=[::1]\r\nFROM:\r\n x y<sip:1.2.3.4>\r\n" +
		"To: http://x/y\r\nCall-ID: <>\r\nCSeq: 2147483647\tREGISTER\r\nMax-Forwards: 255\r\nContact: <sip:a>, \"b\"<sip:c> ; q = 0.5\r\n" +
		"Route: <sip:r;lr>\r\nX: \xff\x80\r\n\r\nrest",
}

// FuzzParse holds Parse against the reference parser and asserts what must hold for every message.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, datagram := range []bool{true, false} {
			compare(t, b, datagram)
		}
	})
}

func compare(t *testing.T, b []byte, datagram bool) {
	t.Helper()
	before := bytes.Clone(b)
	var m Message
	err := m.Parse(b, datagram)
	if !bytes.Equal(before, b) {
		t.Fatal("Parse wrote into the received bytes")
	}
	checkSpans(t, reflect.ValueOf(m), uint32(len(b)))
	checkReply(t, &m)
	checkNext(t, &m)
	checkUsual(t, &m, err, datagram)
	want, slowErr := slowParse(b, datagram)
	if (err == nil) != (slowErr == nil) {
		if e, ok := err.(Error); ok && isLimit(e) {
			return // the reference does not know all limits
		}
		t.Fatalf("parser: %v (at %d); reference: %v\n%q", err, m.ErrorAt(), slowErr, b)
	}
	if err != nil {
		if id := err.(Error).ID(); id == "" || m.ErrorAt() > len(b) {
			t.Fatalf("error %v at %d has no id", err, m.ErrorAt())
		}
		return
	}
	if got := slowView(&m); !reflect.DeepEqual(got, want) {
		t.Fatalf("parser and reference differ\n%+v\n%+v", got, want)
	}
	checkCanonical(t, &m)
	checkIdentity(t, &m)
}

// checkNext holds Find and Next to the fields of each id, in their order.
func checkNext(t *testing.T, m *Message) {
	t.Helper()
	var next [fieldIDs]int
	for id := range next {
		next[id] = m.Find(FieldID(id))
	}
	for i := range m.Fields {
		if id := m.Fields[i].ID; next[id] != i {
			t.Fatalf("field %d has id %d, of which %d is said to be the next\n%q", i, id, next[id], m.Raw)
		} else {
			next[id] = m.Next(id, i)
		}
	}
	for id, i := range next {
		if i >= 0 || len(m.Fields) > 0 && m.Next(FieldID(id), len(m.Fields)-1) >= 0 {
			t.Fatalf("id %d has no field %d\n%q", id, i, m.Raw)
		}
	}
}

// isLimit reports whether e is a limit that the reference does not have.
func isLimit(e Error) bool { return e == ErrValueLength || e == ErrURILength }

// checkSpans walks over every Span in v.
func checkSpans(t *testing.T, v reflect.Value, size uint32) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Span]() {
			start, end := uint32(v.Field(0).Uint()), uint32(v.Field(1).Uint())
			if start > end || end > size {
				t.Fatalf("span %d to %d in %d bytes", start, end, size)
			}
			return
		}
		for i := range v.NumField() {
			checkSpans(t, v.Field(i), size)
		}
	case reflect.Slice:
		if v.Type().Elem() == reflect.TypeFor[Field]() {
			for i := range v.Len() {
				checkSpans(t, v.Index(i), size)
			}
		}
	}
}

// checkReply asserts that whatever says it can be answered gets a well-formed answer, and that nothing else gets one.
func checkReply(t *testing.T, m *Message) {
	t.Helper()
	out := AppendReply(nil, m, nil, 400, "", []byte("tag1"))
	if !m.reply {
		if len(out) != 0 {
			t.Fatalf("answer to what cannot be answered: %q", out)
		}
		return
	}
	var r Message
	if err := r.Parse(out, false); err != nil {
		t.Fatalf("answer refused at %d: %v\n%q", r.ErrorAt(), err, out)
	}
	if !r.ToTag.Present() {
		t.Fatalf("answer without To tag: %q", out)
	}
	checkCanonical(t, &r)
	if at, ok := m.parties(); ok && string(at.Of(m.Raw)) != string(m.appendParties(nil, nil)) {
		t.Fatalf("%q is not what is written one by one: %q", at.Of(m.Raw), m.appendParties(nil, nil))
	}
}

// checkIdentity asserts that a message whose every line is canonical comes out byte-identical.
func checkIdentity(t *testing.T, m *Message) {
	t.Helper()
	for i := range m.Fields {
		if !m.Fields[i].Canonical {
			return
		}
	}
	if m.Find(FieldContentLength) < 0 || m.Defects&(DefectLeadingCRLF|DefectTrailing) != 0 {
		return
	}
	if out := canonical(m); !bytes.Equal(out, m.Raw) {
		t.Fatalf("canonical message changed\n%q\n%q", m.Raw, out)
	}
}
