package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ringwall/ringwall/admin"
)

// awaitTraces N waits until the service with its admin port at $ADMIN runs N traces.
func awaitTraces(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: traced N")
	}
	want := "\nringwall_traces " + args[0] + "\n"
	client := http.Client{Timeout: scriptDeadline, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(scriptDeadline); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		resp, err := client.Get("http://" + ts.Getenv("ADMIN") + "/metrics")
		ts.Check(err)
		body, err := io.ReadAll(resp.Body)
		ts.Check(errors.Join(err, resp.Body.Close()))
		if strings.Contains(string(body), want) {
			return
		}
	}
	ts.Fatalf("not %s traces in %v", args[0], scriptDeadline)
}

// TestTraceEndsWithTheService: who traces is told that the service ended, and gets 69; a fifth trace is refused.
func TestTraceEndsWithTheService(t *testing.T) {
	cfg := configOf(t, "upstreams: [{uri: \"sip:127.0.0.1:5080\"}]\n")
	s, err := start(t.Context(), quiet(cfg), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	begun, ended := make(chan struct{}), make(chan error)
	for range 4 {
		go func() {
			ended <- admin.Stream(context.Background(), cfg.Admin.Socket, "trace", traceArgs{}, func(json.RawMessage) error {
				begun <- struct{}{}
				return nil
			})
		}()
		<-begun
	}
	var out, stderr strings.Builder
	if code := execute([]string{"trace", "--socket", cfg.Admin.Socket}, &out, &stderr); code != exitFailure ||
		stderr.String() != "ringwall: 4 traces run already; end one of them first\n" {
		t.Errorf("fifth trace: %d %s", code, &stderr)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range 4 {
		if err := <-ended; exitCode(fail(exitFailure, err)) != exitUnavailable {
			t.Errorf("at the end of the service: %v", err)
		}
	}
}
