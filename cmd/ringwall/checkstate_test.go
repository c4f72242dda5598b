package main

import (
	"strings"
	"testing"

	checks "github.com/ringwall/ringwall/check"
	"github.com/ringwall/ringwall/config"
)

// TestCheckStates: status says how many checks act, and what makes them act.
func TestCheckStates(t *testing.T) {
	all := len(checks.List())
	for _, c := range []struct {
		file                  string
		valve                 bool
		enforce, monitor, off int
		text                  string // it ends so
	}{
		{"", false, 0, all, 0, "; to have them act write checks: {mode: enforce}"},
		{"checks: {mode: monitor}", false, 0, all, 0, "; to have them act write checks: {mode: enforce}"},
		{"checks: {mode: enforce}", false, all, 0, 0, ", 0 off"},
		{"checks: {mode: enforce}", true, all, 0, 0, "; all only watch for now (ban.valve)"},
		{"checks: {mode: enforce}\nmode: monitor", false, 0, all, 0, "; to have them act write mode: enforce"},
		{"mode: monitor", false, 0, all, 0, "; to have them act write checks: {mode: enforce} and mode: enforce"},
		{"checks: {flood: {mode: enforce}, lockout: {mode: off}}", false, 1, all - 2, 1, ", 1 off"},
		{"checks: {mode: off}\nmode: monitor", false, 0, 0, all, " off"},
	} {
		cfg, err := config.Parse("test.yaml", []byte(c.file))
		if err != nil {
			t.Fatal(err)
		}
		s := checkStates(cfg, c.valve)
		if s.Enforce != c.enforce || s.Monitor != c.monitor || s.Off != c.off || len(s.Modes) != all || !strings.HasSuffix(s.String(), c.text) {
			t.Errorf("%q: %+v says %q", c.file, s, s)
		}
	}
	if text := (*checkState)(nil).String(); text != "" {
		t.Errorf("of a service that tells nothing: %q", text)
	}
}
