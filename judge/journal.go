package judge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/state"
)

// journalVersion is the version of the journal's table.
const journalVersion = 1

// A Journal writes whom the platform accepted from where to a database, and brings that back at the next start, as state.Journal does.
// The judge reads keyed hashes, which are worth nothing under another key; names and addresses are written for operators.
type Journal struct {
	*state.Journal[uint64]
	judge          *Judge
	restored, left int
	since          time.Time
}

// OpenJournal creates the journal's table in db where it is missing, loads the pairs that are remembered at now into j, and from then on writes
// those that are new, or are seen on another day. Call it before j is used, and Close it before db.
func OpenJournal(ctx context.Context, db *sql.DB, j *Judge, now time.Time, opts state.Options) (*Journal, error) {
	s := &store{db, &j.known, now}
	if err := s.Prepare(ctx); err != nil {
		return nil, fmt.Errorf("open journal of known users: %w", err)
	}
	if j.known.journal.Load() != nil {
		return nil, errors.New("open journal of known users: the judge has one already")
	}
	out := &Journal{judge: j}
	if err := s.begun(ctx); err != nil {
		return nil, fmt.Errorf("read since when users are known: %w", err)
	}
	out.since = s.since
	if err := s.load(ctx, now, out); err != nil {
		return nil, fmt.Errorf("load known users: %w", err)
	}
	opts.What, opts.Most = "known users", j.cfg.Pairs
	out.Journal = state.Start(db, s, opts)
	j.known.journal.Store(out.Journal)
	return out, nil
}

// Loaded returns how many pairs OpenJournal brought back, and how many it left out because they are too old or there is no room for them.
func (j *Journal) Loaded() (restored, left int) { return j.restored, j.left }

// Since returns when the first journal of this file was opened: from when on it is remembered whom the platform accepted from where.
func (j *Journal) Since() time.Time { return j.since }

// Close stops the journal and writes the rest. The judge may be used on, without a journal. A second Close does nothing.
func (j *Journal) Close(ctx context.Context) error {
	j.judge.known.journal.CompareAndSwap(j.Journal, nil)
	return j.Journal.Close(ctx)
}

// A store is what is known as state.Journal sees it: a row for each pair, one for the flow that it was last accepted from, and one for
// who is behind it.
type store struct {
	db    *sql.DB
	known *known
	since time.Time
}

// Prepare makes the journal's tables. A file that begins anew in the middle of a run is told since when users are known.
func (s *store) Prepare(ctx context.Context) error {
	err := state.Prepare(ctx, s.db, "judge", journalVersion,
		`CREATE TABLE IF NOT EXISTS known_user (pair INTEGER PRIMARY KEY, source INTEGER NOT NULL, minute INTEGER NOT NULL) STRICT`,
		`CREATE TABLE IF NOT EXISTS known_flow (pair INTEGER PRIMARY KEY, flow INTEGER NOT NULL) STRICT`,
		`CREATE TABLE IF NOT EXISTS known_name (pair INTEGER PRIMARY KEY, user TEXT NOT NULL, source TEXT NOT NULL) STRICT`,
		`CREATE TABLE IF NOT EXISTS known_since (only INTEGER PRIMARY KEY CHECK (only = 1), second INTEGER NOT NULL) STRICT`)
	if err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, `INSERT OR IGNORE INTO known_since VALUES (1, ?)`, s.since.Unix())
	return err
}

// begun reads since when users are known.
func (s *store) begun(ctx context.Context) error {
	var second int64
	err := s.db.QueryRowContext(ctx, `SELECT second FROM known_since`).Scan(&second)
	s.since = time.Unix(second, 0)
	return err
}

// Begin prepares writing in one transaction. Hashes are written as the signed numbers of the same bits.
func (s *store) Begin(ctx context.Context, tx *sql.Tx) (func(uint64) error, error) {
	var done [6]*sql.Stmt
	for i, text := range [...]string{
		`INSERT OR REPLACE INTO known_user VALUES (?, ?, ?)`, `INSERT OR REPLACE INTO known_flow VALUES (?, ?)`, `INSERT OR REPLACE INTO known_name VALUES (?, ?, ?)`,
		`DELETE FROM known_user WHERE pair = ?`, `DELETE FROM known_flow WHERE pair = ?`, `DELETE FROM known_name WHERE pair = ?`,
	} {
		var err error
		if done[i], err = tx.PrepareContext(ctx, text); err != nil {
			return nil, err
		}
	}
	putUser, putFlow, putName, drops := done[0], done[1], done[2], done[3:]
	return func(key uint64) error {
		p, found := s.known.pairs.Copy(key)
		if !found {
			var errs []error
			for _, drop := range drops {
				_, err := drop.ExecContext(ctx, int64(key))
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		}
		_, err := putUser.ExecContext(ctx, int64(key), int64(p.source), p.minute)
		if err == nil && p.flow != 0 {
			_, err = putFlow.ExecContext(ctx, int64(key), int64(p.flow))
		}
		if who, named := s.known.names.Copy(key); err == nil && named {
			_, err = putName.ExecContext(ctx, int64(key), string(who.user[:who.n]), netip.AddrFrom16(who.addr).Unmap().String())
		}
		return err
	}, nil
}

// Clear deletes every row.
func (s *store) Clear(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM known_user; DELETE FROM known_flow; DELETE FROM known_name`)
	return err
}

// Keys yields every pair there is. It takes them down before, since whoever writes them asks the table again.
func (s *store) Keys() iter.Seq[uint64] {
	var keys []uint64
	s.known.pairs.All(func(key uint64, _ *pair) bool {
		keys = append(keys, key)
		return true
	})
	return func(yield func(uint64) bool) {
		for _, key := range keys {
			if !yield(key) {
				return
			}
		}
	}
}

// load reads the pairs, and deletes the rows of those that are forgotten.
func (s *store) load(ctx context.Context, now time.Time, into *Journal) error {
	rows, err := s.db.QueryContext(ctx, `SELECT pair, known_user.source, minute, coalesce(flow, 0), coalesce(user, ''), coalesce(known_name.source, '')
		FROM known_user LEFT JOIN known_flow USING (pair) LEFT JOIN known_name USING (pair) ORDER BY minute`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key, source, minute, flow int64
		var user, from string
		if err := rows.Scan(&key, &source, &minute, &flow, &user, &from); err != nil {
			return err
		}
		seen := time.Unix(minute*60, 0)
		fresh := false
		if recent(uint32(minute), now) {
			fresh, _ = s.known.add(uint64(key), uint64(source), uint64(flow), anyLogin, seen)
		}
		if !fresh {
			into.left++
			continue
		}
		if addr, err := netip.ParseAddr(from); err == nil && user != "" {
			s.known.name(uint64(key), nameOf(user, addr), seen)
			into.judge.settle(into.judge.UserHash(user), addr, seen)
		}
		into.restored++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, `DELETE FROM known_user WHERE minute < ?; DELETE FROM known_flow WHERE pair NOT IN (SELECT pair FROM known_user);
		DELETE FROM known_name WHERE pair NOT IN (SELECT pair FROM known_user)`,
		now.Add(-KnownFor).Unix()/60)
	return err
}
