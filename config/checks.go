package config

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// CheckMode is what the opinions of a check are for.
type CheckMode string

// Modes of checks.
const (
	CheckOff     CheckMode = "off"
	CheckMonitor CheckMode = "monitor" // asked and counted, and nothing comes of it
	CheckEnforce CheckMode = "enforce"
)

// Checks says which checks look for what.
type Checks struct {
	Mode  CheckMode            // of every check that has none of its own; "": the file says nothing, which is monitor
	Modes map[string]CheckMode // by the name of the check: its own

	Flood struct {
		Rate      Rate
		Unlimited bool // rate: unlimited
		Burst     int
		Unit      time.Duration // pike's sampling_time_unit, together with
		Density   int           // reqs_density_per_unit: in place of Rate and Burst
		Latency   time.Duration // pike's remove_latency
		Strangers Rate          // of all of them together; the zero Rate: unlimited
	}
	Lockout struct {
		Failures    int
		Within, Ban time.Duration
	}
	Bruteforce struct {
		Tries, Slowly int
		Within        time.Duration
	}
	Spray struct {
		Users, OfAddress, OfGroup, Group int
		Within, Learning                 time.Duration
	}
	Userguard struct {
		Sources       int
		Within, Every time.Duration
	}
	Dialprefix struct {
		Variants, Users, Calls int
		Within, Shut           time.Duration
	}
	Enumeration struct {
		Users, Slowly int
		Within        time.Duration
	}
	Method struct {
		Stray         int
		Within, Grace time.Duration
	}
}

// Of is the mode of the check of that name.
func (c *Checks) Of(name string) CheckMode {
	if mode, own := c.Modes[name]; own {
		return mode
	}
	return cmp.Or(c.Mode, CheckMonitor)
}

// Said reports whether the file says what any check is for.
func (c *Checks) Said() bool { return c.Mode != "" || len(c.Modes) > 0 }

// None reports whether every check is off.
func (c *Checks) None() bool {
	if c.Mode != CheckOff {
		return false
	}
	for _, mode := range c.Modes {
		if mode != CheckOff {
			return false
		}
	}
	return true
}

// defaultChecks is what checks are told where the file says nothing.
func defaultChecks() (c Checks) {
	c.Flood.Rate, c.Flood.Burst, c.Flood.Strangers = Rate{10, time.Second}, 60, Rate{300, time.Second}
	c.Lockout.Failures, c.Lockout.Within, c.Lockout.Ban = 3, 15*time.Minute, 30*time.Minute
	c.Bruteforce.Tries, c.Bruteforce.Slowly, c.Bruteforce.Within = 8, 20, time.Minute
	c.Spray.Users, c.Spray.OfAddress, c.Spray.Within = 5, 100, time.Hour
	c.Spray.OfGroup, c.Spray.Group, c.Spray.Learning = 3, 10, 7*24*time.Hour
	c.Userguard.Sources, c.Userguard.Within, c.Userguard.Every = 8, time.Hour, 5*time.Minute
	c.Dialprefix.Variants, c.Dialprefix.Users, c.Dialprefix.Calls, c.Dialprefix.Within, c.Dialprefix.Shut = 5, 8, 4, 10*time.Minute, 30*time.Minute
	c.Enumeration.Users, c.Enumeration.Slowly, c.Enumeration.Within = 10, 20, 10*time.Minute
	c.Method.Stray, c.Method.Within, c.Method.Grace = 20, time.Minute, 5*time.Minute
	return c
}

// longest is the longest time of a check.
const longest = 30 * 24 * time.Hour

