package ban

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/state"
)

// journalVersion is the version of the journal's tables.
const journalVersion = 1

// A row names what the journal writes: the entry of a source in the book, or on the allow list.
type row struct {
	source edge.Source
	allow  bool
}

// A Journal writes the changes of a Book to a database and brings them back at the next start, as state.Journal does. How often a
// ban was hit since is lost with the process.
type Journal struct {
	*state.Journal[row]
	book           *Book
	restored, left int
}

// OpenJournal creates the journal's tables in db where they are missing, loads the bans that are in force at now, the offenders that
// are still remembered and the allow list into b, and from then on writes what changes. Config.Changed is told nothing of what is
// loaded. Call it before b is used, and Close it before db.
func OpenJournal(ctx context.Context, db *sql.DB, b *Book, now time.Time, opts state.Options) (*Journal, error) {
	s := &store{db, b}
	if err := s.Prepare(ctx); err != nil {
		return nil, fmt.Errorf("open ban journal: %w", err)
	}
	j := &Journal{book: b}
	if err := s.load(ctx, now, j); err != nil {
		return nil, fmt.Errorf("load bans: %w", err)
	}
	opts.What, opts.Most = "bans", b.cfg.Max
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.journal != nil {
		return nil, errors.New("open ban journal: the book has one already")
	}
	j.Journal = state.Start(db, s, opts)
	b.journal = j
	return j, nil
}

// Loaded returns how many entries OpenJournal brought back, and how many rows it left out because they cannot be read or there is no
// room for them.
func (j *Journal) Loaded() (restored, left int) { return j.restored, j.left }

// Close stops the journal and writes the rest. The book may be used on, without a journal. A second Close does nothing.
func (j *Journal) Close(ctx context.Context) error {
	j.book.mu.Lock()
	if j.book.journal == j {
		j.book.journal = nil
	}
	j.book.mu.Unlock()
	return j.Journal.Close(ctx)
}

// mark notes that e differs from what is on the disk, once until the journal has read it. The lock is held.
func (b *Book) mark(e *entry) {
	if b.journal != nil && !e.marked {
		e.marked = true
		b.journal.Mark(row{e.source, false})
	}
}

// markAllow notes that the allow list changed.
func (b *Book) markAllow(source edge.Source) {
	if b.journal != nil {
		b.journal.Mark(row{source, true})
	}
}

// A store is the book as state.Journal sees it.
type store struct {
	db   *sql.DB
	book *Book
}

// Prepare makes the journal's tables.
func (s *store) Prepare(ctx context.Context) error {
	return state.Prepare(ctx, s.db, "ban", journalVersion,
		`CREATE TABLE IF NOT EXISTS ban (source TEXT PRIMARY KEY, until INTEGER NOT NULL, record TEXT NOT NULL) STRICT, WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS ban_allow (source TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID`)
}

// record is an entry as the database has it.
type record struct {
	Ban
	Freed time.Time `json:"freed,omitzero"` // when the ban ended; zero: it is in force
}

// Begin prepares writing in one transaction.
func (s *store) Begin(ctx context.Context, tx *sql.Tx) (func(row) error, error) {
	var statements [4]*sql.Stmt
	for i, text := range [...]string{
		`INSERT OR REPLACE INTO ban VALUES (?, ?, ?)`, `DELETE FROM ban WHERE source = ?`,
		`INSERT OR REPLACE INTO ban_allow VALUES (?, ?)`, `DELETE FROM ban_allow WHERE source = ?`,
	} {
		var err error
		if statements[i], err = tx.PrepareContext(ctx, text); err != nil {
			return nil, err
		}
	}
	return func(r row) error {
		name := r.source.String()
		if r.allow {
			a, found := s.book.allowedAt(r.source)
			return write(ctx, statements[2:], found, a, name)
		}
		rec, found := s.book.record(r.source)
		return write(ctx, statements[:2], found, rec, name, rec.Until.UnixMilli())
	}, nil
}

