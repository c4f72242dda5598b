package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/siptest"
)

// TestMain lets the scripts run this test binary as ringwall. Names are never looked up in the network: every question is
// answered as if there were no name server.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ringwall": func() {
			net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no name server in tests")
			}}
			main()
		},
	})
}

// scriptDeadline is how long a script may wait for a service.
const scriptDeadline = 60 * time.Second

// TestScripts runs testdata/*.txtar. Each script finds in its environment free addresses on a loopback address of its own:
// $OUT, $IN, $UP and $ADMIN (host:port), and may use the commands below.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":   await,
			"exits":   exits,
			"listen":  listen,
			"http":    httpGet,
			"mode":    mode,
			"sip":     sipSend,
			"traced":  awaitTraces,
			"signal":  sendSignal,
			"hup":     hup,
			"expand":  expandFile,
			"capture": writeCapture,
			"cut":     cutFile,
		},
	})
}

func setup(env *testscript.Env) error {
	host := siptest.OwnIP()
	for _, name := range []string{"OUT", "IN", "UP", "ADMIN"} {
		addr, err := siptest.FreeAddr(host)
		if err != nil {
			return err
		}
		env.Setenv(name, addr.String())
	}
	env.Setenv("STATE", filepath.Join(env.WorkDir, "s"))
	return nil
}

// await STATE waits until the service with its state in $STATE is in that state.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await STATE")
	}
	socket := filepath.Join(ts.Getenv("STATE"), "ringwall.sock")
	var s status
	var err error
	for end := time.Now().Add(scriptDeadline); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = admin.Call(context.Background(), socket, "status", nil, &s); err == nil && s.State == args[0] {
			return
		}
	}
	ts.Fatalf("service is %q, not %q (%v)", s.State, args[0], err)
}

// signal TERM|INT sends a signal to the command that was started in the background last.
func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	known := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT}
	running := ts.BackgroundCmds()
	if neg || len(args) != 1 || known[args[0]] == nil || len(running) == 0 {
		ts.Fatalf("usage: signal TERM|INT, with a command in the background")
	}
	ts.Check(running[len(running)-1].Process.Signal(known[args[0]]))
}

// hup ok|refused sends HUP to the command that was started in the background last, waits until the service of $STATE has
// reloaded, and wants this result.
func hup(ts *testscript.TestScript, neg bool, args []string) {
	running := ts.BackgroundCmds()
	if neg || len(args) != 1 || len(running) == 0 {
		ts.Fatalf("usage: hup ok|refused, with a command in the background")
	}
	last := func() (r reloaded) {
		var s status
		ts.Check(admin.Call(context.Background(), filepath.Join(ts.Getenv("STATE"), "ringwall.sock"), "status", nil, &s))
		if s.Reload != nil {
			r = *s.Reload
		}
		return r
	}
	before := last().At
	ts.Check(running[len(running)-1].Process.Signal(syscall.SIGHUP))
	for end := time.Now().Add(scriptDeadline); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if r := last(); r.At.After(before) {
			if r.OK != (args[0] == "ok") {
				ts.Fatalf("the reload ended with %+v", r)
			}
			return
		}
	}
	ts.Fatalf("HUP made no reload")
}

// exits CODE COMMAND… runs a command and wants this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", strings.Join(args[1:], " "), err)
		}
		code = strconv.Itoa(exit.ExitCode())
	}
	if code != args[0] {
		ts.Fatalf("%s: exit code %s, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

// listen NETWORK ADDRESS holds a port until the script ends.
func listen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: listen udp|tcp ADDRESS")
	}
	if args[0] == "udp" {
		c, err := net.ListenPacket("udp", args[1])
		ts.Check(err)
		ts.Defer(func() { _ = c.Close() })
		return
	}
	l, err := net.Listen(args[0], args[1])
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
}
