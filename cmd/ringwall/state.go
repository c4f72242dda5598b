package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/state/statefile"
)

// lockName is the file in the state folder that the one ringwall using it holds a lock on.
const lockName = "ringwall.lock"

// A stateLock keeps a second ringwall away from the state folder. The kernel takes it from a process that dies.
type stateLock struct{ file *os.File }

// prepareFolders makes the folders of state, key file and control socket, as far as they are missing. The first two are for
// this user alone; the socket may be used by its group. A key file that is there already may stand where nothing can be written, as one that a
// service manager hands over does: only `ringwall topology rotate` would write.
func prepareFolders(cfg *config.Config) error {
	for _, f := range []struct {
		path string
		mode fs.FileMode
	}{{cfg.State, 0o700}, {cfg.Topology.KeyFile, 0o700}, {cfg.Admin.Socket, 0o750}} {
		dir := filepath.Dir(f.path)
		if err := os.MkdirAll(dir, f.mode); err != nil {
			return notWritable(dir, err)
		}
		if _, err := os.Stat(f.path); err == nil && f.path == cfg.Topology.KeyFile {
			continue
		}
		if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			return notWritable(dir, err)
		}
	}
	return nil
}

// notWritable is the sentence for a folder that this user cannot write to.
func notWritable(dir string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return notKept(fmt.Errorf("cannot keep files in %s: %w", dir, err))
}

// notKept says what to do about a file of the state that cannot be written.
func notKept(err error) error {
	switch {
	case errors.Is(err, unix.EROFS): // no user may
		return fmt.Errorf("%w; mount it read-write (under systemd: StateDirectory= or ReadWritePaths=), or name another folder with --state DIR", err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w; make room there, or name another folder with --state DIR", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run ringwall as the user that owns it, or name a folder of your own with --state DIR", err)
	}
	return fmt.Errorf("%w; name a folder of your own with --state DIR", err)
}

// lockState takes the lock of the folder of the state file. Close gives it back.
func lockState(state string) (*stateLock, error) {
	dir := filepath.Dir(state)
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, notWritable(dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another ringwall (pid %s) uses %s", holder(f), dir)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		return nil, errors.Join(notWritable(dir, err), f.Close())
	}
	return &stateLock{f}, nil
}

func writePID(f *os.File) error {
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder reads the process number that the holder of the lock wrote.
func holder(f *os.File) string {
	text := make([]byte, 20)
	n, _ := f.ReadAt(text, 0) // what is not there reads as unknown
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n]))); err == nil {
		return strconv.Itoa(pid)
	}
	return "unknown"
}

// Close gives the lock back. The file stays: removing it would let two others lock different files of one name.
func (l *stateLock) Close() error {
	return errors.Join(l.file.Truncate(0), l.file.Close())
}

// mostSalvage is how long a start may take to read what is left of a damaged state file.
const mostSalvage = 10 * time.Second

// openFile opens the state file. One that is damaged is set aside, and what can still be read of it is taken over: a broken disk must not cost
// an operator his phones (docs/adr/0014-start-without-a-damaged-state-file.md). One that must not or cannot be opened is an error.
func (s *service) openFile(ctx context.Context) (*sql.DB, error) {
	db, err := statefile.Open(s.cfg.State)
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, unix.EISDIR):
		return nil, s.cfg.Fault("state", err.Error(), "name a file, or move the folder away")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return nil, notKept(err)
	case !statefile.Damaged(err):
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, mostSalvage)
	defer cancel()
	saved, failed := statefile.Salvage(ctx, s.cfg.State)
	if failed != nil {
		return nil, errors.Join(err, failed)
	}
	s.log.Warn("the state file was damaged: a new one is begun, with what could be read", "event", event.State, "reason", reasonDamaged,
		"detail", "moved to "+saved.Aside, "error", err.Error(), "taken_over", saved.String())
	return statefile.Open(s.cfg.State)
}

// setAside says that damaged state files lie beside the state file, where somebody is to look at them; "" if none does.
func setAside(state string) string {
	files := statefile.Aside(state)
	if len(files) == 0 {
		return ""
	}
	text := "the state file was damaged: what could be read or was in force is in a new one, the damaged one is " + files[len(files)-1]
	if n := len(files) - 1; n > 0 {
		text += " (and " + count(n, "older one") + " beside it)"
	}
	return text + "; see whether bans or registrations are missing, look at the disk, then remove it"
}
