package resolve

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of a Follower, so that a dead name does not keep others waiting: how many are looked up at the same time, and how long each may take.
const (
	parallel = 8
	patience = 30 * time.Second
)

// A Follower looks a changing set of names up again and again, each when its answer has ended, and tells what changed.
type Follower struct {
	lookup func(context.Context, Query) ([]Target, time.Duration, error)
	wake   chan struct{} // holds one: the set of names changed

	mu    sync.Mutex
	names map[Query]*followed
}

// A followed is what is known of one name.
type followed struct {
	answer Answer
	due    time.Time
}

// An Answer is where a name leads.
type Answer struct {
	Targets []Target // of the last look-up that found any, sorted: by priority, then address
	Err     error    // why the last look-up failed in whole or in part; nil: it did not
}

// A Change is an answer that differs from the one before it. Of a name that was just added, Was is empty.
type Change struct {
	Query    Query
	Was, Now Answer
}

// NewFollower returns a Follower of no names. lookup is a Resolver's Lookup, or acts like it.
func NewFollower(lookup func(context.Context, Query) ([]Target, time.Duration, error)) *Follower {
	return &Follower{lookup: lookup, wake: make(chan struct{}, 1), names: map[Query]*followed{}}
}

// Set makes queries the names that are followed. What is known of those that stay is kept; new ones are looked up at once.
func (f *Follower) Set(queries ...Query) {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make(map[Query]*followed, len(queries))
	for _, q := range queries {
		if names[q] = f.names[q]; names[q] == nil {
			names[q] = &followed{}
		}
	}
	f.names = names
	select {
	case f.wake <- struct{}{}:
	default: // Run will look anyway
	}
}

// Answer returns what is known of q; false if it is not followed or was not looked up yet.
func (f *Follower) Answer(q Query) (Answer, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.names[q]
	if one == nil || one.due.IsZero() {
		return Answer{}, false
	}
	return one.answer, true
}

// Run follows the names until ctx ends. It calls changed, one call at a time, when answers changed: other targets, or a look-up
// that fails, or fails for another reason, or works again. A name that has no targets any more keeps those it had.
func (f *Follower) Run(ctx context.Context, changed func(context.Context, []Change)) {
	for {
		due, wait := f.due(time.Now())
		if changes := f.look(ctx, due); len(changes) > 0 && ctx.Err() == nil {
			changed(ctx, changes)
		}
		if len(due) > 0 && ctx.Err() == nil {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-f.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// due returns the names to look up now, and if there are none, how long to wait.
func (f *Follower) due(now time.Time) (list []Query, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait = MaxTTL
	for q, one := range f.names {
		if left := one.due.Sub(now); left > 0 {
			wait = min(wait, left)
		} else {
			list = append(list, q)
		}
	}
	return list, wait
}

// look looks names up and returns the answers that changed.
func (f *Follower) look(ctx context.Context, names []Query) (changes []Change) {
	var all sync.WaitGroup
	var mu sync.Mutex
	free := make(chan struct{}, parallel)
	for _, q := range names {
		free <- struct{}{}
		all.Go(func() {
			limited, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			targets, ttl, err := f.lookup(limited, q)
			if ctx.Err() == nil {
				if c, is := f.learn(q, targets, ttl, err); is {
					mu.Lock()
					changes = append(changes, c)
					mu.Unlock()
				}
			}
			<-free
		})
	}
	all.Wait()
	return changes
}

// learn keeps the outcome of a look-up and reports whether it changed anything.
func (f *Follower) learn(q Query, targets []Target, ttl time.Duration, err error) (c Change, changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.names[q]
	if one == nil {
		return c, false // not followed any more
	}
	c = Change{q, one.answer, Answer{Sorted(targets), err}}
	if len(targets) == 0 {
		c.Now.Targets = c.Was.Targets
	}
	first := one.due.IsZero()
	one.answer, one.due = c.Now, time.Now().Add(max(ttl, time.Second))
	return c, first || !slices.Equal(c.Was.Targets, c.Now.Targets) || why(c.Was.Err) != why(err)
}

func why(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Sorted returns the targets in an order that does not depend on chance, so that equal answers are equal.
func Sorted(targets []Target) []Target {
	return slices.SortedFunc(slices.Values(targets), func(a, b Target) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), a.Addr.Compare(b.Addr), cmp.Compare(a.Transport, b.Transport),
			strings.Compare(a.Host, b.Host), cmp.Compare(a.Weight, b.Weight))
	})
}
