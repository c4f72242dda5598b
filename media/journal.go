package media

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sdp"
	"github.com/ringwall/ringwall/state"
)

const (
	// journalVersion is the version of the journal's table.
	journalVersion = 1
	// rewritten is how often the row of a call is written at least, so that its age tells whether the call may still be there.
	rewritten = time.Hour
)

// A Journal writes what answered calls need to go on after a restart, however that came about, and brings it back: ports, addresses, who latched, and
// the dialogs that belong to a call. Media flows on without a word of signalling then, and BYE frees the ports.
type Journal struct {
	*state.Journal[uint64]
	calls          *Calls
	restored, left int
}

// A record is a call as the database has it.
type record struct {
	CallID, Caller, Callee string
	Other                  string `json:",omitempty"`
	Begun, Connected       time.Time
	Parties                [Ends]Party
	Dialogs                []uint64     // that were accepted; media flows by the first
	Legs                   []*[Ends]Leg `json:",omitempty"` // of each dialog; nil: they are not known
	Media                  keptLines
}

var (
	errAnchor = errors.New("open media journal: what relays this media keeps it by itself")
	errRecord = errors.New("the call makes no sense")
)

// OpenJournal makes the journal's table in db where it is missing, takes the calls up that were going on when the last process ended, and writes from then on
// what changes. Rows that can't be read, calls whose ports somebody else has and those that nothing was written of for CallsConfig.Life are left out. It must be
// called before c is used, and Close before the relay's, or the calls are ended for good. The error says so if c does not relay media by itself.
func OpenJournal(ctx context.Context, db *sql.DB, c *Calls, now time.Time, opts state.Options) (*Journal, error) {
	if _, ok := c.anchor().(keeper); !ok {
		return nil, errAnchor
	}
	s := &store{db, c}
	if err := s.Prepare(ctx); err != nil {
		return nil, fmt.Errorf("open media journal: %w", err)
	}
	j := &Journal{calls: c}
	if err := s.load(ctx, now, j); err != nil {
		return nil, fmt.Errorf("load calls: %w", err)
	}
	opts.What, opts.Most = "calls", c.cfg.Calls
	j.Journal = state.Start(db, s, opts)
	c.journal.Store(j)
	return j, nil
}

// Loaded returns how many calls OpenJournal took up, and how many rows it left out.
func (j *Journal) Loaded() (restored, left int) { return j.restored, j.left }

// Close stops the journal and writes the rest. The calls may be used on, without a journal. A second Close does nothing.
func (j *Journal) Close(ctx context.Context) error {
	j.calls.journal.CompareAndSwap(j, nil)
	return j.Journal.Close(ctx)
}

// changed notes for the journal that what is to be kept of c is another thing now, once until it is written. The lock is held.
func (c *session) changed() {
	if j := c.calls.journal.Load(); j != nil && !c.marked && !c.connected.IsZero() {
		c.marked = true
		j.Mark(c.id)
	}
}

// moved is changed if packets have changed where media comes from or goes to, or the row is old.
func (c *session) moved(now time.Time) {
	if c.calls.journal.Load() == nil {
		return
	}
	if place := c.anchor.(keeper).place(); place != c.place || now.Sub(c.written) >= rewritten {
		c.place, c.written = place, now
		c.changed()
	}
}

// record is c for the journal: a change from now on is to be marked again. False: there is nothing to keep.
func (c *session) record() (r record, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marked = false
	if c.ended || c.current == nil || !c.current.confirmed {
		return r, false
	}
	r = record{CallID: c.callID, Other: c.other, Caller: c.caller, Callee: c.callee, Begun: c.begun, Connected: c.connected, Parties: c.parties,
		Media: c.anchor.(keeper).keep(c.current.dialog)}
	r.add(c.current)
	for _, b := range c.branches {
		if b.confirmed && b != c.current {
			r.add(b)
		}
	}
	return r, true
}

// add notes a dialog.
func (r *record) add(b *branch) {
	r.Dialogs = append(r.Dialogs, b.dialog)
	legs, known := b.legs.both()
	if !known {
		r.Legs = append(r.Legs, nil)
		return
	}
	r.Legs = append(r.Legs, &legs)
}

// sound reports whether r can be what was written.
func (r *record) sound() bool {
	if len(r.Dialogs) == 0 || len(r.Dialogs) > mostBranches || r.Dialogs[0] == 0 || r.Connected.IsZero() {
		return false
	}
	for e := range r.Parties {
		if p := &r.Parties[e]; p.Trust > edge.Peer || p.Flow.Side > edge.Inside || p.Flow.Transport >= edge.Transports {
			return false
		}
		for i := range r.Media.Lines {
			ln := &r.Media.Lines[i]
			if ln.Ends[e].Direction > sdp.Inactive || ln.Stream.Spec.Ends[e].Side > edge.Inside || ln.Stream.Ends[e].Remote.Latch > Any {
				return false
			}
		}
	}
	return true
}

