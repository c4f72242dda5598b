package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/siptest"
)

// TestLogWithoutReader: the program that stderr leads to goes away, or stands still and takes nothing more. The edge serves as before, counts the lines
// that nobody got, and ends at TERM.
func TestLogWithoutReader(t *testing.T) {
	for name, leave := range map[string]func(*os.File){
		"gone":   func(reader *os.File) { reader.Close() },
		"stands": func(*os.File) {},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, udp, nil)
			r.edge.Stop()
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			if _, err := unix.FcntlInt(writer.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(siptest.Binary(t), "run", "--config", filepath.Join(r.edge.State, "ringwall.yaml"), "--state", r.edge.State)
			cmd.Stderr = writer
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			writer.Close()
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			t.Cleanup(func() { cmd.Process.Kill() })
			for lines := bufio.NewScanner(reader); lines.Scan() && !strings.Contains(lines.Text(), "msg=ready"); {
			}
			leave(reader)

			r.banAll(0, 200) // a line each, of more than 100 bytes
			if out := r.does("status"); !strings.Contains(out, "200 hard") {
				t.Errorf("status:\n%s", out)
			}
			if name == "gone" && !siptest.Eventually(func() bool { return strings.Contains(r.does("status"), "events dropped  200\n") }) {
				t.Errorf("status does not count the lines that are lost:\n%s", r.does("status"))
			}
			cmd.Process.Signal(syscall.SIGTERM)
			if err := <-ended; err != nil {
				t.Errorf("the end: %v", err)
			}
		})
	}
}
