package transport

import (
	"container/list"
	"errors"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// When strangers fill the table, a newcomer takes the place of one of them: refusing would shut honest callers out for as long as an
// attacker keeps quiet connections open. Who has brought no whole message goes first; among those, and then among the others, who has most
// siblings from its own source; among equals the oldest, or quietest.

var (
	errEvicted = errors.New("connection closed to make room for another")
	errReading = errors.New("connection closed: too many unfinished messages")
)

const (
	// looks bounds how many connections are compared to find one that can go.
	looks = 16
	// reliefEvery is how often strangers are sent away while memory is scarce.
	reliefEvery = 250 * time.Millisecond
)

// A crowd knows the accepted connections in the order in which they are looked at when one must go. Who is exempt is found out only then.
type crowd struct {
	silent  list.List // no whole message has come yet, oldest first
	spoken  list.List // all others, in the order in which they came or were last looked at
	reading list.List // those that an unfinished message makes hold more than firstBuffer, oldest message first
	bytes   int       // that those in reading hold beyond firstBuffer
}

// A place is a connection's in the crowd. The table guards it.
type place struct {
	in      *list.List // silent or spoken; nil: it is in none
	at      *list.Element
	reading *list.Element
	held    int // bytes
}

func (w *crowd) put(c *conn, in *list.List) {
	w.take(c)
	c.place.in, c.place.at = in, in.PushBack(c)
}

func (w *crowd) take(c *conn) {
	if c.place.in != nil {
		c.place.in.Remove(c.place.at)
		c.place.in = nil
	}
}

// hold notes that c's unfinished message takes n bytes beyond firstBuffer.
func (w *crowd) hold(c *conn, n int) {
	w.bytes += n - c.place.held
	c.place.held = n
	switch {
	case n > 0 && c.place.reading == nil:
		c.place.reading = w.reading.PushBack(c)
	case n == 0 && c.place.reading != nil:
		w.reading.Remove(c.place.reading)
		c.place.reading = nil
	}
}

// enter puts an accepted connection among those that have not spoken.
func (t *connTable) enter(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !c.removed {
		t.crowd.put(c, &t.crowd.silent)
	}
}

// spoke notes that c has brought a whole message.
func (t *connTable) spoke(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.place.in == &t.crowd.silent {
		t.crowd.put(c, &t.crowd.spoken)
	}
}

// A candidate is a connection that might go.
type candidate struct {
	*conn
	siblings int   // connections of its source
	active   int64 // when something last came or went
}

// before reports whether c is to go rather than o, which was looked at before it.
func (c *candidate) before(o *candidate, silent bool) bool {
	switch {
	case o.conn == nil:
		return true
	case c.siblings != o.siblings:
		return c.siblings > o.siblings
	}
	return !silent && c.active < o.active // of silent ones the older one is looked at first
}

// candidates appends the next connections of one list, looks at most, and puts them behind the others.
func (t *connTable) candidates(dst []candidate, in *list.List) []candidate {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range min(looks, in.Len()) {
		c := in.Front().Value.(*conn)
		in.MoveToBack(c.place.at)
		dst = append(dst, candidate{c, t.sources[sourceOf(c.flow.Remote.Addr())], c.active.Load()})
	}
	return dst
}

// evict closes a connection that can be spared; false: there is none.
func (s *Server) evict() bool {
	victim := s.spare(&s.conns.crowd.silent, true)
	if victim == nil {
		victim = s.spare(&s.conns.crowd.spoken, false)
	}
	if victim == nil {
		return false
	}
	s.count.evicted.Add(1)
	victim.abort(errEvicted)
	return true
}

// spare finds the connection of a list that can be spared best, nil if all that are looked at are kept.
func (s *Server) spare(in *list.List, silent bool) *conn {
	var room [looks]candidate
	var victim candidate
	for _, c := range s.conns.candidates(room[:0], in) {
		if c.before(&victim, silent) && !s.keeps(c.conn) {
			victim = c
		}
	}
	return victim.conn
}

// abort closes c and lets the kernel forget it at once.
func (c *conn) abort(why error) {
	c.mu.Lock()
	tcp := c.tcp
	c.mu.Unlock()
	if tcp != nil {
		_ = tcp.SetLinger(0)
	}
	c.close(why)
}

// strangersShare is how many connections there may be for one more of a stranger to be taken without another going, of most.
func strangersShare(most int, p edge.Pressure) int {
	switch {
	case most == 1:
		return most
	case p == edge.Calm:
		return most - max(1, most/8)
	}
	return max(1, most>>(2*p)) // a quarter, a 16th, a 64th
}

// mayHold reports whether the unfinished message of c may take n bytes of buffer, and makes room for it where others have been at theirs
// for longer. Those of connections that are kept are not counted.
func (s *Server) mayHold(c *conn, n int) bool {
	n -= firstBuffer
	if s.keeps(c) {
		n = 0
	}
	for {
		slowest := s.conns.hold(c, n, s.cfg.ReadBytes)
		switch {
		case slowest == nil:
			return true
		case s.keeps(slowest): // it has registered meanwhile
			s.conns.hold(slowest, 0, s.cfg.ReadBytes)
			continue
		}
		s.count.evicted.Add(1)
		if slowest == c {
			return false
		}
		slowest.abort(errReading)
		s.conns.hold(slowest, 0, s.cfg.ReadBytes) // another may be closing it, and not be done
	}
}

// hold notes that c holds n bytes, and returns the connection with the oldest unfinished message if all of them hold more than most.
func (t *connTable) hold(c *conn, n, most int) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !c.removed {
		t.crowd.hold(c, n)
	}
	if t.crowd.bytes <= most {
		return nil
	}
	return t.crowd.reading.Front().Value.(*conn)
}

// relieve closes connections that have brought nothing while memory is scarce, until strangers keep to their share.
func (s *Server) relieve() {
	look := time.NewTicker(reliefEvery)
	defer look.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-look.C:
			if p := s.Pressure(); p >= edge.Scarce {
				for s.conns.silentOver(strangersShare(s.cfg.Connections, p)) && s.evict() {
				}
			}
		}
	}
}

// silentOver reports whether there are more than most connections, and some of them have brought nothing.
func (t *connTable) silentOver(most int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count > most && t.crowd.silent.Len() > 0
}

// Pressure is what Config.Pressure says.
func (s *Server) Pressure() edge.Pressure { return s.cfg.Pressure() }
