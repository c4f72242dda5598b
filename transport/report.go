package transport

import (
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
)

const (
	noticeQueue = 1024
	// noticeBytes is how much of an undelivered message is kept: its start line and first fields.
	noticeBytes = 4 << 10
	// logEvery spaces log lines that hostile input could cause.
	logEvery = time.Second
	// restPause is how long a goroutine that panicked rests before it goes on.
	restPause = 100 * time.Millisecond
)

// A notice waits to be told to a Lane by Undelivered, or without an error by Broken.
type notice struct {
	sent []byte
	to   edge.Flow
	err  error
}

// undelivered hands a failure, or without an error what Broken tells, to the reporter. It never blocks and may be called with any lock held, from any goroutine.
func (s *Server) undelivered(sent []byte, to edge.Flow, err error) {
	if len(s.notices) == cap(s.notices) {
		s.count.droppedUndeliver.Add(1) // before the copy is made
		return
	}
	n := notice{append([]byte(nil), sent[:min(len(sent), noticeBytes)]...), to, err}
	select {
	case s.notices <- n:
	default:
		s.count.droppedUndeliver.Add(1)
	}
}

// report is the goroutine that tells failures, so that no Lane is called while it is in the middle of a message.
func (s *Server) report(o *Out, lane Lane) {
	for {
		select {
		case n := <-s.notices:
			s.Guarded(func(at time.Time) {
				if n.err == nil {
					lane.Broken(n.to, at)
				} else {
					lane.Undelivered(n.sent, n.to, n.err, at)
				}
			})
			o.Flush()
		case <-s.ctx.Done():
			return
		}
	}
}

// receive gives one message to a lane and returns what it says of the framing; a panic in it costs that message only.
func (s *Server) receive(lane Lane, b []byte, from edge.Flow, at time.Time) error {
	defer s.recovered(at)
	return lane.Receive(b, from, at)
}

// Guarded calls f with the present time; a panic in it is counted and logged, and ends f only.
func (s *Server) Guarded(f func(at time.Time)) {
	at := time.Now()
	defer s.recovered(at)
	f(at)
}

// recovered is deferred around everything a Lane does.
func (s *Server) recovered(at time.Time) {
	s.recoveredFrom(recover(), at)
}

func (s *Server) recoveredFrom(p any, at time.Time) {
	if p == nil {
		return
	}
	s.count.droppedPanic.Add(1)
	if s.panicLog.allow(at) {
		s.cfg.Log.Error("handling a message panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	}
}

// survived runs f and reports whether it ended by itself; a panic in it is counted and logged.
func (s *Server) survived(f func()) (ended bool) {
	defer func() {
		if !ended {
			s.recoveredFrom(recover(), time.Now())
		}
	}()
	f()
	return true
}

// lasting is f, begun anew should it panic, until s is closed.
func (s *Server) lasting(f func()) func() {
	return func() {
		for !s.survived(f) && s.ctx.Err() == nil {
			time.Sleep(restPause)
		}
	}
}

// A spacer lets one thing through per logEvery.
type spacer struct{ last atomic.Int64 }

func (l *spacer) allow(at time.Time) bool {
	now, last := at.UnixNano(), l.last.Load()
	return now-last >= int64(logEvery) && l.last.CompareAndSwap(last, now)
}
