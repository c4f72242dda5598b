// Package state is how rooms keep what must survive a restart: a Journal notes what changed in a table and writes it to the state
// file a moment later, so that nobody who changes the table waits for the disk, and a killed process loses less than a second.
//
// Rooms share the file and have tables of their own in it. This package knows neither what they keep nor the database engine; who opens
// the file (state/statefile) does.
package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"
)

// flushEvery is how long a change waits at most before it is written, so that with the writing less than a second is
// lost when the process is killed.
const flushEvery = 500 * time.Millisecond

// batch is how many keys are written in one transaction: short enough that other writers of the file get their turn.
const batch = 2000

// A Table is what a Journal writes: the table of a room, by key. Its methods are called by one goroutine at a time.
type Table[K comparable] interface {
	// Prepare makes the tables in the file where they are missing; see Prepare.
	Prepare(context.Context) error
	// Begin returns what writes the present state of a key in tx: its row, or that it has none. It is called until tx ends.
	Begin(context.Context, *sql.Tx) (write func(K) error, err error)
	// Clear deletes every row.
	Clear(context.Context, *sql.Tx) error
	// Keys yields every key there is.
	Keys() iter.Seq[K]
}

// Options tell Start what to call its work by and whom to tell.
type Options struct {
	What string // "bindings": of messages
	Most int    // changes remembered one by one; when more are waiting, the whole table is written
	// State is told each time writing begins to fail (the error) and each time it works again (nil). It is called from
	// the journal's goroutine and must not block for long. May be nil.
	State func(error)
	// Sound is asked before each writing whether the file is still the one that was opened; its error goes to Repair. May be nil.
	Sound func() error
	// Repair is asked what to do about an error of writing; true: the file is another one now, empty. May be nil.
	Repair func(error) bool
}

// A Journal writes the changes of a table. When the disk is full, the file locked or damaged, service goes on, and the journal tries
// again until it works.
type Journal[K comparable] struct {
	db    *sql.DB
	table Table[K]
	opts  Options

	mu    sync.Mutex
	dirty []K  // keys that differ from the disk; one may be named twice
	all   bool // too many to remember: write the whole table

	writing sync.Mutex // one Flush at a time
	failing bool       // guarded by writing
	spare   []K        // the memory of dirty when its turn comes; guarded by writing

	stop, stopped chan struct{}
	closing       sync.Once
}

