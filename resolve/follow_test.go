package resolve

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A script answers look-ups as a test says.
type script struct {
	mu     sync.Mutex
	answer map[string]Answer
	ttl    time.Duration
	asked  int
	told   int
	slow   map[string]time.Duration
}

func (s *script) lookup(ctx context.Context, q Query) ([]Target, time.Duration, error) {
	s.mu.Lock()
	s.asked++
	a, slow := s.answer[q.Host], s.slow[q.Host]
	s.mu.Unlock()
	time.Sleep(slow)
	return slices.Clone(a.Targets), s.ttl, a.Err
}

func (s *script) set(host string, err error, addrs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var a Answer
	for _, text := range addrs {
		a.Targets = append(a.Targets, Target{Addr: netip.MustParseAddrPort(text)})
	}
	a.Err = err
	s.answer[host] = a
}

func (s *script) tell(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told += n
}

// counts returns how many changes were told and look-ups made since the last time.
func (s *script) counts() (told, asked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	told, asked = s.told, s.asked
	s.told, s.asked = 0, 0
	return told, asked
}

// TestFollow: each name is looked up when its answer ends; a change is told once; what has no targets any more keeps those it had.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: map[string]Answer{}, ttl: time.Minute, slow: map[string]time.Duration{}}
		s.set("a", nil, "192.0.2.1:1", "192.0.2.2:1")
		f := NewFollower(s.lookup)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.Run(ctx, func(_ context.Context, c []Change) { s.tell(len(c)) })
		}()
		step := func(what string, wait time.Duration, changes, asked int) {
			t.Helper()
			s.counts()
			time.Sleep(wait)
			synctest.Wait()
			if c, n := s.counts(); c != changes || n != asked {
				t.Errorf("%s: %d changes, %d look-ups; want %d and %d", what, c, n, changes, asked)
			}
		}
		q := Query{Host: "a"}
		step("no names", time.Hour, 0, 0)
		if _, known := f.Answer(q); known {
			t.Error("what is not followed is known")
		}
		f.Set(q)
		step("the first time", time.Second, 1, 1)
		f.Set(q)
		step("the same names again", time.Second, 0, 0)
		s.set("a", nil, "192.0.2.2:1", "192.0.2.1:1")
		step("another order", time.Minute, 0, 1)
		s.set("a", nil, "192.0.2.3:1")
		step("a move", time.Minute, 1, 1)
		gone := errors.New("gone")
		s.set("a", gone)
		step("a failure", time.Minute, 1, 1)
		if now, _ := f.Answer(q); len(now.Targets) != 1 || now.Targets[0].Addr.String() != "192.0.2.3:1" || !errors.Is(now.Err, gone) {
			t.Errorf("after a failure: %+v", now)
		}
		step("the same failure", time.Hour, 0, 60)
		s.set("a", nil, "192.0.2.3:1")
		step("it works again", time.Minute, 1, 1)
		f.Set(Query{Host: "b"})
		s.set("b", nil, "192.0.2.9:1")
		step("another name", time.Second, 1, 1)
		if _, known := f.Answer(q); known {
			t.Error("what is not followed any more is known")
		}
		cancel()
		<-ended
	})
}

// TestFollowManySlow: names that cannot be looked up do not keep the others waiting for long.
func TestFollowManySlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: map[string]Answer{}, ttl: time.Minute, slow: map[string]time.Duration{}}
		f := NewFollower(s.lookup)
		var names []Query
		for i := range 4 * parallel {
			host := "dead" + string(rune('a'+i))
			s.slow[host] = 8 * time.Second
			s.set(host, errors.New("no answer"))
			names = append(names, Query{Host: host})
		}
		s.set("alive", nil, "192.0.2.1:1")
		names = append(names, Query{Host: "alive"})
		go f.Run(t.Context(), func(context.Context, []Change) {})
		f.Set(names...)
		time.Sleep(4*8*time.Second + time.Second)
		synctest.Wait()
		if now, _ := f.Answer(Query{Host: "alive"}); len(now.Targets) != 1 {
			t.Errorf("%+v", now)
		}
	})
}
