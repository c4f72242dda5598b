package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/config"
)

// lockName is the file in the state folder that the one ringwall using it holds a lock on.
const lockName = "ringwall.lock"

// A stateLock keeps a second ringwall away from the state folder. The kernel takes it from a process that dies.
type stateLock struct{ file *os.File }

// prepareFolders makes the folders of state, key file and control socket, as far as they are missing. The first two are for
// this user alone; the socket may be used by its group.
func prepareFolders(cfg *config.Config) error {
	for _, f := range []struct {
		path string
		mode fs.FileMode
	}{{cfg.State, 0o700}, {cfg.Topology.KeyFile, 0o700}, {cfg.Admin.Socket, 0o750}} {
		dir := filepath.Dir(f.path)
		if err := os.MkdirAll(dir, f.mode); err != nil {
			return notWritable(dir, err)
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
	err = fmt.Errorf("cannot keep files in %s: %w; run ringwall as the user that owns it, or name a folder of your own with --state DIR", dir, err)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return fail(exitPermission, err)
	}
	return err
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
		return nil, errors.Join(fmt.Errorf("write %s: %w", f.Name(), err), f.Close())
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
