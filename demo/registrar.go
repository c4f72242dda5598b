package demo

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// Expiry of registrations, seconds.
const (
	usualExpires = 3600 // asked for nothing, and the longest granted
	minExpires   = 10   // less gets 423
)

// A binding is one Contact of an account (RFC 3261 §10).
type binding struct {
	uri     string // compared byte for byte: phones and the edge repeat themselves
	params  string // of the Contact, but for expires: ";+sip.instance=…"
	to      hop
	callID  string
	cseq    uint32
	expires time.Time
}

// A wish is one Contact of a REGISTER.
type wish struct {
	uri     string
	params  string
	to      hop
	expires int // seconds, 0 to remove
}

// register serves REGISTER (RFC 3261 §10.3).
func (p *Platform) register(st *serverTx) {
	m := &st.req.Message
	a := p.admit(st, sip.FieldAuthorization, m.To)
	if a == nil {
		return
	}
	if required := tokens(m, sip.FieldRequire); len(required) > 0 {
		st.respond(420, unsupported(required))
		return
	}
	wishes, star, status := p.wishes(st.req)
	if status == 0 {
		status = p.update(a.User, m, wishes, star)
	}
	switch status {
	case 200:
		p.cfg.Log.Info("demo: registered", "user", a.User, "contacts", len(p.aors[a.User]), "from", st.req.from.addr)
		st.respond(200, p.contactFields(a.User)...)
	case 423:
		st.respond(423, sip.Header{Name: "Min-Expires", Value: strconv.AppendInt(nil, minExpires, 10)})
	default:
		st.respond(status)
	}
}

// wishes reads the Contacts of a REGISTER; star is `Contact: *`. status is 0 or the refusal.
func (p *Platform) wishes(r *request) (all []wish, star bool, status int) {
	m := &r.Message
	for i := m.Find(sip.FieldContact); i >= 0; i = m.Next(sip.FieldContact, i) {
		for rest := m.Fields[i].Value; rest.Len() > 0; {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil {
				return nil, false, 400
			}
			rest = after
			if a.Star {
				star = true
				continue
			}
			w, status := p.wish(r, &a)
			if status != 0 {
				return nil, false, status
			}
			all = append(all, w)
		}
	}
	if star && (len(all) > 0 || string(m.Value(sip.FieldExpires)) != "0") {
		return nil, false, 400
	}
	return all, star, 0
}

// wish reads one Contact. A Contact that points back at the platform would make it call itself.
func (p *Platform) wish(r *request, a *sip.Address) (wish, int) {
	uri, err := sip.ParseURI(r.Raw, a.URI)
	if err != nil {
		return wish{}, 400
	}
	to, ok := hopOf(r.Raw, &uri)
	if !ok || to.addr == p.addr {
		return wish{}, 403
	}
	w := wish{uri: string(a.URI.Of(r.Raw)), to: r.prefer(to), expires: usualExpires}
	asked := r.Value(sip.FieldExpires)
	for rest := a.Params; rest.Len() > 0; {
		var name, value, whole sip.Span
		name, value, whole, rest = sip.NextParam(r.Raw, rest)
		if strings.EqualFold(string(name.Of(r.Raw)), "expires") {
			asked = value.Of(r.Raw)
		} else {
			w.params += ";" + string(whole.Of(r.Raw))
		}
	}
	if n, err := strconv.ParseUint(string(asked), 10, 32); err == nil { // RFC 3261 §20.19: malformed is 3600
		w.expires = int(min(n, usualExpires))
	}
	if w.expires > 0 && w.expires < minExpires {
		return w, 423
	}
	return w, 0
}

// update changes the bindings of user as one step, or not at all, and returns the status to answer with.
func (p *Platform) update(user string, m *sip.Message, wishes []wish, star bool) int {
	now := time.Now()
	next := p.live(user, now)
	callID := string(m.CallID.Of(m.Raw))
	if star {
		for _, b := range next {
			wishes = append(wishes, wish{uri: b.uri})
		}
	}
	for _, w := range wishes {
		i := slices.IndexFunc(next, func(b binding) bool { return b.uri == w.uri })
		if i >= 0 && next[i].callID == callID && m.CSeq.Number <= next[i].cseq {
			return 500 // RFC 3261 §10.3 step 7: out of order
		}
		if i >= 0 {
			next = slices.Delete(next, i, i+1)
		}
		if w.expires > 0 {
			until := now.Add(time.Duration(w.expires) * time.Second)
			next = append(next, binding{w.uri, w.params, w.to, callID, m.CSeq.Number, until})
		}
	}
	if len(next) > maxContacts {
		return 403
	}
	p.aors[user] = next
	return 200
}

// live returns a copy of the bindings of user that have not expired.
func (p *Platform) live(user string, now time.Time) []binding {
	return slices.DeleteFunc(slices.Clone(p.aors[user]), func(b binding) bool { return !now.Before(b.expires) })
}

// contactFields lists all live Contacts of user for the 200 (RFC 3261 §10.3 step 8).
func (p *Platform) contactFields(user string) []sip.Header {
	now := time.Now()
	var fields []sip.Header
	for _, b := range p.live(user, now) {
		left := (b.expires.Sub(now) + time.Second - 1) / time.Second
		fields = append(fields, sip.Header{Name: "Contact", Value: fmt.Appendf(nil, "<%s>;expires=%d%s", b.uri, left, b.params)})
	}
	return fields
}

// contactsOf returns where the phones of user are.
func (p *Platform) contactsOf(user string) []target {
	var targets []target
	for _, b := range p.live(user, time.Now()) {
		targets = append(targets, target{uri: []byte(b.uri), to: b.to})
	}
	return targets
}
