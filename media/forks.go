package media

import (
	"net/netip"
	"slices"
)

// All dialogs of a forked INVITE know the same ports of ours, since they got the same offer. What keeps them apart is who is accepted there: the one
// that media flows by, and nobody whom another one named. If the INVITE had no offer each of them makes one, gets an answer, and has ports of its own.

// A fork is an answer to an offer: all dialogs of a forked INVITE answer the same one.
type fork struct {
	offer  *offer
	dialog uint64
	lines  []line
}

// others are the addresses that forks of other dialogs named for a line: answers to the INVITE that began the call.
func (l *lines) others(f *fork, line int) (list []netip.AddrPort) {
	if l.first == nil {
		return nil
	}
	own := &f.lines[line].ends[Callee].remote
	for _, o := range l.first.forks {
		if o.dialog == f.dialog || line >= len(o.lines) {
			continue
		}
		for _, a := range [...]netip.AddrPort{o.lines[line].ends[Callee].remote.RTP, o.lines[line].ends[Callee].remote.RTCP} {
			if a.IsValid() && a != own.RTP && a != own.RTCP {
				list = append(list, unmap(a))
			}
		}
	}
	return list
}

// fork is that of a dialog.
func (o *offer) fork(dialog uint64) *fork {
	for _, f := range o.forks {
		if f.dialog == dialog {
			return f
		}
	}
	f := &fork{offer: o, dialog: dialog}
	o.forks = append(o.forks, f)
	return f
}

// choose lets media flow by a fork, and by no other.
func (l *lines) choose(c chosen) {
	l.by = c.(*fork)
	l.renew(l.by)
	l.bar()
	l.follow(l.by.lines)
}

// bar keeps other forks out of the streams, which all of them know the same port of, whatever was agreed with the chosen one since.
func (l *lines) bar() {
	for i := range l.by.lines {
		if s := l.by.lines[i].stream; s != nil {
			s.Bar(Callee, l.others(l.by, i))
		}
	}
}

// base are the lines that an offer changes.
func (l *lines) base(m *described) []line {
	switch f := l.apart[m.dialog]; {
	case l.by != nil && l.by.dialog == m.dialog:
		return l.all
	case f != nil:
		return f.lines
	case m.forks:
		return nil
	}
	return l.all
}

// setApart notes that a dialog has the ports of f for itself.
func (l *lines) setApart(dialog uint64, f *fork) {
	if l.apart == nil {
		l.apart = map[uint64]*fork{}
	}
	l.apart[dialog] = f
}

// renew notes that media of f's dialog flows by f now, if that has ports of its own.
func (l *lines) renew(f *fork) {
	if l.apart[f.dialog] != nil {
		l.apart[f.dialog] = f
	}
}

// departed frees the ports that a dialog had for itself.
func (l *lines) departed(dialog uint64) {
	if f := l.apart[dialog]; f != nil && f == l.by {
		l.by, l.all = nil, nil
	}
	delete(l.apart, dialog)
	l.pending = slices.DeleteFunc(l.pending, func(o *offer) bool { return o.apart == dialog })
	l.freeUnused()
}
