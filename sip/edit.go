package sip

// An Edit gathers changes to one parsed message and applies them once, writing canonical bytes: CRLF only, no folding,
// canonical names, single-instance fields once, Content-Length equal to the body. Values of fields nobody edits and a
// body nobody replaces stay byte-identical. Every value handed in is copied into the Edit, so callers may reuse theirs.
// An Edit is reused by its owner and does not allocate once it has grown.
type Edit struct {
	m *Message
}

// Reset begins a new set of edits of m, which must stay valid until AppendTo.
func (e *Edit) Reset(m *Message) { panic("unbuilt") }

// SetRequestURI replaces the Request-URI.
func (e *Edit) SetRequestURI(uri []byte) { panic("unbuilt") }

// Remove leaves out field i.
func (e *Edit) Remove(i int) { panic("unbuilt") }

// Replace gives field i a new value.
func (e *Edit) Replace(i int, value []byte) { panic("unbuilt") }

// ReplaceSpan replaces bytes of m.Raw inside the value of field i; several of one field must not overlap.
func (e *Edit) ReplaceSpan(i int, at Span, with []byte) { panic("unbuilt") }

// Top puts a new field before all others. Fields added by several calls stand in the order of the calls.
func (e *Edit) Top(id FieldID, value []byte) { panic("unbuilt") }

// Before puts a new field line before field i.
func (e *Edit) Before(i int, id FieldID, value []byte) { panic("unbuilt") }

// Add puts a new field after all others; name is written as given.
func (e *Edit) Add(name string, value []byte) { panic("unbuilt") }

// SetBody replaces the body; Content-Type stays the caller's business.
func (e *Edit) SetBody(body []byte) { panic("unbuilt") }

// AppendTo appends the edited message to dst.
func (e *Edit) AppendTo(dst []byte) []byte { panic("unbuilt") }
