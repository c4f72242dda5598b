package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
)

// Guard is what becomes of a message to outside that names the inside all the same.
type Guard uint8

// What the guard does.
const (
	GuardOff   Guard = iota // messages are not looked at
	GuardLog                // it is told and counted, and where the platform is hidden replaced if it stands in a field that passes
	GuardBlock              // it is told, counted, and the message does not leave
)

// marks are what names the inside, where anybody looks for it: as configured, and what was learnt so far.
func (p *Proxy) marks(cfg *Config, old *settings) *topo.Marks {
	if !cfg.Hide && cfg.Guard == GuardOff {
		return nil
	}
	nets, names := append([]netip.Prefix(nil), cfg.Sources...), []string(nil)
	single := func(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
	for _, u := range cfg.Upstreams {
		nets = append(nets, single(u.Addr.Addr()))
		if uri, err := sip.ParseURI([]byte(u.URI), sip.Span{End: uint32(len(u.URI))}); err == nil {
			if _, isAddr := sip.HostAddr(uri.Host.Of([]byte(u.URI))); !isAddr {
				names = append(names, string(uri.Host.Of([]byte(u.URI))))
			}
		}
	}
	hosts, shown := append([]string{cfg.Advertise, cfg.Topology.Domain}, cfg.Topology.Shown...), []netip.Addr(nil)
	for _, host := range cfg.Topology.Shown {
		if a, err := netip.ParseAddr(host); err == nil {
			shown = append(shown, a)
		}
	}
	for i := range p.faces {
		if f := &p.faces[i]; f.Side == edge.Inside {
			nets = append(nets, single(f.Addr.Addr()))
		} else {
			shown, hosts = append(shown, f.Addr.Addr()), append(hosts, f.name)
		}
	}
	var learnt *topo.Marks
	if old != nil {
		learnt = old.Topology.Marks
	}
	return topo.NewMarks(nets, names, shown, hosts, learnt)
}

// learn takes note of how the platform names itself: in the Via of who sent x, and in Contacts that it did not relay: of an INVITE with
// one Via, or of a 2xx to one that recorded no way but ours.
func (l *lane) learn(x *edge.Exchange) {
	m, marks := x.Msg, l.cfg.Topology.Marks
	var alone bool
	if m.IsRequest() {
		marks.Learn(m.Via.Host.Of(m.Raw))
		alone = m.Method == sip.INVITE && single(m, sip.FieldVia)
	} else {
		alone = m.Status/100 == 2 && m.CSeq.Method == sip.INVITE && !l.namesServer(m) && single(m, sip.FieldRecordRoute)
	}
	if !alone || l.cfg.Path {
		return
	}
	if u, err := sip.ParseURI(m.Raw, firstURI(m, sip.FieldContact)); err == nil && u.Host.Present() {
		marks.Learn(u.Host.Of(m.Raw))
	}
}

// namesServer reports whether m names a server of the pool in its Contact, as it usually does. The addresses of those are marks already.
func (l *lane) namesServer(m *sip.Message) bool {
	contact := m.Value(sip.FieldContact)
	for _, s := range l.cfg.servers {
		if s.named(contact) {
			return true
		}
	}
	return false
}

// single reports whether m has one field with id, and one value in it.
func single(m *sip.Message, id sip.FieldID) bool {
	i := m.Find(id)
	return i >= 0 && m.Next(id, i) < 0 && bytes.IndexByte(m.Fields[i].Value.Of(m.Raw), ',') < 0
}

// mayLeave reports whether b, the request x as it goes on, may go where to says, and returns it as it may.
func (l *lane) mayLeave(x *edge.Exchange, b []byte, to *hop) ([]byte, bool) {
	if l.cfg.Guard == GuardOff || to.flow.Side != edge.Outside {
		return b, true
	}
	return l.guard(x, b, knowledge{target: l.own.tokened || to.uri != nil, parties: l.own.tokened})
}

// mayReturn reports whether b, the response x as the client of a request gets it, may go there, and returns it as it may.
func (l *lane) mayReturn(x *edge.Exchange, b []byte, client edge.Flow) ([]byte, bool) {
	if l.cfg.Guard == GuardOff || client.Side != edge.Outside || len(b) == 0 {
		return b, true
	}
	return l.guard(x, b, knowledge{true, true})
}

// knowledge is what outside knows of a message already, for it is its own or that of a dialog.
type knowledge struct {
	target  bool // the Request-URI
	parties bool // Call-ID, and URIs in From and To
}

// mostFound bounds how many marks of one message are looked into.
const mostFound = 64

// guard looks for marks in b, which leaves for outside, and reports whether it may. Where the platform is hidden and nothing is kept back it puts the
// domain in the place of those that stand in fields which pass as they are.
func (l *lane) guard(x *edge.Exchange, b []byte, known knowledge) ([]byte, bool) {
	at, end := l.cfg.Topology.Marks.Find(b, 0)
	if end == 0 {
		return b, true
	}
	if err := l.left.Parse(b, true); err != nil { // it is ours: never
		return b, l.leak(x, b[at:end], []byte("what can't be read"))
	}
	var counted [seen + 1]bool
	l.redone = l.redone[:0]
	done := 0 // of b is in l.redone
	for n := 0; end > 0; n++ {
		what, where := l.meaning(at, known)
		if n == mostFound {
			what, where = leaks, []byte("more places than are looked into")
		} else if value := l.replaceable(at); what == leaks && value.Present() {
			l.replaced(x, b[at:end], where)
			l.redone = l.mask.Clean(append(l.redone, b[done:value.Start]...), value.Of(b))
			done, end, what = int(value.End), int(value.End), seen
		}
		switch {
		case what == leaks:
			may := l.leak(x, b[at:end], where)
			return l.withReplaced(b, done), may
		case what == exempt:
			l.noteExempt(at, b[at:end])
		}
		if what != seen && !counted[what] {
			counted[what] = true
			l.count.Refused(reasonOf[what])
		}
		at, end = l.cfg.Topology.Marks.Find(b, end)
	}
	return l.withReplaced(b, done), true
}

// withReplaced is b with l.redone in the place of its first done bytes.
func (l *lane) withReplaced(b []byte, done int) []byte {
	if done == 0 {
		return b
	}
	l.redone = append(l.redone, b[done:]...)
	return append(b[:0], l.redone...)
}

// replaced tells of a mark that is replaced.
func (l *lane) replaced(x *edge.Exchange, mark, where []byte) {
	l.mask.Veil = l.cfg.veil
	l.refuseSaying(x, edge.Verdict{Action: edge.Note, Reason: reasonLeak}, fmt.Sprintf("%.64s is replaced in %s", mark, where))
}

// replaceable is what may be rewritten around the mark at b[at] of l.left: of the Request-URI what stands behind its host, of From and To what stands
// before the tag, of other fields the value. It is nothing where the message would mean something else, where it is to be kept back, or where the
// platform is not hidden.
func (l *lane) replaceable(at int) (value sip.Span) {
	m := &l.left
	if !l.cfg.Hide || l.cfg.Guard != GuardLog {
		return value
	}
	if uri := &m.URI; m.IsRequest() && uri.Host.Present() && at >= int(uri.Host.End) && at < int(m.RequestURI.End) {
		return sip.Span{Start: topo.HostPort(m.Raw, uri).End, End: m.RequestURI.End}
	}
	for i := range m.Fields {
		f := &m.Fields[i]
		if at < int(f.Value.Start) || at >= int(f.Value.End) {
			continue
		}
		switch value = f.Value; f.ID {
		case sip.FieldVia, sip.FieldRoute, sip.FieldRecordRoute, sip.FieldContact, sip.FieldCallID, sip.FieldCSeq, sip.FieldReferTo, sip.FieldReplaces:
			return sip.Span{}
		case sip.FieldFrom:
			value = before(value, m.FromTag)
		case sip.FieldTo:
			value = before(value, m.ToTag)
		}
		return value
	}
	return sip.Span{}
}

// before is what of s stands before tag.
func before(s, tag sip.Span) sip.Span {
	if tag.Present() {
		s.End = tag.Start
	}
	return s
}

// leak tells of a mark in x, which is on its way to outside, and reports whether it may leave all the same.
func (l *lane) leak(x *edge.Exchange, mark, where []byte) bool {
	v := edge.Verdict{Action: edge.Note, Reason: reasonLeak}
	if l.cfg.Guard == GuardBlock {
		v.Action, v.Status = edge.Drop, 500
	}
	l.refuseSaying(x, v, fmt.Sprintf("%.64s leaves in %s", mark, where))
	return v.Action == edge.Note
}

// reasonOf are the reasons that findings are counted by.
var reasonOf = [...]edge.Reason{leaks: reasonLeak, inMedia: reasonMedia, exempt: reasonExempt}

// noteExempt notes that the platform's challenges or its tags name the inside, if the mark at b[at] of l.left is in one.
func (l *lane) noteExempt(at int, mark []byte) {
	m := &l.left
	for _, where := range [...]struct {
		id    sip.FieldID
		noted *atomic.Pointer[string]
	}{{sip.FieldWWWAuthenticate, &l.p.realm}, {sip.FieldProxyAuthenticate, &l.p.realm}, {sip.FieldFrom, &l.p.tag}, {sip.FieldTo, &l.p.tag}} {
		i := m.Find(where.id)
		if i >= 0 && at >= int(m.Fields[i].Line.Start) && at < int(m.Fields[i].Line.End) && where.noted.Load() == nil {
			text := string(mark)
			where.noted.Store(&text)
		}
	}
}

// A finding is what a mark in a message to outside means.
type finding uint8

const (
	leaks   finding = iota
	inMedia         // it is in a session description, and media is not relayed
	exempt          // it can't be replaced: a tag, or a field that a digest covers
	seen            // outside wrote it
)

// meaning tells what the mark at b[at] of l.left means, and where it stands.
func (l *lane) meaning(at int, known knowledge) (finding, []byte) {
	m := &l.left
	if at >= int(m.Body.Start) && m.Body.Present() {
		switch {
		case !inSession(m, at):
			return leaks, []byte("the body")
		case l.p.media != nil:
			return leaks, []byte("the session description")
		}
		return inMedia, nil
	}
	for i := range m.Fields {
		if f := &m.Fields[i]; at >= int(f.Line.Start) && at < int(f.Line.End) {
			return l.meaningIn(f, at, known), f.Name.Of(m.Raw)
		}
	}
	if known.target && m.IsRequest() {
		return seen, nil
	}
	return leaks, []byte("the first line")
}

// meaningIn is meaning for a mark in field f.
func (l *lane) meaningIn(f *sip.Field, at int, known knowledge) finding {
	m := &l.left
	within := func(s sip.Span) bool { return at >= int(s.Start) && at < int(s.End) }
	switch f.ID {
	case sip.FieldVia, sip.FieldRoute: // ours, the client's own, and what outside recorded
		return seen
	case sip.FieldRecordRoute:
		if l.cfg.Hide {
			return seen
		}
	case sip.FieldContact:
		if !m.IsRequest() && m.CSeq.Method == sip.REGISTER {
			return seen
		}
	case sip.FieldCallID, sip.FieldFrom, sip.FieldTo:
		switch {
		case !m.IsRequest() && within(m.ToTag): // the platform made it
			return exempt
		case known.parties && (!m.IsRequest() || f.ID == sip.FieldCallID || within(m.From.URI) || within(m.To.URI)): // its display names are new
			return seen
		case within(m.FromTag), within(m.ToTag):
			return exempt
		}
	case sip.FieldWWWAuthenticate, sip.FieldProxyAuthenticate, sip.FieldAuthenticationInfo, sip.FieldAuthorization, sip.FieldProxyAuthorization:
		return exempt
	}
	return leaks
}

// inSession reports whether m.Raw[at] is in a session description: its line has the form of one, and the body is one or has parts.
func inSession(m *sip.Message, at int) bool {
	contentType := m.Value(sip.FieldContentType)
	if n := len("application/sdp"); len(contentType) < n || !sip.Spells(contentType[:n], "application/sdp") {
		if n = len("multipart/"); len(contentType) < n || !sip.Spells(contentType[:n], "multipart/") {
			return false
		}
	}
	line := m.Raw[m.Body.Start:at]
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	return len(line) >= 2 && line[1] == '=' && 'a' <= line[0] && line[0] <= 'z'
}
