//go:build !race

package sip

import "testing"

// TestAllocations: once buffers have grown, nothing on the path of a message allocates.
func TestAllocations(t *testing.T) {
	var m Message
	var e Edit
	out := make([]byte, 0, 4096)
	f := Framer{Max: MaxBody}
	value := []byte("SIP/2.0/UDP edge;branch=z9hG4bKe")
	broken := []byte(answered[:len(answered)-4])
	tag := []byte("d2")
	for name, run := range map[string]func(){
		"Parse":   func() { _ = m.Parse(invite, true) },
		"refusal": func() { _ = m.Parse(broken, true) },
		"Edit": func() {
			_ = m.Parse(invite, true)
			e.Reset(&m)
			e.Top(FieldVia, value)
			e.Replace(m.Find(FieldMaxForwards), tag)
			e.ReplaceSpan(m.Via.Field, m.Via.RPortAt, tag)
			e.Add("X-New", value)
			e.SetBody(value)
			out = e.AppendTo(out[:0])
		},
		"AppendReply": func() {
			_ = m.Parse(invite, true)
			out = AppendReply(out[:0], &m, nil, 486, "", tag, Header{"Server", tag})
		},
		"AppendACK": func() {
			_ = m.Parse(invite, true)
			out = AppendACK(AppendCANCEL(out[:0], &m), &m, value)
		},
		"Framer": func() { _, _, _ = f.Next(invite) },
		"lists": func() {
			_ = m.Parse(invite, true)
			a, _, _ := NextAddress(m.Raw, m.Fields[m.Find(FieldContact)].Value)
			u, _ := ParseURI(m.Raw, a.URI)
			_, _ = u.Param(m.Raw, "transport")
			_, _, _ = NextVia(m.Raw, m.Fields[0].Value)
			_, _, _ = ParseDigest(m.Raw, m.Fields[0].Value)
		},
	} {
		if n := testing.AllocsPerRun(200, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestAllocationsLong: a message with more fields than Fields has room for allocates once, and then no more.
func TestAllocationsLong(t *testing.T) {
	lines := ""
	for range MaxFields - len(cleanLines) {
		lines += "X-A: y\r\n"
	}
	raw := []byte(message(optionsLine, lines+"\r\n"))
	var m Message
	if err := m.Parse(raw, true); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = m.Parse(raw, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
