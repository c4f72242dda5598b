package resolve

import (
	"context"
	"errors"
	"time"

	"github.com/miekg/dns"
)

// A question is the key of the cache.
type question struct {
	name string // canonical: lower case, with the last dot
	kind uint16 // dns.TypeA and so on
}

// An answer is what the DNS said. "There is none" is an answer, too.
type answer struct {
	records []dns.RR // of the kind asked for, wherever CNAMEs led; never written
	valid   bool     // an answer came, now or earlier
}

// An entry is an answer kept. While the DNS fails, failed says how, and the answer is the last good one.
type entry struct {
	answer answer
	failed error     // of the last look-up; nil: it worked
	until  time.Time // then it is looked up again
	used   time.Time // last
}

// get answers q from the cache, or else asks. One goroutine asks, others that want the same wait for it. left is how long the
// answer holds. With an error the answer is valid if there ever was one.
func (r *Resolver) get(ctx context.Context, q question) (a answer, left time.Duration, err error) {
	for {
		now := r.cfg.Now()
		r.mu.Lock()
		e, busy := r.cache[q], r.busy[q]
		if e != nil && now.Before(e.until) {
			e.used = now
			r.mu.Unlock()
			return e.answer, e.until.Sub(now), e.failed
		}
		if busy == nil {
			r.busy[q] = make(chan struct{})
			r.mu.Unlock()
			return r.ask(ctx, q)
		}
		r.mu.Unlock()
		select {
		case <-busy: // look again; if that goroutine gave up, this one asks
		case <-ctx.Done():
			return r.last(q), retryAfter, noTime(ctx, q)
		}
	}
}

// ask looks q up and keeps the outcome.
func (r *Resolver) ask(ctx context.Context, q question) (answer, time.Duration, error) {
	records, ttl, err := r.query(ctx, q)
	if err != nil && ctx.Err() != nil {
		err = noTime(ctx, q) // says nothing about the DNS: not kept
	}
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.busy[q])
	delete(r.busy, q)
	e := r.cache[q]
	switch {
	case err == nil:
		e = &entry{answer: answer{records, true}}
	case e == nil:
		e = &entry{failed: err}
	default:
		e = &entry{answer: e.answer, failed: err}
	}
	if err != nil {
		ttl = retryAfter
	}
	if ctx.Err() == nil || err == nil {
		e.until, e.used = now.Add(ttl), now
		r.keep(q, e)
	}
	return e.answer, ttl, err
}

// keep puts e into the cache. If it is full, the entry that was not used for the longest time goes. r.mu is held.
func (r *Resolver) keep(q question, e *entry) {
	if _, known := r.cache[q]; !known && len(r.cache) >= r.cfg.MaxEntries {
		var oldest question
		var at time.Time
		for k, old := range r.cache {
			if at.IsZero() || old.used.Before(at) {
				oldest, at = k, old.used
			}
		}
		delete(r.cache, oldest)
	}
	r.cache[q] = e
}

// last returns the last good answer to q, whatever its age.
func (r *Resolver) last(q question) (a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.cache[q]; e != nil {
		a = e.answer
	}
	return a
}

func noTime(ctx context.Context, q question) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return failure(q.name, "looking up the name %s got no answer in time", bare(q.name))
	}
	return ctx.Err()
}