// checks reads the section of that name.
func checks(c *Checks) reader {
	one := func(name string, keys ...key) key {
		return key{name, section(append([]key{{"mode", checkMode(c, name)}}, keys...)...)}
	}
	span := func(name string, dst *time.Duration) key { return key{name, duration(dst, time.Second, longest)} }
	number := func(name string, dst *int, least, most int) key { return key{name, integer(dst, least, most)} }
	f, l, b, s, u, d, e, m := &c.Flood, &c.Lockout, &c.Bruteforce, &c.Spray, &c.Userguard, &c.Dialprefix, &c.Enumeration, &c.Method
	return section(
		key{"mode", choice(&c.Mode, modes...)},
		one("bruteforce", number("tries", &b.Tries, 2, 16), number("slowly", &b.Slowly, 9, 1000), span("within", &b.Within)),
		one("contact"),
		one("dialprefix", number("variants", &d.Variants, 2, 32), number("users", &d.Users, 2, 32), number("calls", &d.Calls, 2, 16),
			span("within", &d.Within), span("shut", &d.Shut)),
		one("enumeration", number("users", &e.Users, 2, 24), number("slowly", &e.Slowly, 2, 24), key{"within", duration(&e.Within, time.Second, 24*time.Hour)}),
		one("flood", key{"rate", floodRate(&f.Rate, &f.Unlimited)}, key{"strangers", floodRate(&f.Strangers, nil)}, number("burst", &f.Burst, 1, 1_000_000), span("sampling_time_unit", &f.Unit),
			number("reqs_density_per_unit", &f.Density, 1, 1_000_000), span("remove_latency", &f.Latency)),
		one("injection"),
		one("lockout", number("failures", &l.Failures, 1, 16), span("within", &l.Within), span("ban", &l.Ban)),
		one("malformed"),
		one("method", number("stray", &m.Stray, 2, 10_000), span("within", &m.Within), span("grace", &m.Grace)),
		one("route"),
		one("scanner"),
		one("spray", number("users", &s.Users, 2, 10_000), number("of_address", &s.OfAddress, 2, 10_000), span("within", &s.Within),
			number("of_group", &s.OfGroup, 2, 32), number("group", &s.Group, 2, 64), span("learning", &s.Learning)),
		one("userguard", number("sources", &u.Sources, 2, 1000), span("within", &u.Within), span("every", &u.Every)),
	)
}

// modes are those that a check may have.
var modes = []CheckMode{CheckEnforce, CheckMonitor, CheckOff}

// checkMode reads the mode of a check of its own.
func checkMode(c *Checks, name string) reader {
	return func(d *decoder, n *node, path string) {
		mode := CheckOff
		choice(&mode, modes...)(d, n, path)
		if c.Modes == nil {
			c.Modes = map[string]CheckMode{}
		}
		c.Modes[name] = mode
	}
}

// floodRate reads "10/s", or "unlimited", which is noted apart, or is the zero Rate.
func floodRate(rate *Rate, unlimited *bool) reader {
	return func(d *decoder, n *node, path string) {
		switch {
		case n.kind != text || !strings.EqualFold(n.text, "unlimited"):
			value(rate, parseRate)(d, n, path)
		case unlimited == nil:
			*rate = Rate{}
		default:
			*unlimited = true
		}
	}
}

// checkChecks finds values of checks that contradict each other.
func (c *Config) checkChecks() Errors {
	var all Errors
	f, s, p := &c.Checks.Flood, &c.Checks.Spray, &c.Checks.Dialprefix
	pike := f.Unit > 0 || f.Density > 0
	usual := defaultChecks().Flood
	own := f.Rate != usual.Rate || f.Burst != usual.Burst || f.Unlimited
	switch {
	case pike && own:
		all = c.Fault("checks.flood", "says how much twice: rate and burst, and reqs_density_per_unit in sampling_time_unit", "keep one of the two")
	case pike && (f.Unit == 0 || f.Density == 0):
		all = c.Fault("checks.flood", "needs sampling_time_unit and reqs_density_per_unit together", "write {sampling_time_unit: 2s, reqs_density_per_unit: 20}, or {rate: 10/s, burst: 60}")
	}
	if s.OfAddress < s.Users {
		all = append(all, c.Fault("checks.spray.of_address", fmt.Sprintf("%d is less than the users of one port (%d)", s.OfAddress, s.Users), "")...)
	}
	if p.Users < p.Variants {
		all = append(all, c.Fault("checks.dialprefix.users", fmt.Sprintf("%d is less than the variants of strangers (%d)", p.Users, p.Variants), "")...)
	}
	return all
}
