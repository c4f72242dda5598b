package sip

import "math/bits"

// An Edit gathers changes to one parsed message and applies them once, writing canonical bytes: CRLF only, no folding,
// canonical names, single-instance fields once, Content-Length equal to the body. Values of fields nobody edits and a
// body nobody replaces stay byte-identical. Every value handed in is copied into the Edit, so callers may reuse theirs;
// a CR or LF in it becomes SP, so that no value can add a line. An Edit is reused by its owner and does not allocate
// once it has grown.
//
// Content-Length belongs to the writer: it is written in the place of the first one received, or last, whatever the
// edits say of it.
type Edit struct {
	m       *Message
	arena   []byte   // copies of what callers handed in
	ops     []change // in the order of the calls
	touched [(mostFields + 63) / 64]uint64
	uri     Span // in arena; absent if not replaced
	body    Span // in arena
	newBody bool
	newText bool   // of a response
	text    string // then its reason phrase
}

type changeKind uint8

const (
	changeTop changeKind = iota
	changeBefore
	changeRemove
	changeReplace
	changeSpan
	changeAdd
)

// A change is one edit; value and name lie in the arena, at in the message.
type change struct {
	kind  changeKind
	id    FieldID
	field int
	at    Span
	name  Span
	value Span
}

// Reset begins a new set of edits of m, which Parse accepted and which must stay valid until AppendTo.
func (e *Edit) Reset(m *Message) {
	e.m, e.arena, e.ops = m, e.arena[:0], e.ops[:0]
	e.touched = [(mostFields + 63) / 64]uint64{}
	e.uri, e.body, e.newBody, e.newText = Span{}, Span{}, false, false
}

// SetRequestURI replaces the Request-URI.
func (e *Edit) SetRequestURI(uri []byte) {
	if e.m.IsRequest() {
		e.uri = e.copy(uri)
	}
}

// SetReason replaces the reason phrase of a response by text, which holds no CR or LF.
func (e *Edit) SetReason(text string) { e.newText, e.text = !e.m.IsRequest(), text }

// Remove leaves out field i.
func (e *Edit) Remove(i int) { e.change(change{kind: changeRemove, field: i}) }

// Replace gives field i a new value.
func (e *Edit) Replace(i int, value []byte) {
	e.change(change{kind: changeReplace, field: i, value: e.copy(value)})
}

// ReplaceSpan replaces bytes of m.Raw inside the value of field i; several of one field must not overlap.
func (e *Edit) ReplaceSpan(i int, at Span, with []byte) {
	e.change(change{kind: changeSpan, field: i, at: at, value: e.copy(with)})
}

// Top puts a new field before all others. Fields added by several calls stand in the order of the calls.
func (e *Edit) Top(id FieldID, value []byte) {
	e.ops = append(e.ops, change{kind: changeTop, id: id, value: e.copy(value)})
}

// Before puts a new field line before field i.
func (e *Edit) Before(i int, id FieldID, value []byte) {
	e.change(change{kind: changeBefore, field: i, id: id, value: e.copy(value)})
}

// Add puts a new field after all others; name, a token, is written as given.
func (e *Edit) Add(name string, value []byte) {
	e.arena = append(e.arena, '"') // no span may begin at 0
	from := len(e.arena)
	e.arena = append(e.arena, name...)
	e.ops = append(e.ops, change{kind: changeAdd, name: span(from, len(e.arena)), value: e.copy(value)})
}

// SetBody replaces the body; Content-Type stays the caller's business.
func (e *Edit) SetBody(body []byte) {
	from := len(e.arena)
	e.arena = append(e.arena, body...)
	e.body, e.newBody = span(from, len(e.arena)), true
}

// change notes a change of field c.field.
func (e *Edit) change(c change) {
	e.touch(c.field)
	e.ops = append(e.ops, c)
}

// copy puts a header value into the arena.
func (e *Edit) copy(value []byte) Span {
	e.arena = append(e.arena, '"') // no span may begin at 0
	from := len(e.arena)
	e.arena = appendValue(e.arena, value)
	return span(from, len(e.arena))
}

// AppendTo appends the edited message to dst.
func (e *Edit) AppendTo(dst []byte) []byte {
	m := e.m
	body := m.Body.Of(m.Raw)
	if e.newBody {
		body = e.body.Of(e.arena)
	}
	dst = e.appendStartLine(dst)
	dst = e.appendNew(dst, changeTop)
	dst = e.appendFields(dst, len(body))
	dst = e.appendNew(dst, changeAdd)
	if m.first[FieldContentLength] == 0 {
		dst = appendContentLength(dst, len(body))
	}
	return append(append(dst, '\r', '\n'), body...)
}

func (e *Edit) appendStartLine(dst []byte) []byte {
	m := e.m
	if e.newText {
		const status = uint32(len("SIP/2.0 200 "))
		return append(append(append(dst, m.Raw[m.p.start:m.p.start+status]...), e.text...), '\r', '\n')
	}
	if !e.uri.Present() {
		return append(dst, m.Raw[m.p.start:m.p.header]...)
	}
	dst = append(append(dst, m.MethodName.Of(m.Raw)...), ' ')
	return append(append(dst, e.uri.Of(e.arena)...), " SIP/2.0\r\n"...)
}

