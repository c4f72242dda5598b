package topo

import (
	"bytes"

	"github.com/ringwall/ringwall/sip"
)

// plainParams are the parameters that a URI which is there to be called may have and still be seen: they name no server.
var plainParams = [...]string{"user", "method", "transport", "gr", "cause", "cpc", "oli", "isup-oli"}

// referTo hides the target that field i names, marks in its name, and the Call-IDs of dialogs in its headers (RFC 3515, RFC 3891). What stands
// behind the URI goes.
func (k *Mask) referTo(i int) {
	raw, value := k.msg.Raw, k.msg.Fields[i].Value
	a, _, err := sip.NextAddress(raw, value)
	if err != nil {
		k.edit.Remove(i)
		return
	}
	u, err := sip.ParseURI(raw, a.URI)
	k.value = k.value[:0]
	switch uri := bare(&a, &u); {
	case err == nil && u.Scheme == sip.TEL:
		k.value = k.appendTel(k.value, &u)
	case k.shows(u.Host.Of(raw)) && only(raw, u.Params, plainParams[:]) && !k.marked(uri.Of(raw)):
		k.value = append(k.value, uri.Of(raw)...)
	default:
		k.value = k.appendURI(k.value, uri)
		if method, ok := u.Param(raw, "method"); ok {
			k.value = append(append(k.value, ";method="...), method.Of(raw)...)
		}
	}
	k.value = k.appendHeaders(k.value, u.Headers.Of(raw))
	k.kept = k.appendClean(k.kept[:0], raw[value.Start:a.URI.Start])
	k.replaceURI(i, &a, k.kept, value.End)
}

// appendTel appends the tel URI u as it leaves.
func (k *Mask) appendTel(dst []byte, u *sip.URI) []byte {
	raw, at := k.msg.Raw, sip.Span{Start: u.Whole.End, End: u.Whole.End}
	if v, ok := k.context(u); ok {
		at = v
	}
	dst = append(dst, raw[u.Whole.Start:at.Start]...)
	if at.Len() > 0 {
		dst = append(dst, k.domain()...)
	}
	return append(dst, raw[at.End:u.Whole.End]...)
}

// context is where the domain stands that the number u is local to (RFC 3966 §5.1.5), if it may not be seen.
func (k *Mask) context(u *sip.URI) (at sip.Span, hidden bool) {
	raw := k.msg.Raw
	v, ok := u.Param(raw, "phone-context")
	return v, ok && v.Len() > 0 && raw[v.Start] != '+' && !k.shows(v.Of(raw))
}

// referred puts a Refer-To right that names a target token of ours, or a dialog by its masked Call-ID.
func (k *Mask) referred(i int) {
	raw := k.msg.Raw
	a, _, err := sip.NextAddress(raw, k.msg.Fields[i].Value)
	if err != nil {
		return
	}
	u, err := sip.ParseURI(raw, a.URI)
	if err != nil || u.Scheme != sip.SIP && u.Scheme != sip.SIPS {
		return
	}
	if k.value, _ = k.Target(k.value[:0], u.User.Of(raw), k.leg.At); len(k.value) == 0 {
		if !u.Headers.Present() {
			return
		}
		k.value = append(k.value, bare(&a, &u).Of(raw)...)
	}
	k.value = k.appendHeaders(k.value, u.Headers.Of(raw))
	k.replaceURI(i, &a, raw[k.msg.Fields[i].Value.Start:a.URI.Start], afterURI(&a))
}

// redirected puts the Contacts in field i of a redirection right, as referred does a Refer-To.
func (k *Mask) redirected(i int) {
	raw, value := k.msg.Raw, k.msg.Fields[i].Value
	k.value = k.value[:0]
	from := value.Start
	for a := range sip.Addresses(raw, value) {
		u, err := sip.ParseURI(raw, a.URI)
		if err != nil || u.Scheme != sip.SIP && u.Scheme != sip.SIPS {
			continue
		}
		n := len(k.value)
		k.value = append(k.value, raw[from:a.URI.Start]...)
		m := len(k.value)
		if k.value, _ = k.Target(k.value, u.User.Of(raw), k.leg.At); len(k.value) == m && !u.Headers.Present() {
			k.value = k.value[:n]
			continue
		}
		if len(k.value) == m {
			k.value = append(k.value, bare(&a, &u).Of(raw)...)
		}
		k.value = k.appendHeaders(k.value, u.Headers.Of(raw))
		from = a.URI.End
	}
	if from > value.Start {
		k.edit.Replace(i, append(k.value, raw[from:value.End]...))
	}
}

