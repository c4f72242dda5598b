package ban

import (
	"slices"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Foresee returns the ban that Add would put in force by the order of an operator, and changes nothing. The error is what Add would say, but that a
// book which is full is not looked at.
func (b *Book) Foresee(o Order, at time.Time) (Ban, error) {
	if err := o.check(); err != nil {
		return Ban{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if why, covered := b.view.Load().exempt.LookupPrefix(o.Source.Prefix); covered {
		return Ban{}, &ProtectedError{o.Source, why}
	}
	next := &entry{source: o.Source, first: at.UnixNano()}
	if e := b.entries[o.Source]; e != nil {
		next.first, next.offences = e.first, e.counted(at)
	}
	o.Evidence = nil // which the book would keep
	b.fill(next, &o, at)
	return next.ban(false), nil
}

// Liftable returns the bans that Lift of source would end.
func (b *Book) Liftable(source edge.Source, at time.Time) []Ban {
	return b.about(at, false, func(of edge.Source) bool { return lifts(source, of) })
}

// lifts reports whether Lift of source ends a ban of of.
func lifts(source, of edge.Source) bool {
	return source == of || source.Port == 0 && of.Port != 0 && source.Prefix.Contains(of.Prefix.Addr())
}

// Allowable returns the bans that Allow of source would end; the error is what Allow would say, but that a list which is full is not looked at.
func (b *Book) Allowable(source edge.Source, at time.Time) ([]Ban, error) {
	if err := checkAllowed(source); err != nil {
		return nil, err
	}
	return b.about(at, false, func(of edge.Source) bool {
		return source.Prefix.Bits() <= of.Prefix.Bits() && source.Prefix.Contains(of.Prefix.Addr())
	}), nil
}

// about returns the bans in force at now of which the source is one that match chooses, by address, with their messages if they are asked for.
func (b *Book) about(at time.Time, messages bool, match func(edge.Source) bool) (all []Ban) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if match(e.source) && e.active() && e.until.Load() > at.UnixNano() {
			all = append(all, e.ban(messages))
		}
	}
	slices.SortFunc(all, func(x, y Ban) int { return compareSources(x.Source, y.Source) })
	return all
}
