package event

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// stuck is a writer that takes nothing until it is told to.
type stuck struct {
	free chan struct{}
	mu   sync.Mutex
	got  bytes.Buffer
	err  error
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.free
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	return s.got.Write(p)
}

// TestLinesNeverWait: a writer that takes nothing costs lines, and these are counted; what found room comes out whole and in order once it takes some again.
func TestLinesNeverWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{free: make(chan struct{})}
		l := NewLines(out)
		log := NewLogger(l, "text", slog.LevelInfo)
		log.Info("n", "i", 0)
		synctest.Wait() // that one is with the writer
		for i := 1; i <= mostLines+10; i++ {
			log.Info("n", "i", i)
		}
		if n := l.Lost(); n != 10 {
			t.Errorf("%d lines lost, want 10", n)
		}
		close(out.free)
		l.Close()
		l.Close()
		lines := strings.Split(strings.TrimSpace(out.got.String()), "\n")
		if len(lines) != mostLines+1 {
			t.Fatalf("%d lines written, want %d", len(lines), mostLines+1)
		}
		for i, line := range lines {
			if !strings.HasSuffix(line, fmt.Sprintf(" msg=n i=%d", i)) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
		log.Info("late")
		if n := l.Lost(); n != 11 {
			t.Errorf("%d lines lost after Close, want 11", n)
		}
	})
}

// TestLinesClose: Close does not wait for ever for a writer that never takes anything, and one that fails is no end.
func TestLinesClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{free: make(chan struct{}), err: errors.New("broken pipe")}
		l := NewLines(out)
		fmt.Fprintln(l, "one")
		fmt.Fprintln(l, "two")
		l.Close()
		if n := l.Lost(); n != 0 {
			t.Errorf("%d lines lost while the writer had said nothing", n)
		}
		close(out.free)
		synctest.Wait()
		if n := l.Lost(); n != 2 {
			t.Errorf("%d lines lost, want 2: each was tried", n)
		}
		if n := (*Lines)(nil).Lost(); n != 0 {
			t.Errorf("nil lost %d", n)
		}
	})
}