// bare is u, the URI of a, without headers.
func bare(a *sip.Address, u *sip.URI) sip.Span {
	uri := a.URI
	if u.Headers.Present() {
		uri.End = u.Headers.Start - 1
	}
	return uri
}

// replaceURI gives field i, which holds a, the URI k.value, in angle brackets: one with parameters needs them (RFC 3261 §20). before stands before
// it, and what stood between the URI and index after goes. The field is replaced as a whole, as this is not the first change of it.
func (k *Mask) replaceURI(i int, a *sip.Address, before []byte, after uint32) {
	raw, value := k.msg.Raw, k.msg.Fields[i].Value
	k.small = append(k.small[:0], before...)
	if !a.Angle {
		k.small = append(k.small, '<')
	}
	k.small = append(append(k.small, k.value...), '>')
	k.small = append(k.small, raw[after:value.End]...)
	k.edit.Replace(i, k.small)
}

// What becomes of a header of a URI.
const (
	headerStays  = iota
	headerDialog // it names a dialog by its Call-ID first
	headerGoes   // on the way out
)

// transferred says it of those that are not of use as they are.
var transferred = [...]struct {
	name string
	what int
}{{"Replaces", headerDialog}, {"Join", headerDialog}, {"Target-Dialog", headerDialog}, {"In-Reply-To", headerDialog}, {"Referred-By", headerGoes},
	{"Accept-Contact", headerGoes}}

// appendHeaders appends the headers of a URI, with "?" before them, and in those that name dialogs the Call-IDs of the other side.
func (k *Mask) appendHeaders(dst, headers []byte) []byte {
	if k.Transfer != nil && len(headers) > 0 {
		k.kept = k.Transfer(k.kept[:0], headers)
		headers = bytes.TrimPrefix(k.kept, []byte{'?'})
	}
	separator := byte('?')
	for len(headers) > 0 {
		var one []byte
		one, headers, _ = bytes.Cut(headers, []byte{'&'})
		name, value, _ := bytes.Cut(one, []byte{'='})
		what := k.whatOf(name)
		if what == headerGoes && !k.in {
			continue
		}
		dst = append(dst, separator)
		separator = '&'
		if what == headerDialog {
			dst = k.appendNamed(append(append(dst, name...), '='), value)
		} else {
			dst = append(dst, one...)
		}
	}
	return dst
}

// whatOf says what becomes of the header with this name, escaped or not.
func (k *Mask) whatOf(name []byte) int {
	k.small = unescape(k.small[:0], name)
	for i := range transferred {
		if t := &transferred[i]; len(t.name) == len(k.small) && sip.EqualFold(k.small, []byte(t.name)) {
			return t.what
		}
	}
	return headerStays
}

// appendNamed appends the escaped value of a header that begins with a Call-ID, with that of the other side.
func (k *Mask) appendNamed(dst, value []byte) []byte {
	callID, tags := cutEscaped(value)
	k.small = unescape(k.small[:0], callID)
	k.tags = unescape(k.tags[:0], tags)
	n := len(dst)
	dst = k.otherID(dst, k.small, toTag(k.tags))
	return append(escape(dst, n), tags...)
}

// cutEscaped cuts an escaped Replaces value before its first semicolon.
func cutEscaped(value []byte) (callID, rest []byte) {
	for i := range value {
		if value[i] == ';' || value[i] == '%' && i+2 < len(value) && value[i+1] == '3' && value[i+2]|0x20 == 'b' {
			return value[:i], value[i:]
		}
	}
	return value, nil
}

// event changes the Call-ID of an Event that is about one dialog (RFC 4235 §3.2.1: dialog;call-id=...).
func (k *Mask) event(i int) {
	raw := k.msg.Raw
	rest := k.msg.Fields[i].Value
	at := bytes.IndexByte(rest.Of(raw), ';')
	if at < 0 {
		return
	}
	for rest.Start += uint32(at) + 1; rest.Present() && rest.Len() > 0; {
		var name, value sip.Span
		name, value, _, rest = sip.NextParam(raw, rest)
		if !value.Present() || !sip.EqualFold(name.Of(raw), []byte("call-id")) {
			continue
		}
		if value.Len() > 1 && raw[value.Start] == '"' {
			value.Start, value.End = value.Start+1, value.End-1
		}
		k.value = k.otherID(k.value[:0], value.Of(raw), nil)
		k.edit.ReplaceSpan(i, value, k.value)
		return
	}
}
