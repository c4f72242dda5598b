package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/siptest"
	"github.com/ringwall/ringwall/state/statefile"
)

// stateFile is the edge's.
func (r *rig) stateFile() string { return filepath.Join(r.edge.State, "state.db") }

// banOne has the i-th of many addresses banned for an hour, over the control socket.
func (r *rig) banOne(i int) error {
	return admin.Call(context.Background(), filepath.Join(r.edge.State, "ringwall.sock"), "ban",
		map[string]any{"source": benchmark(i), "for": time.Hour}, nil)
}

// banAll has all of from to to-1 banned.
func (r *rig) banAll(from, to int) {
	r.Helper()
	for i := from; i < to; i++ {
		if err := r.banOne(i); err != nil {
			r.Fatal(err)
		}
	}
}

// benchmark is the i-th address of 198.18.0.0/15.
func benchmark(i int) string { return fmt.Sprintf("198.18.%d.%d", i/250, i%250) }

// TestBansSurvive: while eight callers make 1,000 bans, kill -9 comes in the middle. None that was made more than a second before is lost, and no entry
// of the allow list; the rest is made after the restart.
func TestBansSurvive(t *testing.T) {
	const all, callers, every = 1000, 8, 24 * time.Millisecond // 333 a second
	r := newRig(t, udp, nil)
	r.does("allow", "add", "192.0.2.0/24")
	var made [all]time.Time // zero: not acknowledged
	var next, done atomic.Int64
	var running sync.WaitGroup
	middle := make(chan struct{})
	for range callers {
		running.Go(func() {
			for tick := time.NewTicker(every); ; <-tick.C {
				i := int(next.Add(1)) - 1
				if i >= all || r.banOne(i) != nil {
					return // killed
				}
				made[i] = time.Now()
				if done.Add(1) == all/2 {
					close(middle)
				}
			}
		})
	}
	<-middle
	killed := time.Now()
	r.edge.Kill()
	running.Wait()
	begun := int(next.Load())
	if begun >= all {
		t.Fatalf("%d bans were begun before the end: it did not come in the middle", begun)
	}
	r.edge.Start()
	have := r.banned()
	old, oldest := 0, time.Duration(0) // of those that are lost
	for i, at := range made {
		age, found := killed.Sub(at), slices.Contains(have, benchmark(i))
		switch {
		case at.IsZero():
		case age > time.Second:
			if old++; !found {
				t.Errorf("%s was banned %v before the end, and is not", benchmark(i), age)
			}
		case !found:
			oldest = max(oldest, age)
		}
	}
	t.Logf("killed after %d of %d bans, %d of them older than a second: %d are back, the oldest lost was %v old", done.Load(), all, old, len(have), oldest.Round(time.Millisecond))
	if out := r.does("allow", "list"); old < 100 || !strings.Contains(out, "192.0.2.0/24") {
		t.Errorf("%d bans are old enough to tell, allowed:\n%s", old, out)
	}
	r.banAll(0, all)
	if n := len(r.banned()); n != all {
		t.Errorf("%d bans in the end", n)
	}
}

// TestStateFileLost: the state file is overwritten, or removed, while ringwall runs. Service goes on, the log says so, and the next start
// finds every ban and registration.
func TestStateFileLost(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(path string) error{
		"overwritten": func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("rubbish", 10_000)), 0o600) },
		"truncated":   func(path string) error { return os.Truncate(path, 0) },
		"removed":     os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, udp, nil)
			contact := r.register(siptest.NewRegistrar(r.platform, nil), r.phone("alice"))
			r.does("ban", "198.51.100.7", "--for", "1h")
			time.Sleep(2 * time.Second) // it is written
			if err := harm(r.stateFile()); err != nil {
				t.Fatal(err)
			}
			r.does("ban", "198.51.100.8", "--for", "1h")
			r.edge.WaitLog("a new one is written")
			if out := r.does("status"); name != "removed" && !strings.Contains(out, "state.damaged") {
				t.Errorf("status says\n%s", out)
			}
			time.Sleep(2 * time.Second) // both journals have written everything
			r.edge.Kill()
			r.edge.Start()
			if got := r.banned(); !slices.Equal(got, []string{"198.51.100.7", "198.51.100.8"}) {
				t.Errorf("banned: %v", got)
			}
			r.platform.Send(r.platform.Request("INVITE", contact))
			if n := r.edge.Counter("ringwall_bindings"); n != 1 {
				t.Errorf("%v registrations", n)
			}
		})
	}
}

// TestStateFileDamaged: at the start the state file is damaged. Service begins all the same, with whatever can still be read; the damaged file is set aside, and
// the log says so once, status until somebody has taken it away.
func TestStateFileDamaged(t *testing.T) {
	t.Parallel()
	const bans = 600
	t.Run("a page of bans", func(t *testing.T) {
		t.Parallel()
		r, contact, phone := damaged(t, bans, func(path string) { spoil(t, path, "198.18.") })
		if n := len(r.banned()); n < bans*9/10 || n >= bans {
			t.Errorf("%d of %d bans are back", n, bans)
		}
		if out := r.does("allow", "list"); !strings.Contains(out, "192.0.2.0/24") {
			t.Errorf("allowed:\n%s", out)
		}
		r.platform.Send(r.platform.Request("INVITE", contact))
		phone.Expect("INVITE")
	})
	t.Run("a page of registrations", func(t *testing.T) {
		t.Parallel()
		r, _, phone := damaged(t, bans, func(path string) { spoil(t, path, "alice@example.com") })
		if n := len(r.banned()); n != bans {
			t.Errorf("%d of %d bans are back", n, bans)
		}
		phone.MustRegister()
	})
	t.Run("all of it", func(t *testing.T) {
		t.Parallel()
		r, _, phone := damaged(t, bans, func(path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("rubbish"), 10_000), 0o600); err != nil {
				t.Fatal(err)
			}
		})
		if got := r.banned(); len(got) > 0 {
			t.Errorf("%d bans", len(got))
		}
		phone.MustRegister()
		r.does("ban", "198.51.100.7")
	})
}

