package proxy

import (
	"bytes"
	"strings"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// A treatment is what becomes of a header field from outside.
type treatment uint8

const (
	untouched treatment = iota
	removed
	plain    // its URIs lose the header fields that hide in them (RFC 3261 §19.1.1: "?name=value")
	referral // its URIs keep those of a transfer, and no other
)

// fieldRules are the treatments of all header fields, by what a field means and not by how it is spelled. They are made once for
// a configuration; asking them costs a table look-up for a field that sip knows, and a few comparisons for any other.
type fieldRules struct {
	known  [256]treatment // by sip.FieldID
	claims bool           // P- and X- fields are removed
	hint   uint64         // bit of hintOf for each of others
	others [64][]otherField
}

// An otherField is a field that sip does not know by name.
type otherField struct {
	name string
	treatment
}

// A headerPolicy holds the rules for what comes from outside.
type headerPolicy struct {
	requests, peerRequests, replies, peerReplies fieldRules
}

// claimed are the fields by which a platform's own servers tell each other who somebody is and who pays, besides those that
// begin with P-: Remote-Party-ID (draft-ietf-sip-privacy-04), Diversion (RFC 5806), History-Info (RFC 7044), Identity (RFC 8224, whose
// "info" would make the platform fetch what a stranger names; Identity-Info of RFC 4474 likewise), and those that 3GPP TS 24.229 adds to
// P-Asserted-Identity (RFC 3325), P-Charging-Vector and P-Access-Network-Info (RFC 7315). Privacy (RFC 3323) stays: it only asks for less.
var claimed = []string{"Remote-Party-ID", "RPID-Privacy", "Diversion", "CC-Diversion", "History-Info", "Identity", "Identity-Info",
	"Additional-Identity", "Attestation-Info", "Origination-Id", "Cellular-Network-Info", "Relayed-Charge"}

// ways are the fields that say which way requests of a dialog, or to a registered phone, are to go. A stranger says nothing of that;
// Route is dealt with by dropRoutes, Record-Route in responses by renameRoute.
var ways = []string{"Record-Route", "Path", "Service-Route"}

// challenges are the fields that ask for a password's digest, or follow one.
var challenges = []string{"WWW-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Proxy-Authentication-Info"}

// addressed are fields with URIs, which may hide header fields; see hidden for others.
var addressed = []string{"Contact", "Record-Route", "Path", "Service-Route", "Referred-By", "Reply-To", "Alert-Info", "Call-Info",
	"Error-Info"}

// newHeaderPolicy makes the rules that c asks for.
func newHeaderPolicy(c *Config) headerPolicy {
	var p headerPolicy
	for _, r := range []*fieldRules{&p.requests, &p.peerRequests, &p.replies, &p.peerReplies} {
		r.set(plain, addressed...)
		r.set(referral, "Refer-To")
	}
	for _, r := range []*fieldRules{&p.replies, &p.peerReplies} {
		r.set(untouched, "Record-Route")
	}
	for _, r := range []*fieldRules{&p.requests, &p.replies} {
		r.claims = true
		r.set(removed, claimed...)
		r.set(untouched, c.Allow...)
	}
	p.requests.set(removed, ways...)
	p.replies.set(removed, "Path", "Service-Route")
	p.replies.set(removed, challenges...)
	for _, r := range []*fieldRules{&p.requests, &p.peerRequests, &p.replies, &p.peerReplies} {
		r.set(removed, c.Remove...)
		if c.SourceHeader != "" {
			r.set(removed, c.SourceHeader)
		}
	}
	return p
}

// set gives fields a treatment.
func (r *fieldRules) set(t treatment, names ...string) {
	for _, name := range names {
		if id := sip.FieldOf([]byte(name)); id != sip.FieldOther {
			r.known[id] = t
			continue
		}
		h := hintOf([]byte(name))
		r.hint |= 1 << h
		r.others[h] = append([]otherField{{strings.ToLower(name), t}}, r.others[h]...) // the last word counts
	}
}

// hintOf is six bits of an unknown field's name, equal for all its spellings.
func hintOf(name []byte) byte { return ((name[0] | 0x20) + byte(5*len(name))) & 63 }

// unknown returns the treatment of a field that sip does not know by this name.
func (r *fieldRules) unknown(name []byte) treatment {
	if h := hintOf(name); r.hint>>h&1 == 1 {
		for i := range r.others[h] {
			if o := &r.others[h][i]; sip.Spells(name, o.name) {
				return o.treatment
			}
		}
	}
	if c := name[0] | 0x20; r.claims && len(name) > 1 && name[1] == '-' && (c == 'p' || c == 'x') {
		return removed
	}
	return untouched
}

// scrub adds to l.edit what the header policy says of m, which came from outside.
func (l *lane) scrub(m *sip.Message, r *fieldRules) {
	redirection := m.Status/100 == 3 // its Contact is what a Refer-To is to a REFER
	for i := range m.Fields {
		f := &m.Fields[i]
		t := r.known[f.ID]
		if f.ID == sip.FieldOther {
			t = r.unknown(f.Name.Of(m.Raw))
		}
		switch t {
		case untouched:
		case removed:
			l.edit.Remove(i)
		default:
			l.unhide(m, i, t == referral || redirection && f.ID == sip.FieldContact)
		}
	}
}

// scrubRequest does it for a request.
func (l *lane) scrubRequest(x *edge.Exchange) {
	switch {
	case x.From.Side == edge.Inside:
		l.scrubReferral(x.Msg, sip.FieldReferTo)
	case x.Trust == edge.Peer:
		l.scrub(x.Msg, &l.cfg.headers.peerRequests)
	default:
		l.scrub(x.Msg, &l.cfg.headers.requests)
	}
}

// scrubReply does it for a response.
func (l *lane) scrubReply(x *edge.Exchange) {
	switch {
	case x.From.Side == edge.Inside:
		if x.Msg.Status/100 == 3 {
			l.scrubReferral(x.Msg, sip.FieldContact)
		}
	case x.Trust == edge.Peer:
		l.scrub(x.Msg, &l.cfg.headers.peerReplies)
	default:
		l.scrub(x.Msg, &l.cfg.headers.replies)
	}
}

// scrubReferral leaves in the URIs of all fields with id only what a transfer needs.
func (l *lane) scrubReferral(m *sip.Message, id sip.FieldID) {
	for i := m.Find(id); i >= 0; i = m.Next(id, i) {
		l.unhide(m, i, true)
	}
}

// unhide takes header fields out of the URIs of field i. Those of a transfer may stay if keep says so. A field that can't be read goes
// as a whole.
func (l *lane) unhide(m *sip.Message, i int, keep bool) {
	value := m.Fields[i].Value
	if bytes.IndexByte(value.Of(m.Raw), '?') < 0 {
		return
	}
	l.value = l.value[:0]
	from := value.Start
	for rest := value; rest.Present(); {
		a, after, err := sip.NextAddress(m.Raw, rest)
		if err != nil {
			l.edit.Remove(i)
			return
		}
		rest = after
		uri, err := sip.ParseURI(m.Raw, a.URI)
		if err != nil || !uri.Headers.Present() {
			continue
		}
		l.value = append(l.value, m.Raw[from:uri.Headers.Start-1]...)
		if keep {
			l.value = appendTransfer(l.value, uri.Headers.Of(m.Raw))
		}
		from = uri.Headers.End
	}
	if from > value.Start {
		l.edit.Replace(i, append(l.value, m.Raw[from:value.End]...))
	}
}

// transfers are the header fields that the URI of a Refer-To or a redirection may carry: what attended transfer, pickup and joining
// need (RFC 3891, 3911, 4538, 3892, 3841).
var transfers = []string{"replaces", "join", "target-dialog", "in-reply-to", "referred-by", "require", "accept-contact"}

// appendTransfer appends of the headers part of a URI, without its "?", what may stay: as it was, and with a "?" before it.
func appendTransfer(dst, headers []byte) []byte {
	sep := byte('?')
	for one := range bytes.SplitSeq(headers, []byte{'&'}) {
		name, value, _ := bytes.Cut(one, []byte{'='})
		if mayTransfer(name) && printable(value) {
			dst = append(append(dst, sep), one...)
			sep = '&'
		}
	}
	return dst
}

// mayTransfer reports whether name, with escapes, is one of transfers.
func mayTransfer(name []byte) bool {
	var room [16]byte
	b := room[:0]
	for len(name) > 0 && len(b) < len(room) {
		var c byte
		c, name = unescape(name)
		b = append(b, c)
	}
	for _, t := range transfers {
		if len(name) == 0 && sip.Spells(b, t) {
			return true
		}
	}
	return false
}

// printable reports whether value holds no control byte, escaped ones included.
func printable(value []byte) bool {
	for len(value) > 0 {
		var c byte
		if c, value = unescape(value); c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// unescape takes one byte off b, which is not empty: an escape counts as what it stands for (RFC 3261 §25.1).
func unescape(b []byte) (byte, []byte) {
	if b[0] != '%' || len(b) < 3 {
		return b[0], b[1:]
	}
	return hex(b[1])<<4 | hex(b[2]), b[3:]
}

// hex is the value of a hexadecimal digit.
func hex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0x5f - 'A' + 10
}

// hidden reports whether URIs of m hide header fields where they can't be taken out: From, To and Request-URI stay byte-identical, and
// Route leads the way. Such a message is turned away (RFC 3261 §19.1.1, table 1 forbids them there).
func hidden(m *sip.Message) bool {
	if m.URI.Headers.Present() || m.ToURI.Headers.Present() || hides(m, m.From.URI) {
		return true
	}
	for i := m.Find(sip.FieldRoute); i >= 0; i = m.Next(sip.FieldRoute, i) {
		for rest := m.Fields[i].Value; bytes.IndexByte(rest.Of(m.Raw), '?') >= 0; {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil || hides(m, a.URI) {
				return true
			}
			rest = after
		}
	}
	return false
}

func hides(m *sip.Message, at sip.Span) bool {
	if bytes.IndexByte(at.Of(m.Raw), '?') < 0 {
		return false
	}
	uri, err := sip.ParseURI(m.Raw, at)
	return err != nil || uri.Headers.Present()
}
