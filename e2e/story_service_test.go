package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// A serviceManager hears what a service tells it, as systemd does (sd_notify(3)).
type serviceManager struct {
	*testing.T
	conn *net.UnixConn
	path string
}

func newServiceManager(t *testing.T) *serviceManager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &serviceManager{t, conn, path}
}

// expect returns the next message that is not only a sign of life, and wants it to begin with this line.
func (m *serviceManager) expect(line string) (lines []string) {
	m.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(siptest.Deadline)) // for all signs of life together
	for buf := make([]byte, 4096); ; {
		n, err := m.conn.Read(buf)
		if err != nil {
			m.Fatalf("the service manager waits for %s: %v", line, err)
		}
		lines = strings.Split(string(buf[:n]), "\n")
		if lines[0] == "WATCHDOG=1" && line != lines[0] {
			continue
		}
		if lines[0] != line {
			m.Fatalf("the service manager was told %q, want %s", lines, line)
		}
		return lines
	}
}

// TestServiceManager: the manager of services hears that ringwall is ready, lives, reloads (also where the reload is refused) and stops, and how long
// that may take.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	m := newServiceManager(t) // its socket holds ten messages while commands run: two signs of life a second are not too many
	e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{"sip:127.0.0.1:5080"}, Env: []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=1000000"}},
		siptest.Keys{"timers": "{drain: 40s}"})
	m.expect("READY=1")
	for range 3 {
		if lines := m.expect("WATCHDOG=1"); len(lines) != 2 || lines[1] != "STATUS=ready, 0 registrations, 0 calls" {
			t.Errorf("the sign of life is %q", lines)
		}
	}
	e.Signal(syscall.SIGHUP)
	if lines := m.expect("RELOADING=1"); len(lines) != 2 || !regexp.MustCompile(`^MONOTONIC_USEC=[1-9]\d*$`).MatchString(lines[1]) {
		t.Errorf("the beginning of a reload is %q", lines)
	}
	m.expect("READY=1")
	if err := os.WriteFile(filepath.Join(e.State, "ringwall.yaml"), []byte("mode: no"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(siptest.Binary(t), "reload", "--state", e.State, "--dry-run").CombinedOutput(); err == nil {
		t.Errorf("a bad file would be taken: %s", out)
	}
	_ = exec.Command(siptest.Binary(t), "reload", "--state", e.State).Run() // refused
	m.expect("RELOADING=1")
	m.expect("READY=1")
	e.Signal(syscall.SIGTERM)
	if lines := m.expect("STOPPING=1"); !slices.Contains(lines, "EXTEND_TIMEOUT_USEC=55000000") {
		t.Errorf("the end is %q", lines)
	}
	if code := e.WaitExit(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// TestNoServiceManager: without one, or with one that is gone, ringwall runs all the same, and says so in the second case.
func TestNoServiceManager(t *testing.T) {
	t.Parallel()
	e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{"sip:127.0.0.1:5080"}, Env: []string{"NOTIFY_SOCKET=/nowhere/at/all", "WATCHDOG_USEC=1000"}}, nil)
	e.WaitLog("the service manager will not hear of us")
}

// TestUnit: systemd takes the unit as it is shipped, with nothing to say against it, and calls it well shut off.
func TestUnit(t *testing.T) {
	t.Parallel()
	analyze := siptest.NeedTool(t, "systemd-analyze") // Debian: systemd
	text, err := os.ReadFile("../packaging/systemd/ringwall.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "ringwall.service") // with the binary where it is now
	text = regexp.MustCompile(`(?m)^(Exec\w+=)/usr/bin/ringwall `).ReplaceAll(text, []byte("${1}"+siptest.Binary(t)+" "))
	if err := os.WriteFile(unit, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", "--man=no", unit}, {"security", "--offline=true", "--no-pager", "--threshold=20", unit}} {
		out, err := exec.Command(analyze, args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %v: %v\n%s", args, err, out)
		}
	}
	// What it calls is there.
	for _, line := range regexp.MustCompile(`(?m)^Exec\w+=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		f := strings.Fields(line[1])
		if out, err := exec.Command(f[0], f[1], "--help").CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", line[1], err, out)
		}
		for _, flag := range f[2:] {
			help, _ := exec.Command(f[0], f[1], "--help").Output()
			if strings.HasPrefix(flag, "--") && !strings.Contains(string(help), flag) {
				t.Errorf("%s: ringwall %s has no %s", line[1], f[1], flag)
			}
		}
	}
}