// damaged starts an edge with bans, an entry of the allow list and a registered phone, kills it, harms the state file and starts it again. It looks at what is said, and
// returns the phone and its Contact at the platform.
func damaged(t *testing.T, bans int, harm func(path string)) (r *rig, contact string, phone *siptest.UA) {
	t.Helper()
	r = newRig(t, udp, nil)
	phone = r.phone("alice")
	contact = r.register(siptest.NewRegistrar(r.platform, nil), phone)
	r.does("allow", "add", "192.0.2.0/24")
	r.banAll(0, bans)
	r.edge.Stop()
	harm(r.stateFile())
	r.edge.Start()
	r.edge.WaitLog("a new one is begun, with what could be read")
	aside := statefile.Aside(r.stateFile())
	if len(aside) != 1 || !strings.Contains(r.edge.Log(), "moved to "+aside[0]) {
		t.Fatalf("set aside: %v", aside)
	}
	if out := r.does("status"); !strings.Contains(out, "state.damaged") || !strings.Contains(out, aside[0]) {
		t.Errorf("status says\n%s", out)
	}
	r.edge.Kill()
	r.edge.Start()
	if n := strings.Count(r.edge.Log(), "state.damaged"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	if out := r.does("status"); !strings.Contains(out, "state.damaged") {
		t.Errorf("after another start status says\n%s", out)
	}
	free(t, aside[0])
	if out := r.does("status"); strings.Contains(out, "state.damaged") {
		t.Errorf("after a look status says\n%s", out)
	}
	return r, contact, phone
}

// spoil overwrites the last page of the file in which text stands.
func spoil(t *testing.T, path, text string) {
	t.Helper()
	const page = 4096
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(b, []byte(text)) / page * page
	if at < page {
		t.Fatalf("%q stands at %d", text, at)
	}
	copy(b[at:], bytes.Repeat([]byte{0xee}, page))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestStateFileUnreadable: what is no damage stops the start, with one clear sentence and its exit code, and leaves the file alone.
func TestStateFileUnreadable(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, nil)
	r.edge.Stop()
	for name, c := range map[string]struct {
		harm func(path string) error
		code int
		text string
	}{
		"a folder": {func(path string) error { return os.Mkdir(path, 0o700) }, 78, "is a directory"},
		// Nobody may write there, root included.
		"not ours": {func(path string) error { return os.Symlink("/sys/kernel/notes", path) }, 77, "run ringwall as the user that owns it"},
		"of a newer version": {func(path string) error {
			db, err := statefile.Open(path)
			if err != nil {
				return err
			}
			_, err = db.Exec(`CREATE TABLE room_version (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT; INSERT INTO room_version VALUES ('ban', 99)`)
			return errors.Join(err, db.Close())
		}, 1, "the state file holds version 99, this ringwall knows version 1"},
	} {
		if err := os.RemoveAll(r.stateFile()); err != nil {
			t.Fatal(err)
		}
		if err := c.harm(r.stateFile()); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(siptest.Binary(t), "run", "--config", filepath.Join(r.edge.State, "ringwall.yaml"), "--state", r.edge.State)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.text) || strings.Contains(string(out), "\ngoroutine") {
			t.Errorf("%s: exit %d, want %d with %q:\n%s", name, cmd.ProcessState.ExitCode(), c.code, c.text, out)
		}
		if left := statefile.Aside(r.stateFile()); len(left) > 0 {
			t.Errorf("%s: set aside: %v", name, left)
		}
		t.Logf("%s: exit %d: %s", name, cmd.ProcessState.ExitCode(), out)
	}
}

// TestStateDiskFull: with a full disk bans are made and in force, status says that they are not written, phones register and call; when there is room again all is
// written. A start on a full disk serves, too.
func TestStateDiskFull(t *testing.T) {
	if !inWorld(t) {
		return
	}
	w := newWorld(t)
	disk := "/run/small"
	w.run("mkdir " + disk)
	w.run("mount -t tmpfs -o size=4m tmpfs " + disk)
	t.Setenv("TMPDIR", disk)
	r := w.rig(nil)
	reg := siptest.NewRegistrar(r.platform, nil)
	phone := w.host("home", "outside", "203.0.113.20").phone("alice", "udp", r.edge.Outside)
	serves := func(bans int) {
		t.Helper()
		r.register(reg, phone)
		call := r.call(phone)
		r.bye(call.phone, call.platform)
		if n := len(r.banned()); n != bans {
			t.Errorf("%d bans, want %d", n, bans)
		}
	}
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	r.banAll(0, 300)
	r.edge.WaitLog("bans cannot be written")
	if out := r.does("status"); !strings.Contains(out, "state.bans: bans cannot be written") || !strings.Contains(out, "300 hard") {
		t.Errorf("status says\n%s", out)
	}
	serves(300)
	free(t, ballast)
	r.edge.WaitLog("bans are written again")
	r.edge.Kill()
	r.edge.Start()
	serves(300)

	r.edge.Kill()
	fill(t, ballast)
	r.edge.Start()
	r.banAll(300, 600)
	serves(600)
	free(t, ballast)
	r.edge.Stop() // it writes what is left
	r.edge.Start()
	serves(600)
}

// free removes a file.
func free(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// fill writes a file until the disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