// appendFields appends the fields of the message with their changes. What lies between them is copied at once.
func (e *Edit) appendFields(dst []byte, body int) []byte {
	m := e.m
	length := m.Find(FieldContentLength)
	if length >= 0 && int(m.ContentLength) != body {
		e.touch(length)
	}
	if m.odd {
		for i := range m.Fields {
			if !m.Fields[i].Canonical {
				e.touch(i)
			}
		}
	}
	run := m.p.header
	for i := e.next(0); i < len(m.Fields); i = e.next(i + 1) {
		f := &m.Fields[i]
		dst = append(dst, m.Raw[run:f.Line.Start]...)
		run = f.Line.End
		if f.ID == FieldContentLength {
			dst, _, _ = e.appendBefore(dst, i)
			if i == length {
				dst = appendContentLength(dst, body)
			}
			continue
		}
		dst = e.appendChanged(dst, i)
	}
	if n := len(m.Fields); n > 0 {
		dst = append(dst, m.Raw[run:m.Fields[n-1].Line.End]...)
	}
	return dst
}

// touch notes that field i is not simply copied.
func (e *Edit) touch(i int) { e.touched[i/64] |= 1 << (i % 64) }

// next returns the index of the first field from i on that is touched; if there is none, one that no field has.
func (e *Edit) next(i int) int {
	for ; i < 64*len(e.touched); i = i&^63 + 64 {
		if rest := e.touched[i/64] >> (i % 64); rest != 0 {
			return i + bits.TrailingZeros64(rest)
		}
	}
	return i
}

// appendNew appends the new fields of one kind.
func (e *Edit) appendNew(dst []byte, kind changeKind) []byte {
	for i := range e.ops {
		c := &e.ops[i]
		if c.kind != kind || e.isLength(c) {
			continue
		}
		if kind == changeAdd {
			dst = append(dst, c.name.Of(e.arena)...)
		} else {
			dst = append(dst, fieldInfo[c.id].name...)
		}
		dst = e.appendCopied(dst, c.value)
	}
	return dst
}

// isLength reports whether c would add a Content-Length, which is not a caller's business, or a field without a name.
func (e *Edit) isLength(c *change) bool {
	if c.kind == changeAdd {
		n := c.name.Len()
		return (n == 1 || n == len("Content-Length")) && FieldOf(c.name.Of(e.arena)) == FieldContentLength
	}
	return c.id == FieldContentLength || c.id == FieldOther
}

// appendCopied appends a value of the arena, which holds no line end, with the colon before it and the line end.
func (e *Edit) appendCopied(dst []byte, value Span) []byte {
	dst = append(dst, ':')
	if value.Len() > 0 {
		dst = append(append(dst, ' '), value.Of(e.arena)...)
	}
	return append(dst, '\r', '\n')
}

// appendBefore appends the new fields that stand before field i, and says what else is to be done with that: the last change
// that removes or replaces it, nil if there is none, and whether there are changes of spans.
func (e *Edit) appendBefore(dst []byte, i int) (_ []byte, whole *change, spans bool) {
	for k := range e.ops {
		c := &e.ops[k]
		if c.field != i {
			continue
		}
		switch c.kind {
		case changeBefore:
			if !e.isLength(c) {
				dst = e.appendCopied(append(dst, fieldInfo[c.id].name...), c.value)
			}
		case changeRemove, changeReplace:
			if whole == nil || whole.kind != changeRemove {
				whole = c
			}
		case changeSpan:
			spans = true
		}
	}
	return dst, whole, spans
}

// appendChanged appends field i with its changes.
func (e *Edit) appendChanged(dst []byte, i int) []byte {
	m, f := e.m, &e.m.Fields[i]
	dst, whole, spans := e.appendBefore(dst, i)
	switch {
	case whole != nil && whole.kind == changeRemove:
		return dst
	case whole != nil:
		dst = m.appendFieldName(dst, f, whole.value.Len() == 0)
		dst = append(dst, whole.value.Of(e.arena)...)
	case spans:
		dst = e.appendSpans(m.appendFieldName(dst, f, false), i)
	default:
		return m.appendField(dst, f)
	}
	return append(dst, '\r', '\n')
}

// appendSpans appends the value of field i with the changed spans in their order; those that begin at one place, of which all but one are empty, in the
// order in which they were asked for.
func (e *Edit) appendSpans(dst []byte, i int) []byte {
	m := e.m
	value := m.Fields[i].Value
	at, last := value.Start, -1
	for {
		next := -1
		for k := range e.ops {
			if c := &e.ops[k]; c.kind == changeSpan && c.field == i && (last < 0 || e.earlier(last, k)) && (next < 0 || e.earlier(k, next)) {
				next = k
			}
		}
		if next < 0 {
			return appendValue(dst, m.Raw[at:value.End])
		}
		c := &e.ops[next]
		dst = appendValue(dst, m.Raw[at:c.at.Start])
		dst = append(dst, c.value.Of(e.arena)...)
		at, last = c.at.End, next
	}
}

// earlier reports whether change j of a span is written before change k.
func (e *Edit) earlier(j, k int) bool {
	a, b := e.ops[j].at.Start, e.ops[k].at.Start
	return a < b || a == b && j < k
}
