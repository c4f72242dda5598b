package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/bench/floor"
	"github.com/ringwall/ringwall/bench/load"
)

func TestWrongArgumentsAreNamed(t *testing.T) {
	tests := []struct {
		args string
		want string
	}{
		{"dance", `unknown verb "dance"`},
		{"run -systems forwarder,kamailio", `unknown system "kamailio"`},
		{"media -systems ringwall,asterisk", `unknown media system "asterisk"`},
		{"relay -outside nowhere", "outside"},
		{"relay -outside 127.0.0.1", "inside"},
		{"run -wire string", `wire "string"`},
		{"run -wire both", `wire "both"`},
		{"compare -wire string", `wire "string"`},
		{"compare -ringwall /nonexistent", "/nonexistent"},
		{"load -target nowhere", "-target"},
		{"load -target 127.0.0.1:1 -platform nowhere", "-platform"},
		{"load -target 127.0.0.1:1 -mode dance -platform 127.0.20.1:0", `mode "dance"`},
		{"forwarder -outside nowhere", "outside"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var out, errOut bytes.Buffer
			err := dispatch(context.Background(), append(strings.Fields(tt.args), extraFor(tt.args)...), &out, &errOut)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want something about %q", err, tt.want)
			}
		})
	}
}

func TestExitCodeTellsAMissingPermission(t *testing.T) {
	if got := exitCode(fmt.Errorf("-wire: %w", fs.ErrPermission)); got != 77 {
		t.Errorf("exit code %d without permission, want 77", got)
	}
	if got := exitCode(io.ErrUnexpectedEOF); got != 1 {
		t.Errorf("exit code %d for any other error, want 1", got)
	}
}

// extraFor keeps "run" from pinning the test's own process.
func extraFor(args string) []string {
	if strings.HasPrefix(args, "run") {
		return []string{"-workers", "100000"}
	}
	return nil
}

func TestLoadPrintsAReport(t *testing.T) {
	f, err := floor.New(floor.Config{Outside: netip.MustParseAddrPort("127.0.0.1:0"), Inside: netip.MustParseAddrPort("127.0.0.1:0"),
		Upstream: netip.MustParseAddrPort("127.0.21.7:45123")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	var out bytes.Buffer
	args := []string{"load", "-target", f.Outside().String(), "-platform", "127.0.21.7:45123", "-transparent", "-callers", "1", "-calls", "50"}
	if err := dispatch(ctx, args, &out, os.Stderr); err != nil {
		t.Error(err)
	}
	var r load.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Completed != 50 {
		t.Errorf("report %s (%v), want 50 completed calls", out.Bytes(), err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
