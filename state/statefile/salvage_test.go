package statefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"modernc.org/sqlite/vfs"
)

// page is SQLite's page size.
const page = 4096

// newFile makes a state file with n rows in each of two tables, closes it in the manner of who is killed (the last rows are in the log only)
// or in good order, and returns its path.
func newFile(t *testing.T, n int, killed bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(text string, args ...any) {
		t.Helper()
		if _, err := db.Exec(text, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE ban (source TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID`)
	exec(`CREATE TABLE call (id INTEGER PRIMARY KEY, record TEXT NOT NULL) STRICT`)
	for i := range n {
		exec(`INSERT INTO ban VALUES (?, ?)`, fmt.Sprintf("198.18.%d.%d %s", i/250, i%250, strings.Repeat("b", 100)), i)
	}
	for i := range n {
		exec(`INSERT INTO call VALUES (?, ?)`, i, strings.Repeat("c", 100))
	}
	exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
	exec(`INSERT INTO call VALUES (?, 'last')`, n)
	if !killed {
		return path
	}
	there := filepath.Join(t.TempDir(), "state.db")
	for _, tail := range tails {
		b, err := os.ReadFile(path + tail)
		if err == nil {
			err = os.WriteFile(there+tail, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return there
}

// pagesOf are the numbers, from 0, of the pages in which text stands often.
func pagesOf(t *testing.T, path, text string) (list []int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i*page < len(b); i++ {
		if strings.Count(string(b[i*page:(i+1)*page]), text) > 10 {
			list = append(list, i)
		}
	}
	return list
}

// spoil overwrites one page.
func spoil(t *testing.T, path string, number int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt([]byte(strings.Repeat("\xee", page)), int64(number)*page)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func rowsIn(t *testing.T, db *sql.DB, table string) (n int) {
	t.Helper()
	if err := db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSalvage: whatever part of the file is spoiled, it is found damaged, set aside as it is, and all that stands in other parts is in the new file.
func TestSalvage(t *testing.T) {
	const n = 2000
	for name, c := range map[string]struct {
		killed     bool
		spoil      func(t *testing.T, path string)
		bans, last int // of each table, at least
		partial    []string
	}{
		"a page of bans": {true, func(t *testing.T, path string) {
			all := pagesOf(t, path, "bbbbbbbbbb")
			spoil(t, path, all[len(all)/2])
		}, n - 60, n + 1, []string{"ban"}},
		"a page of calls, closed in order": {false, func(t *testing.T, path string) {
			all := pagesOf(t, path, "cccccccccc")
			spoil(t, path, all[3])
		}, n, n - 60, []string{"call"}},
		"the root of bans": {true, func(t *testing.T, path string) { spoil(t, path, 1) }, 0, n + 1, []string{"ban"}},
		"the first page":   {true, func(t *testing.T, path string) { spoil(t, path, 0) }, 0, 0, nil},
		"the end is missing": {false, func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err == nil {
				err = os.Truncate(path, info.Size()/page/2*page)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, 0, 0, nil},
		"no database": {false, func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("rubbish", 10_000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, 0, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t, n, c.killed)
			c.spoil(t, path)
			if _, err := Open(path); !Damaged(err) || !strings.Contains(err.Error(), path) {
				t.Fatalf("open: %v", err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Salvage(t.Context(), path)
			if err != nil || s.Failed != nil {
				t.Fatalf("salvage: %v, %v", err, s.Failed)
			}
			t.Log(s.String())
			if after, err := os.ReadFile(s.Aside); err != nil || string(after) != string(before) {
				t.Errorf("the damaged file is another one: %v", err)
			}
			if got := Aside(path); !slices.Equal(got, []string{s.Aside}) {
				t.Errorf("aside: %v, want %s", got, s.Aside)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the new file: %v, %v", info, err)
			}
			db, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if c.bans+c.last == 0 {
				return
			}
			if c.partial != nil && !slices.Equal(s.Partial, c.partial) {
				t.Errorf("not whole: %v", s.Partial)
			}
			if bans, calls := rowsIn(t, db, "ban"), rowsIn(t, db, "call"); bans < c.bans || calls < c.last || bans != s.Rows["ban"] || calls != s.Rows["call"] {
				t.Errorf("%d bans and %d calls of %d; it says %v", bans, calls, n, s.Rows)
			}
		})
	}
}

// TestSalvageEnds: who has no time gets an empty file, and so does who has no room; the damaged one is kept.
func TestSalvageEnds(t *testing.T) {
	path := newFile(t, 500, true)
	spoil(t, path, 1)
	late, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := Salvage(late, path)
	if err != nil || len(s.Rows) != 0 || len(Aside(path)) != 1 {
		t.Errorf("no time: %v, %v, aside %v", s, err, Aside(path))
	}
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if err := os.WriteFile(path, []byte(strings.Repeat("rubbish", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+".new", 0o700); err != nil { // nothing can be made there
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path+".new", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Salvage(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no place: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(b), "rubbish") {
		t.Errorf("no place, and the file is gone: %v", err)
	}
}

// A brokenDisk gives files back up to a page, and an error from there on.
type brokenDisk struct{ fs.FS }

func (d brokenDisk) Open(name string) (fs.File, error) {
	f, err := d.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return brokenFile{f, f.(io.Seeker)}, nil
}

type brokenFile struct {
	fs.File
	io.Seeker
}

func (f brokenFile) Read(b []byte) (int, error) {
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at >= 5*page {
		return 0, syscall.EIO
	}
	return f.File.Read(b)
}

// TestDiskErrors: what a disk does not give back is damage, too; a disk that is full, or a file that is locked, is not.
func TestDiskErrors(t *testing.T) {
	path := newFile(t, 500, false)
	db, err := sql.Open("sqlite", "file:"+path)
	if err == nil {
		_, err = db.Exec(`PRAGMA journal_mode = DELETE`) // the broken disk can't do more
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	name, disk, err := vfs.New(brokenDisk{os.DirFS(filepath.Dir(path))})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if db, err = sql.Open("sqlite", "file:state.db?vfs="+name); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := check(db); !Damaged(err) {
		t.Errorf("a disk error: %v", err)
	}

	one, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	for _, text := range []string{`PRAGMA max_page_count = 1; INSERT INTO call VALUES (1000, zeroblob(100000))`, `PRAGMA query_only = 1; DELETE FROM call`} {
		if _, err := one.Exec(text); err == nil || Damaged(err) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
