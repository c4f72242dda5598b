package binding

import (
	"slices"
	"strings"
	"time"
)

// Of returns the live bindings of a user, who is written as user@host (the host in lower case) or as user alone: then of that user in every
// domain. It looks at every binding there is: it is for operators.
func (t *Table) Of(user string, now time.Time) (list []Binding) {
	at := t.clock.at(now).UnixNano()
	for i := range t.shards {
		list = t.shards[i].of(list, user, at)
	}
	for i := range list {
		list[i].Expires = t.clock.when(list[i].Expires.UnixNano(), now)
	}
	slices.SortFunc(list, func(a, b Binding) int { return a.Expires.Compare(b.Expires) })
	return list
}

// of appends those of one shard.
func (s *shard) of(list []Binding, user string, at int64) []Binding {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.entries {
		e := &s.entries[i]
		rest, found := strings.CutPrefix(e.aor(), user)
		if found && (rest == "" || rest[0] == '@') && e.expires > at {
			list = append(list, e.binding())
		}
	}
	return list
}
