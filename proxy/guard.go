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
	GuardLog                // it is told and counted
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
		alone = m.Status/100 == 2 && m.CSeq.Method == sip.INVITE && single(m, sip.FieldRecordRoute)
	}
	if !alone || l.cfg.Path {
		return
	}
	if u, err := sip.ParseURI(m.Raw, firstURI(m, sip.FieldContact)); err == nil && u.Host.Present() {
		marks.Learn(u.Host.Of(m.Raw))
	}
}

// single reports whether m has one field with id, and one value in it.
func single(m *sip.Message, id sip.FieldID) bool {
	i := m.Find(id)
	return i >= 0 && m.Next(id, i) < 0 && bytes.IndexByte(m.Fields[i].Value.Of(m.Raw), ',') < 0
}

// mayLeave reports whether b, the request x as it goes on, may go where to says.
func (l *lane) mayLeave(x *edge.Exchange, b []byte, to *hop) bool {
	if l.cfg.Guard == GuardOff || to.flow.Side != edge.Outside {
		return true
	}
	return l.guard(x, b, l.own.tokened || to.uri != nil)
}

// mayReturn reports whether b, the response x as the client of a request gets it, may go there.
func (l *lane) mayReturn(x *edge.Exchange, b []byte, client edge.Flow) bool {
	if l.cfg.Guard == GuardOff || client.Side != edge.Outside || len(b) == 0 {
		return true
	}
	return l.guard(x, b, true)
}

// mostFound bounds how many marks of one message are looked into.
const mostFound = 64

// guard looks for marks in b, which leaves for outside, and reports whether it may. known: outside knows Request-URI, Call-ID, From and
// To already, for they are its own or those of a dialog.
func (l *lane) guard(x *edge.Exchange, b []byte, known bool) bool {
	at, end := l.cfg.Topology.Marks.Find(b, 0)
	if end == 0 {
		return true
	}
	if err := l.left.Parse(b, true); err != nil { // it is ours: never
		return l.leak(x, b[at:end], []byte("what can't be read"))
	}
	var counted [seen + 1]bool
	for n := 0; end > 0; n++ {
		what, where := l.meaning(at, known)
		if n == mostFound {
			what, where = leaks, []byte("more places than are looked into")
		}
		switch {
		case what == leaks:
			return l.leak(x, b[at:end], where)
		case what == exempt:
			l.noteExempt(at, b[at:end])
		}
		if what != seen && !counted[what] {
			counted[what] = true
			l.count.Refused(reasonOf[what])
		}
		at, end = l.cfg.Topology.Marks.Find(b, end)
	}
	return true
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
func (l *lane) meaning(at int, known bool) (finding, []byte) {
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
	if known && m.IsRequest() {
		return seen, nil
	}
	return leaks, []byte("the first line")
}

// meaningIn is meaning for a mark in field f.
func (l *lane) meaningIn(f *sip.Field, at int, known bool) finding {
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
		case known:
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
