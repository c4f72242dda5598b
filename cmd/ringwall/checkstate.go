package main

import (
	"fmt"
	"slices"
	"strings"

	checks "github.com/ringwall/ringwall/check"
	"github.com/ringwall/ringwall/config"
)

// checkState is what checks are for, in status. Its names are stable.
type checkState struct {
	Enforce int                         `json:"enforce"` // whose opinions are acted on
	Monitor int                         `json:"monitor"` // that only tell
	Off     int                         `json:"off"`
	Valve   bool                        `json:"valve"`  // none acts now: ban.valve
	Modes   map[string]config.CheckMode `json:"modes"`  // by name
	Advice  string                      `json:"advice"` // what has to be written for any to act; "": some do, or all are off
}

// checkStates gathers what checks of cfg are for.
func checkStates(cfg *config.Config, valve bool) *checkState {
	s := &checkState{Valve: valve, Modes: map[string]config.CheckMode{}}
	for _, r := range checks.List() {
		mode := inForce(cfg, r.Name)
		s.Modes[r.Name] = mode
		switch mode {
		case config.CheckEnforce:
			s.Enforce++
		case config.CheckMonitor:
			s.Monitor++
		default:
			s.Off++
		}
	}
	if s.Enforce > 0 || s.Monitor == 0 {
		return s
	}
	if !meant(cfg) {
		s.Advice = "checks: {mode: enforce}"
	}
	if cfg.Mode == config.Monitor {
		s.Advice = strings.TrimPrefix(s.Advice+" and mode: enforce", " and ")
	}
	return s
}

// meant reports whether any check is to act, whatever mode: says.
func meant(cfg *config.Config) bool {
	return slices.ContainsFunc(checks.List(), func(r checks.Row) bool { return cfg.Checks.Of(r.Name) == config.CheckEnforce })
}

// String is s for a reader, "" where s is that of an older service, which does not tell.
func (s *checkState) String() string {
	if s == nil {
		return ""
	}
	text := fmt.Sprintf("%d enforce, %d only watch (monitor), %d off", s.Enforce, s.Monitor, s.Off)
	switch {
	case s.Valve && s.Enforce > 0:
		text += "; all only watch for now (ban.valve)"
	case s.Advice != "":
		text += "; to have them act write " + s.Advice
	}
	return text
}
