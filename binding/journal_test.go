package binding

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/state/statefile"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		crashWriter(dir)
	}
	goleak.VerifyTestMain(m)
}

func stateFile(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := statefile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// listeners are the options of a run whose listeners have these names, by index.
func listeners(names ...string) JournalOptions {
	return JournalOptions{
		Name: func(i uint16) string { return names[i] },
		Index: func(name string) (uint16, bool) {
			for i, n := range names {
				if n == name {
					return uint16(i), true
				}
			}
			return 0, false
		},
	}
}

// twoListeners suits udp and tcp, which name the listeners 1 and 2.
func twoListeners() JournalOptions {
	return listeners("", "udp:192.0.2.100:5060", "tcp:192.0.2.100:5060")
}

func openJournal(t testing.TB, db *sql.DB, table *Table, now time.Time, opts JournalOptions) *Journal {
	t.Helper()
	j, err := OpenJournal(t.Context(), db, table, now, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(context.Background()); err != nil && !strings.Contains(err.Error(), "closed") {
			t.Error(err)
		}
	})
	return j
}

func TestJournalRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state dir", "state ?%.db")
	keys := openKeys(t)
	table, _ := New(Config{}, keys)
	db := stateFile(t, path)
	j := openJournal(t, db, table, start, twoListeners())
	over := phone(table, "alice@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour)
	over.NAT = true
	on := phone(table, "bob@example.com", "sip:b@[2001:db8::1]", tcp("[2001:db8::1]:4000", 7), time.Hour)
	inside := phone(table, "carol@example.com", "sip:c@192.168.1.1", udp("[fe80::1%lo]:1024"), time.Hour)
	inside.Flow.Side = edge.Inside
	short := phone(table, "dave@example.com", "sip:d@192.168.1.1", udp("192.0.2.4:1024"), time.Minute)
	deleted := phone(table, "erin@example.com", "sip:e@192.168.1.1", udp("192.0.2.5:1024"), time.Hour)
	for _, b := range []Binding{over, on, inside, short, deleted} {
		put(t, table, b, start)
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	table.Delete(deleted.ID, start)
	over.Flow = udp("192.0.2.1:2048") // a refresh from another port, written by Close
	put(t, table, over, start)
	if err := errors.Join(j.Close(t.Context()), j.Close(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("state file: %v, %v", info.Mode(), err)
	}

	later := start.Add(2 * time.Minute)
	table, _ = New(Config{}, keys)
	db = stateFile(t, path)
	j = openJournal(t, db, table, later, listeners("tcp:192.0.2.100:5060", "spare", "udp:192.0.2.100:5060"))
	if restored, left := j.Loaded(); restored != 3 || left != 0 || table.Len() != 3 {
		t.Errorf("%d restored, %d left, %d in the table", restored, left, table.Len())
	}
	over.Flow.Listener, inside.Flow.Listener = 2, 2
	on.Flow.Listener, on.Flow.Conn = 0, GoneConn
	for _, want := range []Binding{over, on, inside} {
		if got, ok := table.Get(want.ID, later); !ok || !same(got, want) {
			t.Errorf("got  %+v, %t\nwant %+v", got, ok, want)
		}
	}
	if !table.Known(over.Flow, later) || table.Known(tcp("[2001:db8::1]:4000", 7), later) {
		t.Error("a connection of the last run is known in this one, or an address is not")
	}
}

// TestJournalListenerGone: a binding whose listener has no like is left out, and stays in the file.
func TestJournalListenerGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	keys := openKeys(t)
	for run, want := range []struct {
		opts           JournalOptions
		restored, left int
	}{
		{twoListeners(), 0, 0},
		{listeners("", "udp:192.0.2.100:5060"), 1, 1},
		{twoListeners(), 2, 0},
	} {
		table, _ := New(Config{}, keys)
		db := stateFile(t, path)
		j := openJournal(t, db, table, start, want.opts)
		if restored, left := j.Loaded(); restored != want.restored || left != want.left {
			t.Errorf("run %d: %d restored, %d left", run, restored, left)
		}
		if run == 0 {
			put(t, table, phone(table, "a@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour), start)
			put(t, table, phone(table, "b@example.com", "sip:b@192.168.1.1", tcp("192.0.2.1:1024", 3), time.Hour), start)
		}
		if err := errors.Join(j.Close(t.Context()), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJournalOddRows: a row that makes no sense costs itself only.
func TestJournalOddRows(t *testing.T) {
	db := stateFile(t, filepath.Join(t.TempDir(), "state.db"))
	table := newTable(t, Config{Max: 1})
	j := openJournal(t, db, table, start, twoListeners())
	put(t, table, phone(table, "a@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour), start)
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	odd := []string{
		`id = 'UPPERCASE'`, `transport = 'sctp'`, `remote = 'nowhere'`, `listener = 'udp:192.0.2.9:1'`, `side = 2`, `side = -1`,
		`contact = printf('%.*c', 513, 'x')`, `nat = 0`, // the last makes two good rows where one may be
	}
	for i, set := range odd {
		id := fmt.Sprintf("234567234567%c234", 'a'+i)
		if _, err := db.Exec(`INSERT INTO binding SELECT ?, aor, contact, transport, remote, conn, listener, side, nat, expires
			FROM binding WHERE aor = 'a@example.com' LIMIT 1`, id); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(`UPDATE binding SET aor = 'odd', `+set+` WHERE id = ?`, id); err != nil {
			t.Fatal(err)
		}
	}
	fresh := newTable(t, Config{Max: 1})
	j = openJournal(t, db, fresh, start, twoListeners())
	if restored, left := j.Loaded(); restored != 1 || left != len(odd) {
		t.Errorf("%d restored, %d left", restored, left)
	}
}

func TestJournalVersion(t *testing.T) {
	db := stateFile(t, filepath.Join(t.TempDir(), "state.db"))
	j := openJournal(t, db, newTable(t, Config{}), start, twoListeners())
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`UPDATE room_version SET version = 2 WHERE room = 'binding'`); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(t.Context(), db, newTable(t, Config{}), start, twoListeners()); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a later version: %v", err)
	}
	if _, err := OpenJournal(t.Context(), db, newTable(t, Config{}), start, JournalOptions{}); err == nil {
		t.Error("a journal without names of listeners was opened")
	}
}

// states records what State is told.
type states struct {
	mu   sync.Mutex
	told []error
}

func (s *states) add(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, err)
}

func (s *states) take() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := s.told
	s.told = nil
	return told
}

// TestJournalOutage: when writing fails the table goes on, State is told once, and later nothing is missing.
func TestJournalOutage(t *testing.T) {
	for _, tt := range []struct {
		name        string
		begin, end  string
		wantInError string
	}{
		{"disk full", `PRAGMA max_page_count = 1`, `PRAGMA max_page_count = 1000000`, "full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := stateFile(t, filepath.Join(t.TempDir(), "state.db"))
			var told states
			opts := twoListeners()
			opts.State = told.add
			table := newTable(t, Config{Max: 1000})
			j := openJournal(t, db, table, start, opts)
			exec := func(statement string) {
				t.Helper()
				if _, err := db.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
			put(t, table, phone(table, "kept@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour), start)
			if err := j.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			exec(tt.begin)
			var all []Binding
			for i := range 1000 - 1 {
				b := phone(table, fmt.Sprintf("user%d@example.com", i), "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour)
				all = append(all, b)
				put(t, table, b, start)
			}
			for range 3 {
				if err := j.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), tt.wantInError) {
					t.Errorf("flush: %v", err)
				}
			}
			for _, b := range all { // more changes than the journal remembers one by one
				table.Delete(b.ID, start)
				b.Contact += ";new"
				b.ID = table.ID([]byte(b.AOR), nil, nil, []byte(b.Contact))
				put(t, table, b, start)
			}
			if n, all := j.Waiting(); n > 1000 || !all {
				t.Errorf("%d changes are remembered of at most 1000, all: %t", n, all)
			}
			if n := len(told.take()); n != 1 {
				t.Errorf("State was told %d times of one outage", n)
			}
			exec(tt.end)
			if err := j.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := told.take(); len(got) != 1 || got[0] != nil {
				t.Errorf("at the end of the outage State was told %v", got)
			}
			var n, fresh int
			if err := db.QueryRow(`SELECT count(*), sum(contact LIKE '%;new') FROM binding`).Scan(&n, &fresh); err != nil || n != 1000 || fresh != 999 {
				t.Errorf("%d rows, %d new ones, %v", n, fresh, err)
			}
		})
	}
}

// TestJournalLocked: another process holds the file.
func TestJournalLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, other := stateFile(t, path), stateFile(t, path)
	table := newTable(t, Config{})
	j := openJournal(t, db, table, start, twoListeners())
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	b := phone(table, "a@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour)
	put(t, table, b, start)
	if err := j.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("flush of a locked file: %v", err)
	}
	if _, ok := table.Get(b.ID, start); !ok {
		t.Error("the table waits for the file")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestJournalWritesByItself: nobody calls Flush.
func TestJournalWritesByItself(t *testing.T) {
	db := stateFile(t, filepath.Join(t.TempDir(), "state.db"))
	table := newTable(t, Config{})
	openJournal(t, db, table, start, twoListeners())
	put(t, table, phone(table, "a@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour), start)
	for n := 0; n == 0; {
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM binding`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJournalRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	keys := openKeys(t)
	table, _ := New(Config{}, keys)
	db := stateFile(t, path)
	j := openJournal(t, db, table, start, twoListeners())
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 500 {
				b := phone(table, fmt.Sprintf("user%d@example.com", i%50), "sip:a@192.168.1.1", udp(fmt.Sprintf("192.0.2.%d:%d", worker, i+1)), time.Hour)
				if err := table.Put(b, start); err != nil {
					t.Error(err)
				}
				if i%20 == worker {
					table.Delete(b.ID, start)
				}
				if i%100 == worker {
					if err := j.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(j.Close(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	again, _ := New(Config{}, keys)
	openJournal(t, stateFile(t, path), again, start, twoListeners())
	if again.Len() != table.Len() {
		t.Errorf("%d bindings in memory, %d on the disk", table.Len(), again.Len())
	}
	for i := range 50 {
		id := table.ID(fmt.Appendf(nil, "user%d@example.com", i), nil, nil, []byte("sip:a@192.168.1.1"))
		a, okA := table.Get(id, start)
		b, okB := again.Get(id, start)
		if okA != okB || !same(a, b) {
			t.Errorf("in memory %+v %t, on the disk %+v %t", a, okA, b, okB)
		}
	}
}

// TestJournalIdleFlush: a flush that finds nothing to write looks at nothing that a binding put meanwhile changes.
func TestJournalIdleFlush(t *testing.T) {
	table := newTable(t, Config{})
	j := openJournal(t, stateFile(t, filepath.Join(t.TempDir(), "state.db")), table, start, twoListeners())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := j.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 50 {
		put(t, table, phone(table, "a@example.com", "sip:a@192.168.1.1", udp(fmt.Sprintf("192.0.2.1:%d", 1024+i)), time.Hour), start)
		time.Sleep(time.Millisecond) // long enough for flushes that find nothing
	}
	close(stop)
	wg.Wait()
}

// crashEnv names the folder of crashWriter and makes the test binary run it.
const crashEnv = "BINDING_CRASH_DIR"

// crashWriter is the process that is killed: it puts bindings without end and prints each number that Flush has
// written.
func crashWriter(dir string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	keys, err := seal.Open(filepath.Join(dir, "keys"))
	if err != nil {
		fail(err)
	}
	table, err := New(Config{}, keys)
	if err != nil {
		fail(err)
	}
	db, err := statefile.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		fail(err)
	}
	j, err := OpenJournal(context.Background(), db, table, start, twoListeners())
	if err != nil {
		fail(err)
	}
	for i := 0; ; i++ {
		if err := table.Put(phone(table, fmt.Sprintf("user%d@example.com", i), "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour), start); err != nil {
			fail(err)
		}
		if i%50 == 49 {
			if err := j.Flush(context.Background()); err != nil {
				fail(err)
			}
			fmt.Println(i)
		}
	}
}

// TestJournalKill kills a writing process with SIGKILL, several times over one file: what was written stays, and the
// file is whole.
func TestJournalKill(t *testing.T) {
	dir := t.TempDir()
	for run := range 3 {
		writer := exec.Command(os.Args[0])
		writer.Env = append(os.Environ(), crashEnv+"="+dir)
		writer.Stderr = os.Stderr
		out, err := writer.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		var written int
		for written < 300*(run+1) {
			if _, err := fmt.Fscanln(out, &written); err != nil {
				t.Fatalf("the writer ended early: %v", err)
			}
		}
		if err := writer.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = writer.Wait() // it says that it was killed
		keys, err := seal.Open(filepath.Join(dir, "keys"))
		if err != nil {
			t.Fatal(err)
		}
		table, _ := New(Config{}, keys)
		db := stateFile(t, filepath.Join(dir, "state.db"))
		j := openJournal(t, db, table, start, twoListeners())
		for i := range written + 1 {
			id := table.ID(fmt.Appendf(nil, "user%d@example.com", i), nil, nil, []byte("sip:a@192.168.1.1"))
			if _, ok := table.Get(id, start); !ok {
				t.Fatalf("run %d: binding %d of %d is lost", run, i, written)
			}
		}
		if err := errors.Join(j.Close(t.Context()), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenStateDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	db := stateFile(t, path)
	table := newTable(t, Config{})
	j := openJournal(t, db, table, start, twoListeners())
	for i := range 2000 {
		put(t, table, phone(table, fmt.Sprintf("user%d@example.com", i), "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour), start)
	}
	if err := errors.Join(j.Close(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil || len(good) < 100_000 {
		t.Fatalf("%d bytes, %v", len(good), err)
	}
	hole := append([]byte(nil), good...)
	for i := 8192; i < 40960; i++ {
		hole[i] = 0xa5
	}
	for name, content := range map[string][]byte{
		"another file": []byte(strings.Repeat("this is no database\n", 100)),
		"cut":          good[:len(good)/2],
		"overwritten":  hole,
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := statefile.Open(path)
		if err == nil {
			db.Close()
			t.Errorf("%s: accepted", name)
			continue
		}
		if !strings.Contains(err.Error(), path+" is damaged") || !statefile.Damaged(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := statefile.Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := statefile.Open(filepath.Join(path, "x")); err == nil {
		t.Error("a file as folder was accepted")
	}
}
