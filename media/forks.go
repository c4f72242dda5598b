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

// others are the addresses that other forks named for a line.
func (f *fork) others(line int) (list []netip.AddrPort) {
	end := f.offer.from.Other()
	own := &f.lines[line].ends[end].remote
	for _, o := range f.offer.forks {
		for _, a := range [...]netip.AddrPort{o.lines[line].ends[end].remote.RTP, o.lines[line].ends[end].remote.RTCP} {
			if o != f && a.IsValid() && a != own.RTP && a != own.RTCP {
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
	l.by.bar()
	l.follow(l.by.lines)
}

// bar keeps other forks out of the streams, which all of them know the same port of.
func (f *fork) bar() {
	for i := range f.lines {
		if s := f.lines[i].stream; s != nil {
			s.Bar(f.offer.from.Other(), f.others(i))
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
