// Package check lists the checks: each is a folder of its own with README, code, tests and what it was tested on. A check looks at messages and
// says what it thinks of them (edge.Check, edge.Watcher, edge.Sorter); the judge adds that up, and one place acts.
package check

import (
	"errors"

	"github.com/ringwall/ringwall/check/bruteforce"
	"github.com/ringwall/ringwall/check/contact"
	"github.com/ringwall/ringwall/check/dialprefix"
	"github.com/ringwall/ringwall/check/enumeration"
	"github.com/ringwall/ringwall/check/flood"
	"github.com/ringwall/ringwall/check/injection"
	"github.com/ringwall/ringwall/check/lockout"
	"github.com/ringwall/ringwall/check/malformed"
	"github.com/ringwall/ringwall/check/method"
	"github.com/ringwall/ringwall/check/route"
	"github.com/ringwall/ringwall/check/scanner"
	"github.com/ringwall/ringwall/check/spray"
	"github.com/ringwall/ringwall/check/userguard"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
)

// Config is what checks can be told. The zero value means all defaults.
type Config struct {
	Bruteforce  bruteforce.Config
	Contact     contact.Config
	Dialprefix  dialprefix.Config
	Enumeration enumeration.Config
	Flood       flood.Config
	Lockout     lockout.Config
	Method      method.Config
	Route       route.Config
	Spray       spray.Config
	Userguard   userguard.Config
}

// Validate reports what cannot work, all of it.
func (c Config) Validate() error {
	return errors.Join(c.Bruteforce.Validate(), c.Dialprefix.Validate(), c.Enumeration.Validate(), c.Flood.Validate(), c.Lockout.Validate(),
		c.Method.Validate(), c.Spray.Validate(), c.Userguard.Validate())
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
		{"bruteforce", bruteforce.Reasons(), func(c Config, k meter.Key) any { return bruteforce.New(c.Bruteforce, k) }},
		{"contact", contact.Reasons(), func(c Config, _ meter.Key) any { return contact.New(c.Contact) }},
		{"dialprefix", dialprefix.Reasons(), func(c Config, k meter.Key) any { return dialprefix.New(c.Dialprefix, k) }},
		{"enumeration", enumeration.Reasons(), func(c Config, k meter.Key) any { return enumeration.New(c.Enumeration, k) }},
		{"flood", flood.Reasons(), func(c Config, k meter.Key) any { return flood.New(c.Flood, k) }},
		{"injection", injection.Reasons(), func(Config, meter.Key) any { return injection.New() }},
		{"lockout", lockout.Reasons(), func(c Config, k meter.Key) any { return lockout.New(c.Lockout, k) }},
		{"malformed", malformed.Reasons(), func(Config, meter.Key) any { return malformed.New() }},
		{"method", method.Reasons(), func(c Config, k meter.Key) any { return method.New(c.Method, k) }},
		{"route", route.Reasons(), func(c Config, _ meter.Key) any { return route.New(c.Route) }},
		{"scanner", scanner.Reasons(), func(Config, meter.Key) any { return scanner.New() }},
		{"spray", spray.Reasons(), func(c Config, k meter.Key) any { return spray.New(c.Spray, k) }},
		{"userguard", userguard.Reasons(), func(c Config, k meter.Key) any { return userguard.New(c.Userguard, k) }},
	}
}