// restore takes a call up.
func (c *Calls) restore(id uint64, r *record, now time.Time) error {
	if !r.sound() || len(c.calls) >= c.cfg.Calls || c.calls[id] != nil {
		return errRecord
	}
	one := &session{calls: c, id: id, callID: r.CallID, other: r.Other, caller: r.Caller, callee: r.Callee, begun: r.Begun, connected: r.Connected, heardOf: now,
		parties: r.Parties, anchor: c.anchor()}
	for e := range one.parties {
		one.parties[e].Flow.Conn = 0 // it went with the process
	}
	if err := one.anchor.(keeper).restore(r.Dialogs[0], &r.Media); err != nil {
		return err
	}
	c.calls[id] = one
	for i, dialog := range r.Dialogs {
		b := one.join(dialog)
		if b == nil {
			continue
		}
		if b.confirmed = true; i >= len(r.Legs) || r.Legs[i] == nil {
			continue
		}
		for e, g := range r.Legs[i] {
			g.Flow.Conn = 0
			b.legs.keep(End(e), g)
		}
	}
	one.current = one.branch(r.Dialogs[0])
	return nil
}

// A store is the calls as state.Journal sees them.
type store struct {
	db    *sql.DB
	calls *Calls
}

// Prepare makes the journal's table.
func (s *store) Prepare(ctx context.Context) error {
	return state.Prepare(ctx, s.db, "media", journalVersion,
		`CREATE TABLE IF NOT EXISTS media_call (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, record TEXT NOT NULL) STRICT`)
}

// Begin prepares writing in one transaction.
func (s *store) Begin(ctx context.Context, tx *sql.Tx) (func(uint64) error, error) {
	put, err := tx.PrepareContext(ctx, `INSERT OR REPLACE INTO media_call VALUES (?, ?, ?)`)
	if err != nil {
		return nil, err
	}
	drop, err := tx.PrepareContext(ctx, `DELETE FROM media_call WHERE id = ?`)
	if err != nil {
		return nil, err
	}
	return func(id uint64) error {
		var r record
		one, found := s.calls.call(id)
		if found {
			r, found = one.record()
		}
		if !found {
			_, err := drop.ExecContext(ctx, int64(id))
			return err
		}
		text, err := json.Marshal(r)
		if err == nil {
			_, err = put.ExecContext(ctx, int64(id), time.Now().UnixMilli(), string(text))
		}
		return err
	}, nil
}

// call finds a call by its number.
func (c *Calls) call(id uint64) (*session, bool) {
	c.all.Lock()
	defer c.all.Unlock()
	one, found := c.calls[id]
	return one, found
}

// Clear deletes every row.
func (s *store) Clear(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM media_call`)
	return err
}

// Keys yields every call.
func (s *store) Keys() iter.Seq[uint64] {
	all := s.calls.list()
	return func(yield func(uint64) bool) {
		for _, one := range all {
			if !yield(one.id) {
				return
			}
		}
	}
}

// load takes up what is in the database, and deletes the rows that it leaves out.
func (s *store) load(ctx context.Context, now time.Time, j *Journal) error {
	var last uint64
	gone, err := s.read(ctx, func(id uint64, at time.Time, text []byte) bool {
		var r record
		last = max(last, id)
		if now.Sub(at) >= s.calls.cfg.Life || json.Unmarshal(text, &r) != nil || s.calls.restore(id, &r, now) != nil {
			j.left++
			return false
		}
		j.restored++
		return true
	})
	if err != nil {
		return err
	}
	s.calls.next.Store(last)
	for _, id := range gone {
		if _, err := s.db.ExecContext(ctx, `DELETE FROM media_call WHERE id = ?`, int64(id)); err != nil {
			return err
		}
	}
	return nil
}

// read calls f for every row, and returns the numbers of those that f has no use for.
func (s *store) read(ctx context.Context, f func(id uint64, at time.Time, text []byte) bool) (gone []uint64, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, at, record FROM media_call ORDER BY at DESC`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, at int64
		var text []byte
		if err := rows.Scan(&id, &at, &text); err != nil {
			return nil, err
		}
		if !f(uint64(id), time.UnixMilli(at), text) {
			gone = append(gone, uint64(id))
		}
	}
	return gone, rows.Err()
}
