package sip

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
	top     []byte   // new lines before all others
	last    []byte   // new lines after all others
	arena   []byte   // what else callers handed in
	ops     []change // by field, those of one field in the order of the calls
	uri     Span     // in arena; absent if not replaced
	body    Span     // in arena
	newBody bool
	newText bool   // of a response
	text    string // then its reason phrase
}

type changeKind uint8

const (
	changeBefore changeKind = iota
	changeRemove
	changeReplace
	changeSpan
	changeNothing // but how the field is written
)

// A change is one edit of a field; value lies in the arena, at in the message.
type change struct {
	kind  changeKind
	field int32
	at    Span
	value Span // of changeBefore the whole line
}

// Reset begins a new set of edits of m, which Parse accepted and which must stay valid until AppendTo.
func (e *Edit) Reset(m *Message) {
	e.m, e.top, e.last, e.ops = m, e.top[:0], e.last[:0], e.ops[:0]
	e.arena = append(e.arena[:0], '"') // no span may begin at 0
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
func (e *Edit) Remove(i int) { e.change(changeRemove, i, Span{}, Span{}) }

// Replace gives field i a new value.
func (e *Edit) Replace(i int, value []byte) { e.change(changeReplace, i, Span{}, e.copy(value)) }

// ReplaceSpan replaces bytes of m.Raw inside the value of field i; several of one field must not overlap.
func (e *Edit) ReplaceSpan(i int, at Span, with []byte) { e.change(changeSpan, i, at, e.copy(with)) }

// Top puts a new field before all others. Fields added by several calls stand in the order of the calls.
func (e *Edit) Top(id FieldID, value []byte) {
	if writable(id) {
		e.top = appendLine(e.top, fieldInfo[id].name, value)
	}
}

// Before puts a new field line before field i.
func (e *Edit) Before(i int, id FieldID, value []byte) {
	if writable(id) {
		from := len(e.arena)
		e.arena = appendLine(e.arena, fieldInfo[id].name, value)
		e.change(changeBefore, i, Span{}, span(from, len(e.arena)))
	}
}

// Add puts a new field after all others; name, a token, is written as given.
func (e *Edit) Add(name string, value []byte) {
	if n := len(name); n != 1 && n != len("Content-Length") || FieldOf([]byte(name)) != FieldContentLength {
		e.last = appendLine(e.last, name, value)
	}
}

// writable reports whether a new field with id can be written: it has a name and is not Content-Length, which is not a caller's business.
func writable(id FieldID) bool { return id != FieldContentLength && id != FieldOther }

// SetBody replaces the body; Content-Type stays the caller's business.
func (e *Edit) SetBody(body []byte) {
	from := len(e.arena)
	e.arena = append(e.arena, body...)
	e.body, e.newBody = span(from, len(e.arena)), true
}

// change notes a change of field i.
func (e *Edit) change(kind changeKind, i int, at, value Span) {
	e.ops = append(e.ops, change{kind, int32(i), at, value})
	for k := len(e.ops) - 1; k > 0 && e.ops[k-1].field > e.ops[k].field; k-- {
		e.ops[k-1], e.ops[k] = e.ops[k], e.ops[k-1]
	}
}

// copy puts a header value into the arena.
func (e *Edit) copy(value []byte) Span {
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
	dst = append(dst, e.top...)
	dst = e.appendFields(dst, len(body))
	dst = append(dst, e.last...)
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
		e.change(changeNothing, length, Span{}, Span{})
	}
	if m.odd {
		for i := range m.Fields {
			if !m.Fields[i].Canonical {
				e.change(changeNothing, i, Span{}, Span{})
			}
		}
	}
	run := m.p.header
	for ops := e.ops; len(ops) > 0; {
		i := int(ops[0].field)
		f := &m.Fields[i]
		if len(ops) == 1 || ops[1].field != ops[0].field {
			if at, ok := ops[0].alone(f); ok {
				dst = append(append(dst, m.Raw[run:at.Start]...), e.arena[ops[0].value.Start:ops[0].value.End]...)
				run, ops = at.End, ops[1:]
				continue
			}
		}
		n := 1
		for n < len(ops) && ops[n].field == ops[0].field {
			n++
		}
		dst = append(dst, m.Raw[run:f.Line.Start]...)
		run = f.Line.End
		dst = e.appendChanged(dst, f, ops[:n])
		if i == length {
			dst = appendContentLength(dst, body)
		}
		ops = ops[n:]
	}
	if n := len(m.Fields); n > 0 {
		dst = append(dst, m.Raw[run:m.Fields[n-1].Line.End]...)
	}
	return dst
}

// alone is what c.value takes the place of if c is the only change of f, and what else the writer writes of f stands there as it is.
func (c *change) alone(f *Field) (at Span, ok bool) {
	if !f.Canonical || f.ID == FieldContentLength || f.Value.Start == f.Value.End {
		return at, false
	}
	switch c.kind {
	case changeBefore:
		return Span{f.Line.Start, f.Line.Start}, true
	case changeRemove:
		return f.Line, true
	case changeReplace:
		return f.Value, c.value.Start < c.value.End
	case changeSpan:
		return c.at, c.at.Start >= f.Value.Start && c.at.Start <= c.at.End && c.at.End <= f.Value.End
	}
	return at, false
}

// appendChanged appends field f, unless it is a Content-Length, with its changes. The last one that replaces it counts, if none removes it.
func (e *Edit) appendChanged(dst []byte, f *Field, ops []change) []byte {
	var whole *change
	spans := false
	for k := range ops {
		switch c := &ops[k]; c.kind {
		case changeBefore:
			dst = append(dst, c.value.Of(e.arena)...)
		case changeRemove, changeReplace:
			if whole == nil || whole.kind != changeRemove {
				whole = c
			}
		case changeSpan:
			spans = true
		}
	}
	m := e.m
	switch {
	case f.ID == FieldContentLength || whole != nil && whole.kind == changeRemove:
		return dst
	case whole != nil:
		dst = m.appendFieldName(dst, f, whole.value.Len() == 0)
		dst = append(dst, whole.value.Of(e.arena)...)
	case spans:
		dst = e.appendSpans(m.appendFieldName(dst, f, false), f, ops)
	default:
		return m.appendField(dst, f)
	}
	return append(dst, '\r', '\n')
}

// appendSpans appends the value of f with the changed spans in their order; those that begin at one place, of which all but one are empty, in the
// order in which they were asked for.
func (e *Edit) appendSpans(dst []byte, f *Field, ops []change) []byte {
	m := e.m
	at, last := f.Value.Start, -1
	for {
		next := -1
		for k := range ops {
			if ops[k].kind == changeSpan && (last < 0 || earlier(ops, last, k)) && (next < 0 || earlier(ops, k, next)) {
				next = k
			}
		}
		if next < 0 {
			return appendValue(dst, m.Raw[at:f.Value.End])
		}
		c := &ops[next]
		dst = appendValue(dst, m.Raw[at:c.at.Start])
		dst = append(dst, c.value.Of(e.arena)...)
		at, last = c.at.End, next
	}
}

// earlier reports whether change j of a span is written before change k.
func earlier(ops []change, j, k int) bool {
	a, b := ops[j].at.Start, ops[k].at.Start
	return a < b || a == b && j < k
}
