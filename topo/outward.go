package topo

import (
	"bytes"

	"github.com/ringwall/ringwall/sip"
)

// A Mask applies a Veil to one message after the other. Its memory is used again; each lane has its own.
type Mask struct {
	*Veil
	// Transfer appends what may stay of the headers of a URI that names a target, with "?" before them. Nil: all of them.
	Transfer func(dst, headers []byte) []byte

	leg   *Leg
	edit  *sip.Edit
	msg   *sip.Message
	value []byte
	small []byte

	kept []byte

	in              bool // what is at hand goes inside
	body, delimiter []byte
	tags            []byte
}

// Outward adds to e what hides the platform in m, which goes from inside to outside on leg: the Call-ID, the parties' hosts, Contacts, and
// the dialogs and targets that fields name. Via, Route and Record-Route are proxy's.
func (k *Mask) Outward(e *sip.Edit, m *sip.Message, leg *Leg) {
	k.edit, k.msg, k.leg, k.in = e, m, leg, false
	for i := range m.Fields {
		switch f := &m.Fields[i]; f.ID {
		case sip.FieldCallID:
			if leg.Masked {
				k.value = k.AppendCallID(k.value[:0], m.CallID.Of(m.Raw), leg.Key)
				e.Replace(i, k.value)
			}
		case sip.FieldFrom, sip.FieldTo:
			if leg.Parties || f.ID == sip.FieldFrom && k.renamed(i) {
				k.hideHost(i)
			}
		case sip.FieldReferredBy:
			k.hideBare(i)
		case sip.FieldContact:
			if !leg.Registers {
				k.contact(i)
			}
		case sip.FieldReferTo:
			k.referTo(i)
		case sip.FieldEvent:
			k.event(i)
		case sip.FieldReplaces:
			k.dialog(i)
		case sip.FieldOther:
			k.other(i)
		}
	}
}

// others are the fields that sip does not know by name, and what hides in them. Which of them leave at all, and to whom, is scrub's business.
var others = [...]struct {
	name string
	hide func(k *Mask, i int)
}{
	{"Join", (*Mask).dialog},
	{"Target-Dialog", (*Mask).dialog},
	{"In-Reply-To", (*Mask).inReplyTo},
	{"Reply-To", (*Mask).hideBare},
	{"P-Asserted-Identity", (*Mask).hideHost},
	{"P-Preferred-Identity", (*Mask).hideHost},
	{"P-Called-Party-ID", (*Mask).hideHost},
	{"Remote-Party-ID", (*Mask).hideHost},
	{"Diversion", (*Mask).hideHost},
	{"History-Info", (*Mask).hideHost},
	{"SIP-ETag", (*Mask).etag},
	{"SIP-If-Match", (*Mask).etagBack},
	{"Suppress-If-Match", (*Mask).etagBack},
}

// other hides in field i, which sip does not know by name.
func (k *Mask) other(i int) {
	name := k.msg.Fields[i].Name.Of(k.msg.Raw)
	for j := range others {
		if o := &others[j]; len(o.name) == len(name) && sip.EqualFold(name, []byte(o.name)) {
			o.hide(k, i)
			return
		}
	}
}

// renamed reports whether From, in field i, of a request in a dialog that outside began names the inside: it is usually the To of then, but a platform may
// say later who it is that talks (RFC 4916).
func (k *Mask) renamed(i int) bool {
	return k.msg.IsRequest() && !k.leg.Registers && k.marked(k.msg.Fields[i].Value.Of(k.msg.Raw))
}

// hideHost puts the domain in the place of the host and port of each address in field i that may not be seen. A field that can't be read
// goes, and so does one whose addresses are of other kinds, but for From and To.
func (k *Mask) hideHost(i int) { k.hideAddresses(i, false) }

// hideBare is hideHost for a field whose parameters go.
func (k *Mask) hideBare(i int) { k.hideAddresses(i, true) }