// Prepare makes a room's tables in db by statements that do nothing where they exist, and notes the version of these tables. The error
// says so when the file is of another version.
func Prepare(ctx context.Context, db *sql.DB, room string, version int, statements ...string) error {
	_, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS room_version (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT`)
	if err == nil {
		_, err = db.ExecContext(ctx, `INSERT OR IGNORE INTO room_version VALUES (?, ?)`, room, version)
	}
	if err != nil {
		return err
	}
	var found int
	if err := db.QueryRowContext(ctx, `SELECT version FROM room_version WHERE room = ?`, room).Scan(&found); err != nil {
		return err
	}
	if found != version { // before anything is made in it
		return fmt.Errorf("the state file holds version %d, this ringwall knows version %d: use the newer ringwall, or move the file away", found, version)
	}
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// Start writes from now on what Mark names, until Close. The room has prepared and read its tables before.
func Start[K comparable](db *sql.DB, table Table[K], opts Options) *Journal[K] {
	if opts.State == nil {
		opts.State = func(error) {}
	}
	if opts.Sound == nil {
		opts.Sound = func() error { return nil }
	}
	if opts.Repair == nil {
		opts.Repair = func(error) bool { return false }
	}
	j := &Journal[K]{db: db, table: table, opts: opts, stop: make(chan struct{}), stopped: make(chan struct{})}
	go j.run()
	return j
}

// Mark notes that the row of key has changed. It holds a lock for a moment and never waits for the disk.
func (j *Journal[K]) Mark(key K) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dirty = append(j.dirty, key)
	j.bound()
}

// Waiting returns how many changes are noted one by one, and whether the whole table is to be written instead.
func (j *Journal[K]) Waiting() (n int, all bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.dirty), j.all
}

// Flush writes what has changed so far. It returns the error that it also tells State.
func (j *Journal[K]) Flush(ctx context.Context) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	err := j.opts.Sound()
	if err == nil {
		err = j.write(ctx)
	}
	if err != nil && (j.opts.Repair(err) || strings.Contains(err.Error(), "no such table")) { // it, or another room, began a new file
		j.rewrite()
		if err = j.table.Prepare(ctx); err == nil {
			err = j.write(ctx)
		}
	}
	if failing := err != nil; failing != j.failing {
		j.failing = failing
		j.opts.State(err)
	}
	return err
}

// rewrite lets the whole table be written next.
func (j *Journal[K]) rewrite() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all, j.dirty = true, j.dirty[:0]
}

// Close stops the journal and writes the rest. The table may be used on, without a journal. A second Close does nothing.
func (j *Journal[K]) Close(ctx context.Context) error {
	first := false
	j.closing.Do(func() { first = true })
	if !first {
		return nil
	}
	close(j.stop)
	<-j.stopped
	return j.Flush(ctx)
}

// run writes every flushEvery until Close.
func (j *Journal[K]) run() {
	defer close(j.stopped)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-tick.C:
			_ = j.Flush(ctx) // State has been told, the changes are kept, the next tick tries again
		}
	}
}

// write is flush where a panic is a failure like any other: what was to be written is kept, and the next tick tries again.
func (j *Journal[K]) write(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("write %s: panic: %v", j.opts.What, p)
		}
	}()
	return j.flush(ctx)
}

// bound gives up remembering changes one by one when they are too many.
func (j *Journal[K]) bound() {
	if j.all || len(j.dirty) > j.opts.Most {
		j.all, j.dirty = true, j.dirty[:0]
	}
}

// flush writes the changes noted so far. What could not be written is noted again.
func (j *Journal[K]) flush(ctx context.Context) error {
	j.mu.Lock()
	dirty, all := j.dirty, j.all
	j.dirty, j.all = j.spare[:0], false
	j.mu.Unlock()
	j.spare = dirty
	left, written := dirty, false
	defer func() { // after a panic, too
		if !written {
			j.again(left, all)
		}
	}()
	var err error
	if all {
		err = j.writeAll(ctx)
	} else {
		left, err = j.writeSome(ctx, dirty)
	}
	if written = err == nil; written {
		return nil
	}
	return fmt.Errorf("write %s: %w", j.opts.What, err)
}

// again notes changes that could not be written; all: the whole table.
func (j *Journal[K]) again(left []K, all bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = j.all || all
	j.dirty = once(append(j.dirty, left...))
	j.bound()
}

// once is keys, each named once, in the same memory.
func once[K comparable](keys []K) []K {
	seen := make(map[K]bool, len(keys))
	kept := keys[:0]
	for _, k := range keys {
		if !seen[k] {
			seen[k] = true
			kept = append(kept, k)
		}
	}
	return kept
}

// writeSome writes these keys, batch by batch, and returns those that are left when that fails.
func (j *Journal[K]) writeSome(ctx context.Context, dirty []K) (left []K, err error) {
	for len(dirty) > 0 {
		n := min(len(dirty), batch)
		err := j.transact(ctx, func(_ *sql.Tx, write func(K) error) error {
			for _, key := range dirty[:n] {
				if err := write(key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return dirty, err
		}
		dirty = dirty[n:]
	}
	return nil, nil
}

// writeAll replaces what is on the disk by the whole table.
func (j *Journal[K]) writeAll(ctx context.Context) error {
	return j.transact(ctx, func(tx *sql.Tx, write func(K) error) error {
		if err := j.table.Clear(ctx, tx); err != nil {
			return err
		}
		for key := range j.table.Keys() {
			if err := write(key); err != nil {
				return err
			}
		}
		return nil
	})
}

// transact runs f in a transaction.
func (j *Journal[K]) transact(ctx context.Context, f func(*sql.Tx, func(K) error) error) (err error) {
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if rerr := tx.Rollback(); err != nil && rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			err = errors.Join(err, rerr)
		}
	}()
	write, err := j.table.Begin(ctx, tx)
	if err != nil {
		return err
	}
	if err := f(tx, write); err != nil {
		return err
	}
	return tx.Commit()
}
