package media

import "net/netip"

// All dialogs of a forked INVITE know the same ports of ours, since they got the same offer. What keeps them apart is who is accepted there: the one
// that media flows by, and nobody whom another one named.

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