// write puts v in its row by the first statement, after values, or deletes the row by the second.
func write(ctx context.Context, by []*sql.Stmt, found bool, v any, values ...any) error {
	if !found {
		_, err := by[1].ExecContext(ctx, values[0])
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = by[0].ExecContext(ctx, append(values, string(text))...)
	return err
}

// record returns the entry of source for the journal: a change from now on is to be marked again.
func (b *Book) record(source edge.Source) (record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[source]
	if e == nil {
		return record{}, false
	}
	e.marked = false
	r := record{Ban: e.ban(true)}
	if !e.active() {
		r.Freed = time.Unix(0, e.freed)
	}
	return r, true
}

func (b *Book) allowedAt(source edge.Source) (Allowed, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, found := b.allowed[source.Prefix]
	return a, found
}

// Clear deletes every row.
func (s *store) Clear(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM ban`)
	if err == nil {
		_, err = tx.ExecContext(ctx, `DELETE FROM ban_allow`)
	}
	return err
}

// Keys yields every row.
func (s *store) Keys() iter.Seq[row] {
	b := s.book
	b.mu.Lock()
	rows := make([]row, 0, len(b.entries)+len(b.allowed))
	for source := range b.entries {
		rows = append(rows, row{source, false})
	}
	for _, a := range b.allowed {
		rows = append(rows, row{a.Source, true})
	}
	b.mu.Unlock()
	return func(yield func(row) bool) {
		for _, r := range rows {
			if !yield(r) {
				return
			}
		}
	}
}

// load brings back what is in the database.
func (s *store) load(ctx context.Context, now time.Time, j *Journal) error {
	err := each(ctx, s.db, `SELECT record FROM ban_allow`, func(text []byte) {
		var a Allowed
		if json.Unmarshal(text, &a) != nil || !a.Source.Prefix.IsValid() || a.Source.Port != 0 || len(s.book.allowed) >= maxAllowed {
			j.left++
			return
		}
		s.book.mu.Lock()
		s.book.allowed[a.Source.Prefix] = a
		s.book.mu.Unlock()
		j.restored++
	})
	if err != nil {
		return err
	}
	s.book.mu.Lock()
	s.book.exempted(now)
	s.book.mu.Unlock()
	return each(ctx, s.db, `SELECT record FROM ban ORDER BY until DESC`, func(text []byte) {
		var r record
		if json.Unmarshal(text, &r) != nil || !s.book.restore(&r, now) {
			j.left++
			return
		}
		j.restored++
	})
}

// each calls f for every row that query finds.
func each(ctx context.Context, db *sql.DB, query string, f func([]byte)) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text []byte
		if err := rows.Scan(&text); err != nil {
			return err
		}
		f(text)
	}
	return rows.Err()
}

// restore puts an entry back; false: it makes no sense, or there is no room.
func (b *Book) restore(r *record, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.settle(now, max(b.cfg.Longest, longestBan))
	o := Order{Ban: edge.Ban{Source: r.Source, Hard: r.Hard, Reason: r.Reason}, By: r.By}
	if o.check() != nil || b.entries[r.Source] != nil || len(b.entries) >= b.cfg.Max {
		return false
	}
	e := &entry{source: r.Source, by: r.By, hard: r.Hard, reason: r.Reason, text: words(r.Text), score: r.Score,
		parts: r.Parts[:min(len(r.Parts), maxParts)], first: r.First.UnixNano(), offences: min(r.Offences, most), messages: nil}
	e.since.Store(r.Since.UnixNano())
	e.until.Store(r.Until.UnixNano())
	e.everything.Store(r.Everything)
	e.meant.Store(r.By == Operator)
	e.spares.Store(!r.Everything && r.Source.Port == 0) // whoever has not registered again is no known phone, but may do so
	for _, m := range r.Messages[:min(len(r.Messages), MaxMessages)] {
		b.evidenced(e, [][]byte{m.Text}, m.At)
	}
	b.entries[e.source] = e
	if _, covered := b.view.Load().exempt.LookupPrefix(e.source.Prefix); covered || !r.Freed.IsZero() || !r.Until.After(now) {
		e.freed = r.Until.UnixNano()
		if !r.Freed.IsZero() {
			e.freed = r.Freed.UnixNano()
		}
		b.enqueue(e, o.class().past(), e.forgetAt())
		return true
	}
	b.enter(e, o.class())
	return true
}
