package ban

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/state"
	"github.com/ringwall/ringwall/state/statefile"
)

func stateFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := statefile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func journal(t *testing.T, db *sql.DB, b *Book, now time.Time, opts state.Options) *Journal {
	t.Helper()
	j, err := OpenJournal(t.Context(), db, b, now, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close(context.Background()) })
	return j
}

// all is what a book holds, in an order of its own, with the messages.
func all(t *testing.T, b *Book, at time.Time) map[edge.Source]Ban {
	t.Helper()
	found := map[edge.Source]Ban{}
	for s := range b.entries {
		found[s], _, _ = b.Get(s, at)
	}
	return found
}

// TestJournal: bans, the memory of offenders and the allow list come back as they were.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := stateFile(t, path)
	b := newBook(t, Config{})
	j := journal(t, db, b, start, state.Options{})
	o := order("198.51.100.7", true)
	o.Evidence, o.Parts = [][]byte{[]byte("OPTIONS sip:x SIP/2.0\r\n\xff")}, []edge.Part{{Reason: "test.reason", Score: 7.5}}
	add(t, b, o, start)
	add(t, b, order("203.0.113.5:5062", false), start)
	add(t, b, Order{Ban: edge.Ban{Source: source("2001:db8::7"), Hard: true, Reason: ReasonOperator, For: time.Hour}, By: Operator, Text: "why", Everything: true}, start)
	add(t, b, order("192.0.2.0/24", true), start)
	b.Lift(source("192.0.2.0/24"), start)
	later := start.Add(10 * time.Minute)
	b.Tick(later)
	add(t, b, order("198.51.100.8", true), later)
	b.Allow(source("192.0.2.0/28"), "office", later)
	b.Allow(source("192.0.2.16/28"), "", later)
	b.Disallow(source("192.0.2.16/28"), later)
	want := all(t, b, later)
	if err := errors.Join(j.Close(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}

	var told []Change
	again := newBook(t, Config{Changed: func(c Change) { told = append(told, c) }})
	j = journal(t, stateFile(t, path), again, later, state.Options{})
	if restored, left := j.Loaded(); restored != 5 || left != 0 || len(told) != 0 {
		t.Errorf("restored %d, left %d, told of %d changes", restored, left, len(told))
	}
	restoredSpares := cmpopts.IgnoreFields(Ban{}, "Spares") // nobody knows any more
	if diff := cmp.Diff(want, all(t, again, later), restoredSpares, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0), cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); diff != "" {
		t.Errorf("(-was +is):\n%s", diff)
	}
	if list := again.AllowList(); len(list) != 1 || list[0].Text != "office" {
		t.Errorf("allowed: %v", list)
	}
	if !again.Refuses(from("198.51.100.8:1"), later) || again.Refuses(from("198.51.100.7:1"), later) || again.Refuses(from("192.0.2.1:1"), later) {
		t.Error("the wrong ones are refused")
	}
	if ban := add(t, again, order("198.51.100.7", true), later); ban.Until.Sub(later) != time.Hour {
		t.Errorf("an offender is a newcomer after a restart: until %v", ban.Until)
	}
}

// TestJournalOddRows: rows that make no sense are left out and counted, the rest comes back.
func TestJournalOddRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := stateFile(t, path)
	b := newBook(t, Config{})
	j := journal(t, db, b, start, state.Options{})
	add(t, b, order("198.51.100.7", true), start)
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`{`, `{"source":"0.0.0.0/0","reason":"x"}`, `{"source":"203.0.113.1"}`, `[]`, `{"source":"x"}`} {
		if _, err := db.Exec(`INSERT INTO ban VALUES (?, 0, ?)`, text, text); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(`INSERT INTO ban_allow VALUES (?, ?)`, text, `{"source":"203.0.113.1:5"}`); err != nil {
			t.Fatal(err)
		}
	}
	again := newBook(t, Config{})
	j = journal(t, db, again, start, state.Options{})
	if restored, left := j.Loaded(); restored != 1 || left != 10 {
		t.Errorf("restored %d, left %d", restored, left)
	}
	if _, err := OpenJournal(t.Context(), db, again, start, state.Options{}); err == nil {
		t.Error("a book has two journals")
	}
	if _, err := db.Exec(`UPDATE room_version SET version = 2 WHERE room = 'ban'`); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(t.Context(), db, newBook(t, Config{}), start, state.Options{}); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a newer file: %v", err)
	}
}

// TestJournalDamage: a file that is overwritten while it is in use is moved aside, and another one holds all bans, also those that were
// written before.
func TestJournalDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := stateFile(t, path)
	var told []error
	guard, err := statefile.NewGuard(db, path)
	if err != nil {
		t.Fatal(err)
	}
	aside := ""
	opts := state.Options{Sound: guard.Watch(), State: func(err error) { told = append(told, err) }, Repair: func(err error) bool {
		if errors.Is(err, statefile.ErrReplaced) {
			return true
		}
		if !statefile.Damaged(err) {
			return false
		}
		var rerr error
		if aside, rerr = guard.Replace(); rerr != nil {
			t.Errorf("replace: %v", rerr)
		}
		return rerr == nil
	}}
	b := newBook(t, Config{})
	j := journal(t, db, b, start, opts)
	fill(t, b, 0, 2000, true, start)
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("rubbish ", int(info.Size())/8)), 0o600); err != nil {
		t.Fatal(err)
	}
	fill(t, b, 2000, 100, true, start)
	if err := j.Flush(t.Context()); err != nil {
		t.Fatalf("flush over a damaged file: %v (told %v)", err, told)
	}
	if _, err := os.Stat(aside); aside == "" || err != nil {
		t.Errorf("the damaged file %q: %v", aside, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the new file: %v, %v", info, err)
	}
	if err := errors.Join(j.Close(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	again := newBook(t, Config{})
	j = journal(t, stateFile(t, path), again, start, state.Options{})
	if restored, left := j.Loaded(); restored != 2100 || left != 0 {
		t.Errorf("restored %d, left %d", restored, left)
	}
}

// TestJournalOutage: a full disk stops nobody, is told once, and nothing is missing when there is room again.
func TestJournalOutage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := stateFile(t, path)
	var told []error
	b := newBook(t, Config{})
	j := journal(t, db, b, start, state.Options{State: func(err error) { told = append(told, err) }})
	if _, err := db.Exec(`PRAGMA max_page_count = 1`); err != nil {
		t.Fatal(err)
	}
	fill(t, b, 0, 3000, true, start)
	for range 3 {
		if err := j.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "full") {
			t.Errorf("flush: %v", err)
		}
	}
	if !b.Refuses(flowOf(nth(2999), 1), start) || len(told) != 1 {
		t.Errorf("told %v", told)
	}
	if _, err := db.Exec(`PRAGMA max_page_count = 1000000`); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(t.Context()); err != nil || len(told) != 2 || told[1] != nil {
		t.Errorf("then %v, told %v", err, told)
	}
	again := newBook(t, Config{})
	if restored, _ := journal(t, db, again, start, state.Options{}).Loaded(); restored != 3000 {
		t.Errorf("restored %d", restored)
	}
}
