// Package check lists the checks: each is a folder of its own with README, code, tests and what it was tested on. A check looks at messages and
// says what it thinks of them (edge.Check, edge.Watcher, edge.Sorter); the judge adds that up, and one place acts.
package check

import (
	"errors"
	"reflect"

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
	Scanner     scanner.Config
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
	New     func(Config, meter.Key) any  // an edge.Check, edge.Watcher or edge.Sorter, or several of them
	Same    func(one, other Config) bool // a check made with one may go on with the other
}

// List returns a row for each check. Their order means nothing: the strictest opinion wins.
func List() []Row {
	return []Row{
		row("bruteforce", bruteforce.Reasons(), bruteforce.New, func(c Config) bruteforce.Config { return c.Bruteforce }),
		row("contact", contact.Reasons(), contact.New, func(c Config) contact.Config { return c.Contact }),
		row("dialprefix", dialprefix.Reasons(), dialprefix.New, func(c Config) dialprefix.Config { return c.Dialprefix }),
		row("enumeration", enumeration.Reasons(), enumeration.New, func(c Config) enumeration.Config { return c.Enumeration }),
		row("flood", flood.Reasons(), flood.New, func(c Config) flood.Config { return c.Flood }),
		row("injection", injection.Reasons(), plain(injection.New), nothing),
		row("lockout", lockout.Reasons(), lockout.New, func(c Config) lockout.Config { return c.Lockout }),
		row("malformed", malformed.Reasons(), plain(malformed.New), nothing),
		row("method", method.Reasons(), method.New, func(c Config) method.Config { return c.Method }),
		row("route", route.Reasons(), route.New, func(c Config) route.Config { return c.Route }),
		row("scanner", scanner.Reasons(), scanner.New, func(c Config) scanner.Config { return c.Scanner }),
		row("spray", spray.Reasons(), spray.New, func(c Config) spray.Config { return c.Spray }),
		row("userguard", userguard.Reasons(), userguard.New, func(c Config) userguard.Config { return c.Userguard }),
	}
}

// row makes a row of a check that is made by one function of its own part of the configuration.
func row[C, T any](name string, reasons []edge.Reason, made func(C, meter.Key) T, part func(Config) C) Row {
	return Row{Name: name, Reasons: reasons,
		New:  func(c Config, key meter.Key) any { return made(part(c), key) },
		Same: func(one, other Config) bool { return reflect.DeepEqual(part(one), part(other)) }}
}

// nothing is the configuration of a check that has none.
func nothing(Config) struct{} { return struct{}{} }

func plain[T any](made func() T) func(struct{}, meter.Key) T {
	return func(struct{}, meter.Key) T { return made() }
}
