package event

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of Lines.
const (
	mostLines = 4096        // lines that may wait
	lastWords = time.Second // how long Close waits for a reader that takes nothing
)

// Lines writes what loggers write to it to another writer, in a goroutine of its own: whoever logs never waits. A writer that takes nothing (a pipe
// whose reader stands still, a terminal that was told to stop) costs lines, never service; one that fails is tried again with the next line.
type Lines struct {
	out     io.Writer
	waiting chan []byte
	lost    atomic.Uint64
	written chan struct{} // closed when nothing waits any more after Close

	mu     sync.RWMutex
	closed bool // guarded by mu; nothing is put into waiting after it is set
}

// NewLines begins to write to out; Close ends that.
func NewLines(out io.Writer) *Lines {
	l := &Lines{out: out, waiting: make(chan []byte, mostLines), written: make(chan struct{})}
	go l.run()
	return l
}

// Write takes one line and returns at once. The line is copied. There is never an error: a line that finds no room is counted.
func (l *Lines) Write(line []byte) (int, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		l.lost.Add(1)
		return len(line), nil
	}
	select {
	case l.waiting <- bytes.Clone(line):
	default:
		l.lost.Add(1)
	}
	return len(line), nil
}

func (l *Lines) run() {
	defer close(l.written)
	for line := range l.waiting {
		if _, err := l.out.Write(line); err != nil {
			l.lost.Add(1)
		}
	}
}

// Lost is how many lines were not written. A nil Lines lost none.
func (l *Lines) Lost() uint64 {
	if l == nil {
		return 0
	}
	return l.lost.Load()
}

// Close waits until all lines are written, for a second at most, and takes none any more. The goroutine of a writer that never returns stays.
func (l *Lines) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	close(l.waiting)
	l.mu.Unlock()
	select {
	case <-l.written:
	case <-time.After(lastWords):
	}
}
