package event

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A Roster is a short list of who wants to be shown something. Who shows loads it without a lock; the zero Roster is empty.
type Roster[T comparable] struct {
	mu   sync.Mutex // serialises changes
	list atomic.Pointer[[]T]
}

// All returns who is on the list, nil if nobody is. It must not be changed.
func (r *Roster[T]) All() []T {
	if list := r.list.Load(); list != nil {
		return *list
	}
	return nil
}

// Join puts one on the list, and reports false where it has most entries already.
func (r *Roster[T]) Join(one T, most int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := r.All()
	if len(have) >= most {
		return false
	}
	next := append(slices.Clone(have), one)
	r.list.Store(&next)
	return true
}

// Leave takes one off the list, if it is there.
func (r *Roster[T]) Leave(one T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(r.All()), func(other T) bool { return other == one })
	if len(rest) == 0 {
		r.list.Store(nil)
		return
	}
	r.list.Store(&rest)
}
