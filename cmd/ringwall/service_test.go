package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/resolve"
	"github.com/ringwall/ringwall/siptest"
)

// configOf is a configuration on free addresses, with its state in a folder of the test.
func configOf(t *testing.T, more string) *config.Config {
	t.Helper()
	host := siptest.OwnIP()
	var at [3]string
	for i := range at {
		addr, err := siptest.FreeAddr(host)
		if err != nil {
			t.Fatal(err)
		}
		at[i] = addr.String()
	}
	text := fmt.Sprintf("outside: {listen: [\"udp:%s\", \"tcp:%s\"]}\ninside: {listen: [\"udp:%s\", \"tcp:%s\"]}\nadmin: {http: \"%s\"}\n%s",
		at[0], at[0], at[1], at[1], at[2], more)
	cfg, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Override(config.Overrides{State: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// quiet starts a service that logs nothing.
func quiet(cfg *config.Config) boot {
	return boot{cfg: cfg, log: slog.New(slog.DiscardHandler), level: new(slog.LevelVar)}
}

// descriptors counts the open files of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestServiceLeavesNothing starts and closes whole services, the demonstration platform included: no goroutine and no
// descriptor stays, and the same places can be used again at once.
func TestServiceLeavesNothing(t *testing.T) {
	cfg := configOf(t, "")
	var before int
	for round := range 3 {
		s, err := start(t.Context(), quiet(cfg), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		goleak.VerifyNone(t)
		if n := descriptors(t); round == 0 {
			before = n // the runtime's own poller is there now
		} else if n > before {
			t.Errorf("round %d: %d descriptors, %d before", round, n, before)
		}
	}
}

// TestFailedStartLeavesNothing fails at the last step, the admin port: everything opened before is closed.
func TestFailedStartLeavesNothing(t *testing.T) {
	cfg := configOf(t, "upstreams: [{uri: \"sip:127.0.0.1:5080\"}]\n")
	l, err := net.Listen("tcp", cfg.Admin.HTTP.String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := start(t.Context(), quiet(cfg), io.Discard); err == nil {
		t.Fatal("started on a port in use")
	}
	goleak.VerifyNone(t)
	_ = l.Close()
	s, err := start(t.Context(), quiet(cfg), io.Discard)
	if err != nil {
		t.Fatalf("second start: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestStopWhileStarting: TERM ends a start that waits for the DNS, and that is no failure.
func TestStopWhileStarting(t *testing.T) {
	b := quiet(configOf(t, "upstreams: [{uri: \"sip:pbx.example.net\"}]\n"))
	b.lookup = func(ctx context.Context, q resolve.Query) ([]resolve.Target, time.Duration, error) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return nil, 0, err
		}
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-time.After(5 * time.Second):
			return nil, 0, errors.New("nobody has lost patience")
		}
	}
	if err := run(t.Context(), b, io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
}
