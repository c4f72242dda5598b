package binding

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ringwall/ringwall/state"
)

// journalVersion is the version of the journal's table.
const journalVersion = 1

// JournalOptions tell OpenJournal how its surroundings see listeners and errors.
type JournalOptions struct {
	// Name gives the text of a local listener, "udp:192.0.2.1:5060": its index is another after a restart.
	Name func(listener uint16) string
	// Index finds the listener of such a text, or the one nearest to it (same transport and family). False: there is
	// none, and the binding is not loaded.
	Index  func(name string) (uint16, bool)
	State  func(error)      // as in state.Options
	Sound  func() error     // as in state.Options
	Repair func(error) bool // as in state.Options
}

// A Journal writes the changes of a Table to a database and brings them back at the next start, as state.Journal does.
type Journal struct {
	*state.Journal[ID]
	table          *Table
	restored, left int
}

// OpenJournal creates the journal's table in db where it is missing, loads the bindings that are live at now into t, and
// from then on writes what changes in t. Flows of streams come back with the connection GoneConn: the connection died
// with the process. Call it before t is used, and Close it before db.
func OpenJournal(ctx context.Context, db *sql.DB, t *Table, now time.Time, opts JournalOptions) (*Journal, error) {
	if opts.Name == nil || opts.Index == nil {
		return nil, errors.New("open binding journal: Name and Index are needed")
	}
	s := &store{db: db, table: t, opts: opts}
	if err := s.Prepare(ctx); err != nil {
		return nil, fmt.Errorf("open binding journal: %w", err)
	}
	j := &Journal{table: t}
	var err error
	if j.restored, j.left, err = s.load(ctx, now); err != nil {
		return nil, fmt.Errorf("load bindings: %w", err)
	}
	if t.journal.Load() != nil {
		return nil, errors.New("open binding journal: the table has one already")
	}
	j.Journal = state.Start(db, s, state.Options{What: "bindings", Most: t.cfg.Max, State: opts.State, Sound: opts.Sound, Repair: opts.Repair})
	t.journal.Store(j)
	return j, nil
}

// Loaded returns how many bindings OpenJournal brought back, and how many it had to leave out because no listener of
// ours can reach them, the table has become smaller, or their row cannot be read.
func (j *Journal) Loaded() (restored, left int) { return j.restored, j.left }

// Close stops the journal and writes the rest. The table may be used on, unjournalled. A second Close does nothing.
func (j *Journal) Close(ctx context.Context) error {
	j.table.journal.CompareAndSwap(j, nil)
	return j.Journal.Close(ctx)
}
