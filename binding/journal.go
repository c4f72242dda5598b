package binding

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// journalVersion is the version of the journal's table.
const journalVersion = 1

// flushEvery is how long a change waits at most before it is written, so that with the writing less than a second is
// lost when the process is killed.
const flushEvery = 500 * time.Millisecond

// batch is how many bindings are written in one transaction: short enough that other writers of the file get their
// turn.
const batch = 2000

// JournalOptions tell OpenJournal how its surroundings see listeners and errors.
type JournalOptions struct {
	// Name gives the text of a local listener, "udp:192.0.2.1:5060": its index is another after a restart.
	Name func(listener uint16) string
	// Index finds the listener of such a text, or the one nearest to it (same transport and family). False: there is
	// none, and the binding is not loaded.
	Index func(name string) (uint16, bool)
	// State is told each time writing begins to fail (the error) and each time it works again (nil). It is called from
	// the journal's goroutine and must not block for long. May be nil.
	State func(error)
}

// A Journal writes the changes of a Table to a database and brings them back at the next start. Changes are noted in
// memory and written in transactions by one goroutine; nobody who changes the table waits for the disk. When the disk
// is full or the file locked, service goes on, and the journal tries again until it works.
type Journal struct {
	db    *sql.DB
	table *Table
	opts  JournalOptions

	mu    sync.Mutex
	dirty []ID // bindings that differ from the disk; one may be named twice
	all   bool // too many to remember: write the whole table

	writing sync.Mutex // one Flush at a time
	failing bool       // guarded by writing
	spare   []ID       // the memory of dirty when its turn comes; guarded by writing

	restored, left int

	stop, stopped chan struct{}
	closing       sync.Once
}

// OpenJournal creates the journal's table in db where it is missing, loads the bindings that are live at now into t, and
// from then on writes what changes in t. Flows of streams come back with the connection GoneConn: the connection died
// with the process. Call it before t is used, and Close it before db.
func OpenJournal(ctx context.Context, db *sql.DB, t *Table, now time.Time, opts JournalOptions) (*Journal, error) {
	if opts.Name == nil || opts.Index == nil {
		return nil, errors.New("open binding journal: Name and Index are needed")
	}
	j := &Journal{db: db, table: t, opts: opts, stop: make(chan struct{}), stopped: make(chan struct{})}
	if err := j.prepare(ctx); err != nil {
		return nil, fmt.Errorf("open binding journal: %w", err)
	}
	if err := j.load(ctx, now); err != nil {
		return nil, fmt.Errorf("load bindings: %w", err)
	}
	if !t.journal.CompareAndSwap(nil, j) {
		return nil, errors.New("open binding journal: the table has one already")
	}
	go j.run()
	return j, nil
}

// Loaded returns how many bindings OpenJournal brought back, and how many it had to leave out because no listener of
// ours can reach them, the table has become smaller, or their row cannot be read.
func (j *Journal) Loaded() (restored, left int) { return j.restored, j.left }

// Flush writes what has changed so far. It returns the error that it also tells State.
func (j *Journal) Flush(ctx context.Context) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	err := j.flush(ctx)
	if failing := err != nil; failing != j.failing {
		j.failing = failing
		if j.opts.State != nil {
			j.opts.State(err)
		}
	}
	return err
}

// Close stops the journal and writes the rest. The table may be used on, unjournalled. A second Close does nothing.
func (j *Journal) Close(ctx context.Context) error {
	first := false
	j.closing.Do(func() { first = true })
	if !first {
		return nil
	}
	close(j.stop)
	<-j.stopped
	j.table.journal.CompareAndSwap(j, nil)
	return j.Flush(ctx)
}

// run writes every flushEvery until Close.
func (j *Journal) run() {
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
			j.tick(ctx)
		}
	}
}

// tick writes what has changed. A panic in it is told to State like any other failure, and the next tick tries again.
func (j *Journal) tick(ctx context.Context) {
	defer func() {
		if p := recover(); p != nil && j.opts.State != nil {
			j.opts.State(fmt.Errorf("write bindings: panic: %v", p))
		}
	}()
	_ = j.Flush(ctx) // State has been told, the changes are kept, the next tick tries again
}

// mark notes that a binding was put or removed. It holds a lock for a moment and never waits for the disk.
func (j *Journal) mark(id ID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dirty = append(j.dirty, id)
	j.bound()
}

// bound gives up remembering changes one by one when they are more than the table has room for.
func (j *Journal) bound() {
	if j.all || len(j.dirty) > j.table.cfg.Max {
		j.all, j.dirty = true, j.dirty[:0]
	}
}

// flush writes the changes noted so far. What could not be written is noted again.
func (j *Journal) flush(ctx context.Context) error {
	j.mu.Lock()
	dirty, all := j.dirty, j.all
	j.dirty, j.all = j.spare[:0], false
	j.mu.Unlock()
	j.spare = dirty
	var err error
	left := dirty
	if all {
		err = j.writeAll(ctx)
	} else {
		left, err = j.writeSome(ctx, dirty)
	}
	if err == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = j.all || all
	j.dirty = append(j.dirty, left...)
	slices.SortFunc(j.dirty, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	j.dirty = slices.Compact(j.dirty)
	j.bound()
	return fmt.Errorf("write bindings: %w", err)
}

// writeSome writes the bindings of these ids, batch by batch, and returns those that are left when that fails.
func (j *Journal) writeSome(ctx context.Context, dirty []ID) (left []ID, err error) {
	for len(dirty) > 0 {
		n := min(len(dirty), batch)
		if err := j.transact(ctx, func(w *writer) error { return w.each(dirty[:n]) }); err != nil {
			return dirty, err
		}
		dirty = dirty[n:]
	}
	return nil, nil
}

// writeAll replaces what is on the disk by the whole table.
func (j *Journal) writeAll(ctx context.Context) error {
	return j.transact(ctx, func(w *writer) error {
		if _, err := w.tx.ExecContext(ctx, `DELETE FROM binding`); err != nil {
			return err
		}
		for i := range j.table.shards {
			if err := w.each(j.table.shards[i].ids()); err != nil {
				return err
			}
		}
		return nil
	})
}
