package state_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringwall/ringwall/siptest"
	"github.com/ringwall/ringwall/state"
	"github.com/ringwall/ringwall/state/statefile"
)

// numbers are a room's table.
type numbers struct {
	db     *sql.DB
	mu     sync.Mutex
	all    map[int]int
	panics atomic.Bool // whoever writes a row
}

func (n *numbers) set(key, value int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[key] = value
}

func (n *numbers) get(key int) (int, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	value, found := n.all[key]
	return value, found
}

func (n *numbers) drop(key int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.all, key)
}

func (n *numbers) Prepare(ctx context.Context) error {
	return state.Prepare(ctx, n.db, "numbers", 1, `CREATE TABLE IF NOT EXISTS number (key INTEGER PRIMARY KEY, value INTEGER NOT NULL) STRICT`)
}

func (n *numbers) Begin(ctx context.Context, tx *sql.Tx) (func(int) error, error) {
	return func(key int) error {
		if n.panics.Load() {
			panic("a mistake of ours")
		}
		value, found := n.get(key)
		if !found {
			_, err := tx.ExecContext(ctx, `DELETE FROM number WHERE key = ?`, key)
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO number VALUES (?, ?)`, key, value)
		return err
	}, nil
}

func (n *numbers) Clear(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM number`)
	return err
}

func (n *numbers) Keys() iter.Seq[int] {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Keys(maps.Clone(n.all))
}

// A room is a table, its journal and what that said of its state.
type room struct {
	*numbers
	*state.Journal[int]
	path string

	mu   sync.Mutex
	told []error
}

func (r *room) say(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, err)
}