func (k *Mask) hideAddresses(i int, bare bool) {
	raw := k.msg.Raw
	for rest := k.msg.Fields[i].Value; rest.Present(); {
		a, after, err := sip.NextAddress(raw, rest)
		if err != nil {
			k.edit.Remove(i)
			return
		}
		rest = after
		if party := k.msg.Fields[i].ID == sip.FieldFrom || k.msg.Fields[i].ID == sip.FieldTo; !k.hideParty(i, &a) && !party {
			k.edit.Remove(i)
			return
		}
		if bare && a.Params.Present() {
			k.edit.ReplaceSpan(i, sip.Span{Start: afterURI(&a), End: a.Whole.End}, nil)
		}
	}
}

// afterURI is the index after the URI of a and its angle brackets.
func afterURI(a *sip.Address) uint32 {
	if a.Angle {
		return a.URI.End + 1
	}
	return a.URI.End
}

// personal are the URI parameters that tell of a person and a call. Others, like maddr, name servers.
var personal = [...]string{"user", "cause", "cpc", "oli", "isup-oli"}

// hideParty hides what a, the address of a person, shows of the inside: marks in its name and user part, host and port if they may not be seen,
// and parameters; of a local number the domain that it is local to. False: a is an address of another kind, in which no more than marks is found.
func (k *Mask) hideParty(i int, a *sip.Address) bool {
	raw, s := k.msg.Raw, a.URI
	u, err := sip.ParseURI(raw, s)
	known := err == nil && (u.Scheme == sip.SIP || u.Scheme == sip.SIPS)
	name := sip.Span{Start: a.Whole.Start, End: s.Start}
	if known {
		name.End = u.Host.Start
	}
	k.cleanSpan(i, name)
	if !known {
		return k.hideOther(i, s, &u)
	}
	at := sip.Span{Start: u.Host.Start, End: s.End}
	if k.value = k.value[:0]; k.shows(u.Host.Of(raw)) {
		k.value = append(k.value, HostPort(raw, &u).Of(raw)...)
	} else {
		k.value = append(k.value, k.domain()...)
	}
	k.value = appendParams(k.value, raw, u.Params, personal[:])
	if u.Headers.Present() { // of History-Info; those of others are refused or removed
		k.value = k.appendHistory(k.value, u.Headers.Of(raw))
	}
	if !bytes.Equal(k.value, at.Of(raw)) {
		k.edit.ReplaceSpan(i, at, k.value)
	}
	return true
}

// cleanSpan puts the domain in the place of marks in field i at s.
func (k *Mask) cleanSpan(i int, s sip.Span) (done bool) {
	if !k.marked(s.Of(k.msg.Raw)) {
		return false
	}
	k.value = k.Clean(k.value[:0], s.Of(k.msg.Raw))
	k.edit.ReplaceSpan(i, s, k.value)
	return true
}

// hideOther is hideParty for u, the URI at s, which is none of SIP and has no scheme if it can't be read.
func (k *Mask) hideOther(i int, s sip.Span, u *sip.URI) bool {
	uri := s.Of(k.msg.Raw)
	s.Start += uint32(bytes.IndexByte(uri, ':') + 1)
	tel := u.Scheme == sip.TEL && u.Whole.Present()
	if v, hidden := k.context(u); !k.cleanSpan(i, s) && tel && hidden {
		k.edit.ReplaceSpan(i, v, k.domain())
	}
	return tel || urn(uri)
}

// urn reports whether uri is a URN, like that of emergency calls (RFC 5031): it names no server.
func urn(uri []byte) bool { return len(uri) > 4 && sip.EqualFold(uri[:4], []byte("urn:")) }

// appendHistory appends of the headers in a URI of History-Info what RFC 7044 §5 has there: Privacy, and Reason without its text.
func (k *Mask) appendHistory(dst, headers []byte) []byte {
	separator := byte('?')
	for one := range bytes.SplitSeq(headers, []byte{'&'}) {
		switch name, value, _ := bytes.Cut(one, []byte{'='}); {
		case sip.Spells(name, "privacy"):
			dst = append(append(dst, separator), one...)
		case sip.Spells(name, "reason"):
			k.small = unescape(k.small[:0], value)
			dst = append(append(append(dst, separator), name...), '=')
			n := len(dst)
			dst = escape(appendReason(dst, k.small), n)
		default:
			continue
		}
		separator = '&'
	}
	return dst
}

