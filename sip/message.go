// Package sip is SIP syntax and nothing else (RFC 3261 §7, §19, §20, §25): parse bytes into
// spans, say what is odd about them, apply edits, write canonical bytes, and build short messages.
//
// Nothing here does I/O, reads a clock or allocates for a normal message. All results of parsing
// are Spans into the received bytes, which the caller owns and which are never written.
package sip

// A Span locates bytes inside Message.Raw (or another buffer its producer names). The zero Span is
// "absent"; a present but empty value has Start == End != 0.
type Span struct{ Start, End uint32 }

// Of returns the bytes of s in raw, borrowed. It is empty for the zero Span.
func (s Span) Of(raw []byte) []byte { return raw[s.Start:s.End:s.End] }

// Len is the number of bytes s covers.
func (s Span) Len() int { return int(s.End - s.Start) }

// Present reports whether s locates anything, possibly an empty value.
func (s Span) Present() bool { return s != Span{} }

// A Field is one header field line as received (one line even if it carries a comma list).
type Field struct {
	Name  Span // as spelled
	Value Span // without the white space around it; folds, if any, are still inside
	Line  Span // the whole line(s) with the final CRLF
	ID    FieldID
	// Canonical says that Line is byte for byte what the writer would produce for it.
	Canonical bool
	// Folded says that Value contains line folding (RFC 3261 §7.3.1), which the writer unfolds to one SP.
	Folded bool
}

// A Message is one parsed SIP message: the borrowed bytes, spans into them, and the few values that
// every stage needs already decoded. Its owner reuses it: Parse overwrites everything, keeps the
// capacity of Fields, and does not allocate for a message of up to 32 fields.
type Message struct {
	Raw    []byte  // the received bytes; borrowed, never written
	Fields []Field // header fields in order
	Body   Span    // exactly Content-Length bytes (to the end of the datagram if it was absent)

	// Start line. Status is 0 in a request; MethodName and RequestURI are absent in a response.
	Method     Method
	Status     int
	MethodName Span
	RequestURI Span
	Reason     Span // reason phrase, may be empty
	URI        URI  // RequestURI decoded

	// Hot fields, valid when Parse returned nil (every one of them is then present).
	Via            Via     // topmost via-parm
	From, To       Address // spans of the whole name-addr
	FromTag, ToTag Span    // tag parameters; absent if none
	ToURI          URI     // To.URI decoded
	CallID         Span
	CSeq           CSeq

	MaxForwards   int32 // -1 if absent
	ContentLength int32 // -1 if absent
	Defects       Defects

	first [fieldIDs]uint16 // 1 + index in Fields of the first field with that id
	again uint64           // a bit for each id that more than one field has
	errAt uint32           // offset of the byte that made Parse fail
	reply bool             // see Replyable
	odd   bool             // a field is not Canonical
	p     progress

	likely URI     // a well-formed URI that From or To probably has, or at least its host
	only   Contact // the first one, if it was usual
}

// A Contact is one value of a Contact field, decoded.
type Contact struct {
	Address
	Decoded URI  // its URI
	Field   int  // index in Message.Fields of the line it stands in
	Expires Span // the value of the parameter expires, a number, if that is the only one
}

// CSeq is the decoded CSeq field (RFC 3261 §20.16). Method equals that of the request line.
type CSeq struct {
	Number     uint32
	Method     Method
	MethodName Span
}

// IsRequest reports whether m is a request.
func (m *Message) IsRequest() bool { return m.Status == 0 }

// Find returns the index in Fields of the first field with id, or -1.
func (m *Message) Find(id FieldID) int { return int(m.first[id]) - 1 }

// Next returns the index of the next field with id after index i, or -1.
func (m *Message) Next(id FieldID, i int) int {
	if m.again>>id&1 == 1 {
		return m.next(id, i)
	}
	if only := m.Find(id); only > i {
		return only
	}
	return -1
}

func (m *Message) next(id FieldID, i int) int {
	for i++; i < len(m.Fields); i++ {
		if m.Fields[i].ID == id {
			return i
		}
	}
	return -1
}

// Value returns the value bytes of the first field with id, borrowed from Raw; nil if absent.
func (m *Message) Value(id FieldID) []byte {
	if i := m.Find(id); i >= 0 {
		return m.Fields[i].Value.Of(m.Raw)
	}
	return nil
}

// Contact is the one value of Contact that m has, if it is written in the most usual way; nil says nothing, also not that there is none. It is m's,
// and good until the next Parse.
func (m *Message) Contact() *Contact {
	if m.p.contacts != 1 || m.p.star || !m.only.Whole.Present() {
		return nil
	}
	return &m.only
}

// Full reports that m has no room for what a proxy adds to it, and the Error that says of what it has too much. Parse takes a
// little more than that, because the request as relayed and the responses to it have those additions.
func (m *Message) Full() (Error, bool) {
	switch {
	case m.p.vias > MaxVias:
		return ErrViaCount, true
	case len(m.Fields) > MaxFields:
		return ErrFieldCount, true
	case m.Fields[m.Via.Field].Value.Len() > MaxValue-roomInVia:
		return ErrValueLength, true
	}
	return errNone, false
}

// ErrorAt is the offset in Raw at which the last Parse failed; meaningful only after an error.
func (m *Message) ErrorAt() int { return int(m.errAt) }

// Replyable reports whether a refused request still has one valid Via, From, To, Call-ID and CSeq,
// so that AppendReply may answer it. It is true for every request that Parse accepted.
func (m *Message) Replyable() bool { return m.reply && m.IsRequest() }
