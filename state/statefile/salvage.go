package statefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// aboutAside stands between the name of a state file and the time at which it was set aside.
const aboutAside = ".damaged-"

// tails are what the names of a state file's own files end with: the database, its log, and the index of that.
var tails = [...]string{"", "-wal", "-shm"}

// A Salvaged tells what became of a damaged state file.
type Salvaged struct {
	Aside   string         // what the damaged file is called now
	Rows    map[string]int // rows that the new file took over, by table
	Partial []string       // tables of which not everything could be read
	Failed  error          // why the new file holds less than could be read, or nothing; nil: it holds all of that
}

// String says what was taken over: "ban 12, binding 3; not all of ban could be read".
func (s *Salvaged) String() string {
	var taken []string
	for _, table := range slices.Sorted(maps.Keys(s.Rows)) {
		taken = append(taken, fmt.Sprintf("%s %d", table, s.Rows[table]))
	}
	text := "nothing could be read"
	if len(taken) > 0 {
		text = strings.Join(taken, ", ")
	}
	if len(s.Partial) > 0 {
		text += "; not all of " + strings.Join(s.Partial, ", ") + " could be read"
	}
	if s.Failed != nil {
		text += "; " + s.Failed.Error()
	}
	return text
}

// Salvage sets a damaged state file that nobody has open aside, under a name that it returns, and puts a new one in its place that holds every
// row which can still be read, table by table: damage in one table costs the others nothing. The damaged file is not changed. It gives
// up reading when ctx ends, and keeps what it has by then. The error says why there is no new file.
//
// The new file is complete before it takes the name: who is killed meanwhile finds the damaged one again.
func Salvage(ctx context.Context, path string) (Salvaged, error) {
	fresh := path + ".new"
	s := Salvaged{Rows: map[string]int{}}
	err := errors.Join(remove(fresh), s.rescue(ctx, path, fresh))
	if s.Failed = err; err != nil { // an empty one, then
		if err := remove(fresh); err != nil {
			return s, fmt.Errorf("salvage state file %s: %w", path, err)
		}
	}
	if s.Aside, err = setAside(path); err == nil {
		err = os.Rename(fresh, path)
		if errors.Is(err, fs.ErrNotExist) {
			err = touch(path)
		}
	}
	if err != nil {
		return s, fmt.Errorf("salvage state file %s: %w", path, err)
	}
	return s, nil
}

// Aside lists the damaged files that were set aside from path, oldest first: until somebody has looked at them and taken them away.
func Aside(path string) (files []string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	for _, e := range entries { // by name, which ends with the time
		if name := e.Name(); strings.HasPrefix(name, filepath.Base(path)+aboutAside) && !strings.HasSuffix(name, tails[1]) && !strings.HasSuffix(name, tails[2]) {
			files = append(files, filepath.Join(filepath.Dir(path), name))
		}
	}
	return files
}

// setAside renames the file and what belongs to it: its log first, which must never meet another file of that name.
func setAside(path string) (aside string, err error) {
	aside = path + aboutAside + time.Now().UTC().Format("20060102T150405.000Z")
	for _, tail := range slices.Backward(tails[:]) {
		if rerr := os.Rename(path+tail, aside+tail); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return aside, err
}

// remove removes the file and what belongs to it, as far as it is there.
func remove(path string) (err error) {
	for _, tail := range tails {
		if rerr := os.Remove(path + tail); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// rescue makes the file fresh of what can be read of the one at path. The error is one of writing.
func (s *Salvaged) rescue(ctx context.Context, path, fresh string) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	// Read only, so that not even the log is worked in; and what is wrong with one table's description does not hide the others.
	dsn := url.URL{Scheme: "file", Path: absolute, RawQuery: "mode=ro&_pragma=writable_schema(1)"}
	from, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := open(fresh)
	if err != nil {
		return err
	}
	for _, t := range tables(ctx, from) {
		if err = s.table(ctx, from, to, t); err != nil {
			break
		}
	}
	return errors.Join(err, to.Close())
}

// A table is one of a damaged file: its name and the statement that makes it.
type table struct{ name, create string }

// tables are those that can be found.
func tables(ctx context.Context, from *sql.DB) (all []table) {
	rows, err := from.QueryContext(ctx, `SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
	if err != nil {
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var t table
		if rows.Scan(&t.name, &t.create) == nil {
			all = append(all, t)
		}
	}
	return all
}

// table takes one table over: from its beginning, and where that breaks off, from its end.
func (s *Salvaged) table(ctx context.Context, from, to *sql.DB, t table) error {
	tx, err := to.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // it is over by then, unless something else went wrong
	if _, err := tx.Exec(t.create); err != nil {
		s.Partial = append(s.Partial, t.name)
		return unlessOdd(err)
	}
	all, err := s.rows(ctx, from, tx, t.name, "")
	if err == nil && !all {
		s.Partial = append(s.Partial, t.name)
		_, err = s.rows(ctx, from, tx, t.name, backwards(ctx, from, t.name))
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

// backwards is the order in which the rows of a table come from its end.
func backwards(ctx context.Context, from *sql.DB, name string) string {
	var key string // that of a WITHOUT ROWID table is what it is ordered by; that of another has an index of its own
	err := from.QueryRowContext(ctx, `SELECT group_concat('"' || name || '" DESC', ', ') FROM (SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk)`, name).Scan(&key)
	if err != nil {
		key = "rowid DESC"
	}
	return " ORDER BY " + key
}

// rows copies rows until one can't be read, and reports whether that was all of them. The error is one of writing.
func (s *Salvaged) rows(ctx context.Context, from *sql.DB, tx *sql.Tx, name, order string) (all bool, err error) {
	rows, err := from.QueryContext(ctx, `SELECT * FROM `+quoted(name)+order)
	if err != nil {
		return false, nil
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return false, nil
	}
	put, err := tx.Prepare(`INSERT OR IGNORE INTO ` + quoted(name) + ` VALUES (?` + strings.Repeat(", ?", len(columns)-1) + `)`)
	if err != nil {
		return false, unlessOdd(err)
	}
	defer put.Close()
	values, at := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		at[i] = &values[i]
	}
	all = true
	for rows.Next() {
		if rows.Scan(at...) != nil {
			return false, nil
		}
		done, err := put.Exec(values...)
		if err != nil {
			if all = false; unlessOdd(err) != nil {
				return false, err
			}
			continue
		}
		if n, err := done.RowsAffected(); err == nil {
			s.Rows[name] += int(n)
		}
	}
	return all && rows.Err() == nil, nil
}

// quoted is name as statements have it.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// unlessOdd is err, unless it says that a statement or value out of a damaged file makes no sense.
func unlessOdd(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
			return nil
		}
	}
	return err
}
