package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/config"
)

// TestNotKept: what is advised helps against what is wrong, and the exit code says whether another user or mount is asked for.
func TestNotKept(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   int
		advice string
	}{
		{unix.EROFS, exitPermission, "mount it read-write"},
		{unix.EACCES, exitPermission, "as the user that owns it"},
		{fs.ErrPermission, exitPermission, "as the user that owns it"},
		{unix.ENOSPC, exitFailure, "make room there"},
		{unix.ENOTDIR, exitFailure, "name a folder of your own"},
	} {
		err := notWritable("/var/lib/ringwall", &fs.PathError{Op: "mkdir", Path: "/var/lib/ringwall", Err: c.err})
		if code := exitCode(failed(err)); code != c.code || !strings.Contains(err.Error(), c.advice) || !errors.Is(err, c.err) {
			t.Errorf("%v: exit %d, %q", c.err, code, err)
		}
		if c.err == unix.EROFS && strings.Contains(err.Error(), "user") {
			t.Errorf("no user may write to a read-only file system: %q", err)
		}
	}
	if code := exitCode(failed(fmt.Errorf("make key file: %w", &fs.PathError{Op: "open", Path: "k", Err: unix.EROFS}))); code != exitPermission {
		t.Errorf("a key file on a read-only file system: exit %d", code)
	}
}

// TestKeyFileElsewhere: a key file that is there may stand where nothing can be made: /proc is such a place for anybody, root too.
func TestKeyFileElsewhere(t *testing.T) {
	cfg := config.Default()
	if err := cfg.Override(config.Overrides{State: filepath.Join(t.TempDir(), "s")}); err != nil {
		t.Fatal(err)
	}
	cfg.Topology.KeyFile = "/proc/self/status"
	if err := prepareFolders(cfg); err != nil {
		t.Error(err)
	}
}
