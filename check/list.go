// Package check lists the checks: each is a folder of its own with README, code, tests and what it was tested on. A check looks at messages and
// says what it thinks of them (edge.Check, edge.Watcher, edge.Sorter); the judge adds that up, and one place acts.
package check

import (
	"errors"

	"github.com/ringwall/ringwall/check/flood"
	"github.com/ringwall/ringwall/check/lockout"
	"github.com/ringwall/ringwall/check/scanner"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
)

// Config is what checks can be told. The zero value means all defaults.
type Config struct {
	Flood   flood.Config
	Lockout lockout.Config
}

// Validate reports what cannot work, all of it.
func (c Config) Validate() error {
	return errors.Join(c.Flood.Validate(), c.Lockout.Validate())
}

// A Row is one check.
type Row struct {
	Name    string // as in the configuration and in metrics
	Reasons []edge.Reason
	New     func(Config, meter.Key) any // an edge.Check, edge.Watcher or edge.Sorter, or several of them
}

// List returns a row for each check. Their order means nothing: the strictest opinion wins.
func List() []Row {
	return []Row{
		{"flood", flood.Reasons(), func(c Config, k meter.Key) any { return flood.New(c.Flood, k) }},
		{"lockout", lockout.Reasons(), func(c Config, k meter.Key) any { return lockout.New(c.Lockout, k) }},
		{"scanner", scanner.Reasons(), func(Config, meter.Key) any { return scanner.New() }},
	}
}
