// Package statefile opens the state file, the SQLite database that rooms share. It stands apart from state so that only
// who opens the file carries the database engine.
package statefile

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Open opens the state file, an SQLite database that rooms share, or makes it (mode 0600; its folder 0700 where it
// is missing). The caller closes it last of all. Of an error, Damaged tells whether Salvage helps.
//
// It runs in WAL mode with synchronous=NORMAL: a commit is one write to the log and waits for no disk. A killed process
// loses nothing that was committed, because what it wrote is the kernel's by then; when the whole machine loses power
// the last commits can be lost, but the file stays whole (SQLite, "Write-Ahead Logging"). One connection serves all, so
// that there is one writer and nobody in this process waits for a lock; for other processes, such as a backup, a
// statement waits up to two seconds.
func Open(path string) (*sql.DB, error) {
	db, err := open(path)
	if err == nil {
		return db, nil
	}
	if Damaged(err) {
		return nil, fmt.Errorf("state file %s is damaged: %w", path, err)
	}
	if at, ok := errors.AsType[*fs.PathError](err); ok { // which would name the path once more
		err = at.Err
	}
	return nil, fmt.Errorf("open state file %s: %w", path, err)
}

func open(path string) (*sql.DB, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(absolute), 0o700); err != nil {
		return nil, err
	}
	if err := touch(absolute); err != nil {
		return nil, err
	}
	dsn := url.URL{Scheme: "file", Path: absolute, RawQuery: url.Values{
		"_pragma": {"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(NORMAL)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := check(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// touch makes the file where it is missing. SQLite gives the log the mode of the file.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// A Guard looks after a state file that is open.
type Guard struct {
	db   *sql.DB
	path string

	mu       sync.Mutex // held while the file is looked at or replaced
	file     os.FileInfo
	replaced int       // how often it was
	aside    string    // where it went last
	at       time.Time // when
}

// ErrReplaced: the file is another one since it was asked last, new and empty.
var ErrReplaced = errors.New("the state file was replaced")

// NewGuard makes the guard of the file at path, which db has just been opened on.
func NewGuard(db *sql.DB, path string) (*Guard, error) {
	file, err := os.Stat(path)
	return &Guard{db: db, path: path, file: file}, err
}

// header is what every SQLite file begins with.
const header = "SQLite format 3\x00"

// Watch returns what one journal asks before it writes: whether the file is sound, or (ErrReplaced, once) was replaced since.
func (g *Guard) Watch() func() error {
	seen := 0
	return func() error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if seen != g.replaced {
			seen = g.replaced
			return ErrReplaced
		}
		return g.sound()
	}
}

// sound reports by a damage (Damaged) that the file is gone, is another one, or does not begin like a database any more: the engine,
// which has it open and much of it in memory, would not notice. It looks at nothing else, and costs microseconds.
func (g *Guard) sound() error {
	f, err := os.Open(g.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is gone", errDamaged, g.path)
	} else if err != nil {
		return fmt.Errorf("look at state file: %w", err)
	}
	defer f.Close()
	now, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at state file: %w", err)
	}
	if !os.SameFile(now, g.file) {
		return fmt.Errorf("%w: %s is another file", errDamaged, g.path)
	}
	begin := make([]byte, len(header))
	if _, err := io.ReadFull(f, begin); err != nil || string(begin) != header {
		return fmt.Errorf("%w: %s does not begin like a database", errDamaged, g.path)
	}
	return nil
}

// Replace moves the damaged file aside and begins a new, empty one that the database is on from then on: rooms have to make
// their tables and write what they hold. It returns what the damaged file is called now, if it was there.
//
// Two journals find the same damage: the second is told where the file went, too.
func (g *Guard) Replace() (aside string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.aside != "" && time.Since(g.at) < justNow {
		return g.aside, nil
	}
	if aside, err = g.replace(); err == nil {
		g.aside, g.at = aside, time.Now()
		g.replaced++
	}
	return aside, err
}

// justNow is how long after a replacement another error is taken for one about the file before.
const justNow = 5 * time.Second

func (g *Guard) replace() (aside string, err error) {
	conn, err := g.db.Conn(context.Background()) // the only one: nobody uses the file meanwhile
	if err != nil {
		return "", fmt.Errorf("replace state file %s: %w", g.path, err)
	}
	if aside, err = setAside(g.path); err == nil {
		err = touch(g.path)
	}
	if err == nil {
		g.file, err = os.Stat(g.path)
	}
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // it is closed, and the next one opens the new file
	if err == nil {
		err = g.db.Ping()
	}
	if err != nil {
		return "", fmt.Errorf("replace state file %s: %w", g.path, err)
	}
	return aside, nil
}

// errDamaged is the finding of SQLite's own check.
var errDamaged = errors.New("the check of its structure fails")

// check reads the structure of the whole file.
func check(db *sql.DB) error {
	var finding string
	if err := db.QueryRow(`PRAGMA quick_check(1)`).Scan(&finding); err != nil {
		return err
	}
	if finding != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, finding)
	}
	return nil
}

// Damaged reports whether an error means that the file's content is not what SQLite wrote, or that the disk does not give it back.
func Damaged(err error) bool {
	var e *sqlite.Error
	if errors.As(err, &e) {
		if e.Code() == sqlite3.SQLITE_IOERR_READ || e.Code() == sqlite3.SQLITE_IOERR_SHORT_READ {
			return true
		}
		code := e.Code() & 0xff // without the extension
		return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
	}
	return errors.Is(err, errDamaged)
}
