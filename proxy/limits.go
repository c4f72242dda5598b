package proxy

import (
	"bytes"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// Limits are what a message from outside may have of one thing. The parser has limits of its own (sip.MaxFields and its neighbours),
// which nothing widens: these may only be lower. 0 is the parser's.
type Limits struct {
	Headers    int // header field lines
	Header     int // bytes of a field value
	URI        int // bytes of a URI in the start line or a field that routing reads
	Vias       int // via-parms
	Parameters int // parameters of a URI, of a via-parm, or of an address
}

// capped makes each limit that says no more than the parser's 0.
func (c Limits) capped() Limits {
	for _, one := range []struct {
		limit *int
		most  int
	}{{&c.Headers, sip.MaxFields}, {&c.Header, sip.MaxValue}, {&c.URI, sip.MaxURI}, {&c.Vias, sip.MaxVias}, {&c.Parameters, sip.MaxParams}} {
		if *one.limit >= one.most {
			*one.limit = 0
		}
	}
	return c
}

// exceeded says which limit m exceeds, Pass if none. It costs nothing unless a limit is lower than the parser's.
func (c *Limits) exceeded(m *sip.Message) edge.Verdict {
	if c.Headers|c.Header|c.URI|c.Vias|c.Parameters == 0 {
		return edge.Verdict{}
	}
	if over(len(m.Fields), c.Headers) {
		return tooMuch(reasonHeaders)
	}
	if over(m.RequestURI.Len(), c.URI) {
		return tooMuch(reasonURI)
	}
	if m.IsRequest() && over(parameters(m.Raw, m.URI.Params), c.Parameters) {
		return tooMuch(reasonParameters)
	}
	vias := 0
	for i := range m.Fields {
		f := &m.Fields[i]
		if over(f.Value.Len(), c.Header) {
			return tooMuch(reasonHeader)
		}
		var reason edge.Reason
		switch f.ID {
		case sip.FieldVia:
			reason = c.via(m, f.Value, &vias)
		case sip.FieldFrom, sip.FieldTo, sip.FieldContact, sip.FieldRoute, sip.FieldRecordRoute, sip.FieldPath, sip.FieldServiceRoute,
			sip.FieldReferTo, sip.FieldReferredBy:
			reason = c.address(m, f.Value)
		}
		if reason != "" {
			return tooMuch(reason)
		}
	}
	return edge.Verdict{}
}

func over(n, limit int) bool { return limit > 0 && n > limit }

// tooMuch is the verdict on what exceeds a limit.
func tooMuch(r edge.Reason) edge.Verdict {
	status := 400
	if r == reasonURI {
		status = 414
	}
	return edge.Verdict{Action: edge.Reply, Reason: r, Status: status}
}

// via looks at one Via field; vias counts those of the message.
func (c *Limits) via(m *sip.Message, rest sip.Span, vias *int) edge.Reason {
	for rest.Present() {
		v, after, err := sip.NextVia(m.Raw, rest)
		if err != nil {
			return ""
		}
		rest = after
		if *vias++; over(*vias, c.Vias) {
			return reasonVias
		}
		if at := bytes.IndexByte(m.Raw[v.SentBy.End:v.Whole.End], ';'); at >= 0 {
			params := sip.Span{Start: v.SentBy.End + uint32(at) + 1, End: v.Whole.End}
			if over(parameters(m.Raw, params), c.Parameters) {
				return reasonParameters
			}
		}
	}
	return ""
}

// address looks at one field of addresses. What can't be read as such is not held against it here.
func (c *Limits) address(m *sip.Message, rest sip.Span) edge.Reason {
	for a := range sip.Addresses(m.Raw, rest) {
		if over(a.URI.Len(), c.URI) {
			return reasonURI
		}
		uri, err := sip.ParseURI(m.Raw, a.URI)
		if over(parameters(m.Raw, a.Params), c.Parameters) || err == nil && over(parameters(m.Raw, uri.Params), c.Parameters) {
			return reasonParameters
		}
	}
	return ""
}

// parameters counts a list of parameters.
func parameters(raw []byte, list sip.Span) (n int) {
	for ; list.Present(); n++ {
		_, _, _, list = sip.NextParam(raw, list)
	}
	return n
}
