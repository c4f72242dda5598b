package sip

import (
	"bytes"
	"testing"
)

// canonical writes m without edits.
func canonical(m *Message) []byte {
	var e Edit
	e.Reset(m)
	return e.AppendTo(nil)
}

// checkCanonical asserts what holds for every accepted message: its canonical form parses, is canonical in every line,
// is its own canonical form, and has the same values and body.
func checkCanonical(t testing.TB, m *Message) {
	t.Helper()
	once := canonical(m)
	var n Message
	if err := n.Parse(once, false); err != nil {
		t.Fatalf("canonical form refused at %d: %v\n%q", n.ErrorAt(), err, once)
	}
	if twice := canonical(&n); !bytes.Equal(once, twice) {
		t.Fatalf("canonical form changes\n%q\n%q", once, twice)
	}
	for i := range n.Fields {
		if f := &n.Fields[i]; !f.Canonical || f.Folded {
			t.Errorf("line is not canonical: %q", f.Line.Of(once))
		}
	}
	if n.Defects&^sameDefects != 0 {
		t.Errorf("canonical form has defects %v", n.Defects)
	}
	if !bytes.Equal(m.Body.Of(m.Raw), n.Body.Of(once)) {
		t.Errorf("body %q became %q", m.Body.Of(m.Raw), n.Body.Of(once))
	}
	sameFields(t, m, &n)
}

// sameDefects survive canonical writing, which changes no value.
const sameDefects = DefectNoBranch | DefectNoCookie | DefectNoFromTag | DefectNoMaxForwards | DefectUnknownMethod |
	DefectURIHeaders | DefectPassword | DefectUnknownScheme | DefectQuotedControl

// sameFields asserts that n holds the fields of m in their order with equal values, but for Content-Length.
func sameFields(t testing.TB, m, n *Message) {
	t.Helper()
	k := 0
	for i := range m.Fields {
		f := &m.Fields[i]
		if f.ID == FieldContentLength {
			if m.Find(FieldContentLength) == i {
				k++
			}
			continue
		}
		g := &n.Fields[k]
		k++
		if f.ID != g.ID || f.ID == FieldOther && !bytes.Equal(f.Name.Of(m.Raw), g.Name.Of(n.Raw)) {
			t.Fatalf("field %q became %q", f.Line.Of(m.Raw), g.Line.Of(n.Raw))
		}
		want := f.Value.Of(m.Raw)
		if f.Folded {
			want = appendValue(nil, want)
		}
		if !bytes.Equal(want, g.Value.Of(n.Raw)) {
			t.Fatalf("value %q became %q", want, g.Value.Of(n.Raw))
		}
	}
	if m.Find(FieldContentLength) < 0 {
		k++
	}
	if k != len(n.Fields) {
		t.Fatalf("%d fields became %d", len(m.Fields), len(n.Fields))
	}
}