// domain is what stands in for inside hosts.
func (k *Mask) domain() []byte {
	host := k.cfg.Domain
	if host == "" {
		host = k.leg.Host
	}
	k.small = append(k.small[:0], host...)
	return k.small
}

// contact gives each Contact of field i an address of ours. Display names go, and so do parameters that are not about the features of a
// phone.
func (k *Mask) contact(i int) {
	raw, value := k.msg.Raw, k.msg.Fields[i].Value
	k.value = k.value[:0]
	if b := value.Of(raw); len(b) > 2 && b[0] == '<' && bytes.IndexByte(b, '>') == len(b)-1 { // nearly always
		k.value = append(k.appendToken(append(k.value, '<'), b[1:len(b)-1]), '>')
		k.edit.Replace(i, k.value)
		return
	}
	for rest := value; rest.Present(); {
		a, after, err := sip.NextAddress(raw, rest)
		if err != nil {
			k.edit.Remove(i)
			return
		}
		if a.Star {
			return
		}
		rest = after
		if len(k.value) > 0 {
			k.value = append(k.value, ", "...)
		}
		k.value = append(k.value, '<')
		k.value = append(k.appendURI(k.value, a.URI), '>')
		k.value = AppendFeatures(k.value, raw, a.Params)
	}
	k.edit.Replace(i, k.value)
}

// appendURI appends our URI for the one at s.
func (k *Mask) appendURI(dst []byte, s sip.Span) []byte { return k.appendToken(dst, s.Of(k.msg.Raw)) }

// appendToken appends our URI for uri. Where that is secure, so is ours.
func (k *Mask) appendToken(dst, uri []byte) []byte {
	if dst = append(dst, "sip"...); len(uri) > 5 && sip.EqualFold(uri[:5], []byte("sips:")) {
		dst = append(dst, 's')
	}
	dst = k.appendKnown(append(dst, ':'), uri, k.leg)
	return append(append(dst, '@'), k.leg.Edge...)
}

// features are the Contact parameters that pass: those of RFC 3261 and the base feature tags of RFC 3840 whose values are no names.
var features = [...]string{"q", "expires", "isfocus", "audio", "video", "text", "data", "control", "application", "automata", "class", "duplex",
	"mobility", "actor", "priority", "methods", "events", "schemes", "extensions"}

// AppendFeatures appends those of the header parameters of a Contact that tell of the features of a phone and of no name.
func AppendFeatures(dst, raw []byte, params sip.Span) []byte {
	return appendParams(dst, raw, params, features[:])
}

// appendParams appends those parameters whose names are listed.
func appendParams(dst, raw []byte, params sip.Span, names []string) []byte {
	for rest := params; rest.Present(); {
		var name, value, whole sip.Span
		name, value, whole, rest = sip.NextParam(raw, rest)
		if value.Len() < 64 && listed(name.Of(raw), names) {
			dst = append(append(dst, ';'), whole.Of(raw)...)
		}
	}
	return dst
}

// only reports whether all parameters are among names.
func only(raw []byte, params sip.Span, names []string) bool {
	for rest := params; rest.Present(); {
		var name sip.Span
		if name, _, _, rest = sip.NextParam(raw, rest); !listed(name.Of(raw), names) {
			return false
		}
	}
	return true
}

func listed(name []byte, names []string) bool {
	for _, n := range names {
		if len(name) == len(n) && sip.EqualFold(name, []byte(n)) {
			return true
		}
	}
	return false
}

// Hidden returns where host and port of the URI at s stand in raw, if they may not be seen outside.
func (v *Veil) Hidden(raw []byte, s sip.Span) (at sip.Span, ok bool) {
	u, err := sip.ParseURI(raw, s)
	if err != nil || u.Scheme != sip.SIP && u.Scheme != sip.SIPS || v.shows(u.Host.Of(raw)) {
		return sip.Span{}, false
	}
	return HostPort(raw, &u), true
}

// HostPort is the span of host and port of a SIP URI.
func HostPort(raw []byte, u *sip.URI) sip.Span {
	at := u.Host
	if u.HasPort {
		for at.End++; at.End < u.Whole.End && '0' <= raw[at.End] && raw[at.End] <= '9'; at.End++ {
		}
	}
	return at
}
