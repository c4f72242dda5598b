package main

import (
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/siptest"
)

// TestDemoTellsWhichCallFailed lets alice call a phone that is gone: the call is named, the others go on.
func TestDemoTellsWhichCallFailed(t *testing.T) {
	defer goleak.VerifyNone(t)
	cfg, trusted, err := demoConfig(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := start(t.Context(), quiet(cfg), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	trace, err := s.proxy.Trace(proxy.TraceFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	d := &demonstration{service: s, trace: trace, out: &out, trusted: trusted}
	defer d.close()
	alice, err := d.phone(t.Context(), "alice", edge.UDP)
	if err != nil {
		t.Fatal(err)
	}
	bob, err := d.phone(t.Context(), "bob", edge.TCP)
	if err != nil {
		t.Fatal(err)
	}
	d.call(t.Context(), alice, bob)
	bob.Close()
	if !siptest.Eventually(func() bool { return s.transport.Counters().ConnectionsOpen == 0 }) { // or else what is sent to him may be lost with it
		t.Fatal("the edge has not seen that he is gone")
	}
	d.call(t.Context(), alice, bob)
	d.call(t.Context(), alice, nil)
	if err := d.result(); err == nil || !strings.HasPrefix(err.Error(), "1 of 3 calls failed:\nalice (udp) calls bob (tcp): INVITE was answered with 4") {
		t.Errorf("%v\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "   failed: INVITE was answered with 4") || strings.Contains(out.String(), "all complete") {
		t.Errorf("the failure is not shown:\n%s", &out)
	}
}