// said is what State was told since it was asked last.
func (r *room) said() (told []error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	told, r.told = r.told, nil
	return told
}

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := statefile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// newRoom opens a file as cmd/ringwall does.
func newRoom(t *testing.T) *room {
	t.Helper()
	r := &room{path: filepath.Join(t.TempDir(), "state.db")}
	r.numbers = &numbers{db: open(t, r.path), all: map[int]int{}}
	if err := r.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	guard, err := statefile.NewGuard(r.db, r.path)
	if err != nil {
		t.Fatal(err)
	}
	r.Journal = state.Start(r.db, r.numbers, state.Options{What: "numbers", Most: 5000, State: r.say, Sound: guard.Watch(), Repair: func(err error) bool {
		if errors.Is(err, statefile.ErrReplaced) {
			return true
		}
		if !statefile.Damaged(err) {
			return false
		}
		_, err = guard.Replace()
		return err == nil
	}})
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

// change gives n keys another value, from first on.
func (r *room) change(first, n, value int) {
	for key := first; key < first+n; key++ {
		r.set(key, value)
		r.Mark(key)
	}
}

// kept reads what is on the disk.
func (r *room) kept(t *testing.T) map[int]int {
	t.Helper()
	rows, err := r.db.Query(`SELECT key, value FROM number`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[int]int{}
	for rows.Next() {
		var key, value int
		if err := rows.Scan(&key, &value); err != nil {
			t.Fatal(err)
		}
		all[key] = value
	}
	return all
}

// same checks that the disk has what the table has.
func (r *room) same(t *testing.T) {
	t.Helper()
	r.numbers.mu.Lock()
	want := maps.Clone(r.all)
	r.numbers.mu.Unlock()
	if kept := r.kept(t); !maps.Equal(kept, want) {
		t.Errorf("the disk has %d rows, the table %d, or others", len(kept), len(want))
	}
}

// TestWritesByItself: what is marked is on the disk a moment later, what is gone is not, more than is remembered one by one too, and Close writes the rest.
func TestWritesByItself(t *testing.T) {
	r := newRoom(t)
	r.change(0, 10, 1)
	if !siptest.Eventually(func() bool { return len(r.kept(t)) == 10 }) {
		t.Fatal("nobody writes")
	}
	r.drop(3)
	r.Mark(3)
	r.change(100, 4980, 2)
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.same(t)
	r.change(0, 10_000, 3)
	if n, all := r.Waiting(); n > 5000 || !all {
		t.Errorf("%d changes are remembered one by one, all: %t", n, all)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.same(t)
	if said := r.said(); len(said) > 0 {
		t.Errorf("said %v", said)
	}
}

// TestOutages: whatever keeps the journal from writing, its room goes on; State is told of the beginning and of the end, once each, and nothing is missing
// after that.
func TestOutages(t *testing.T) {
	pragma := func(begin, end string) func(*testing.T, *room) func() {
		return func(t *testing.T, r *room) func() {
			exec := func(text string) {
				if _, err := r.db.Exec("PRAGMA " + text); err != nil {
					t.Fatal(err)
				}
			}
			exec(begin)
			return func() { exec(end) }
		}
	}
	for name, c := range map[string]struct {
		begin func(*testing.T, *room) (end func())
		want  string
	}{
		"disk full": {pragma("max_page_count = 1", "max_page_count = 1000000"), "full"},
		"read only": {pragma("query_only = 1", "query_only = 0"), "readonly"},
		"another process writes": {func(t *testing.T, r *room) func() {
			if _, err := r.db.Exec("PRAGMA busy_timeout = 1"); err != nil {
				t.Fatal(err)
			}
			tx, err := open(t, r.path).Begin()
			if err != nil {
				t.Fatal(err)
			}
			return func() { tx.Rollback() }
		}, "locked"},
		"a mistake of ours": {func(_ *testing.T, r *room) func() {
			r.panics.Store(true)
			return func() { r.panics.Store(false) }
		}, "panic"},
	} {
		for _, many := range []int{500, 7000} { // one by one, and more than is remembered so
			t.Run(fmt.Sprint(name, " ", many), func(t *testing.T) {
				r := newRoom(t)
				r.change(0, 10, 1)
				if err := r.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				end := c.begin(t, r)
				for i := range 3 {
					r.change(0, many, 2+i)
					if err := r.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "write numbers: ") {
						t.Errorf("%v", err)
					}
				}
				end()
				if err := r.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.same(t)
				if said := r.said(); len(said) != 2 || said[0] == nil || said[1] != nil {
					t.Errorf("said %v", said)
				}
			})
		}
	}
}

// TestDamageInUse: a file that is spoiled, emptied, replaced or taken away while it is in use is set aside, and all that the table holds is in a new one.
func TestDamageInUse(t *testing.T) {
	spoil := func(path string) error {
		return os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600)
	}
	for name, damage := range map[string]func(path string) error{
		"spoiled":  spoil,
		"emptied":  func(path string) error { return os.Truncate(path, 0) },
		"taken":    os.Remove,
		"replaced": func(path string) error { return errors.Join(os.Remove(path), spoil(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			r.change(0, 100, 1)
			if err := r.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := damage(r.path); err != nil {
				t.Fatal(err)
			}
			r.change(50, 100, 2)
			if err := r.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.same(t)
			if err := r.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.db.Close()
			r.db = open(t, r.path) // by the next run
			r.same(t)
		})
	}
}

// TestVersions: a file that another version of the room wrote is refused with a sentence, and nothing is made in it; other rooms' versions are theirs.
func TestVersions(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "state.db"))
	if err := state.Prepare(t.Context(), db, "numbers", 2, `CREATE TABLE later (x INTEGER) STRICT`); err != nil {
		t.Fatal(err)
	}
	n := &numbers{db: db}
	err := n.Prepare(t.Context())
	if err == nil || !strings.Contains(err.Error(), "version 2, this ringwall knows version 1") {
		t.Errorf("%v", err)
	}
	var made int
	if err := db.QueryRow(`SELECT count(*) FROM sqlite_schema WHERE name = 'number'`).Scan(&made); err != nil || made != 0 {
		t.Errorf("%d tables are made in a file of a newer version, %v", made, err)
	}
	for range 2 {
		if err := state.Prepare(t.Context(), db, "letters", 1, `CREATE TABLE IF NOT EXISTS letter (x TEXT) STRICT`); err != nil {
			t.Error(err)
		}
	}
}

// TestTwoProcesses: two that write to one file lose nothing of each other: each waits for its turn.
func TestTwoProcesses(t *testing.T) {
	r := newRoom(t)
	other := &numbers{db: open(t, r.path), all: map[int]int{}}
	journal := state.Start(other.db, other, state.Options{What: "numbers", Most: 100_000, State: r.say})
	var both sync.WaitGroup
	both.Go(func() {
		for i := range 50 {
			r.change(20*i, 20, 1)
			if err := r.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	both.Go(func() {
		for i := range 50 {
			for key := 5000 + 20*i; key < 5020+20*i; key++ {
				other.set(key, 2)
				journal.Mark(key)
			}
			if err := journal.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	both.Wait()
	if err := journal.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if kept := r.kept(t); len(kept) != 2000 {
		t.Errorf("%d rows of 2000 are kept", len(kept))
	}
	if said := r.said(); len(said) > 0 {
		t.Errorf("said %v", said)
	}
}
