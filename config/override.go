package config

import (
	"errors"
	"maps"
	"path/filepath"
)

// Names of the files in the folder of Overrides.State.
const (
	stateName  = "state.db"
	keyName    = "topology.key"
	socketName = "ringwall.sock"
)

// Overrides are flags of the command line that replace keys of the file.
type Overrides struct {
	Outside, Inside []string // --outside, --inside: each like an entry of outside.listen; empty: keep the file's
	Upstreams       []string // --upstream: SIP URIs; empty: keep the file's
	State           string   // --state: folder for state.db, topology.key and ringwall.sock; "": keep the file's
}

// Override lays o over c and checks the result as a whole. The error is Errors; c is unchanged then.
func (c *Config) Override(o Overrides) error {
	next := *c
	next.sources.flags = make(map[string]string)
	maps.Copy(next.sources.flags, c.sources.flags)
	var all Errors
	all = append(all, lay(&next, &next.Outside.Listen, o.Outside, parseListen, "--outside", "outside.listen")...)
	all = append(all, lay(&next, &next.Inside.Listen, o.Inside, parseListen, "--inside", "inside.listen")...)
	all = append(all, lay(&next, &next.Upstreams, o.Upstreams, parseUpstream, "--upstream", "upstreams")...)
	all = append(all, next.moveState(o.State)...)
	if all = append(all, next.check()...); len(all) > 0 {
		return all
	}
	next.complete()
	*c = next
	return nil
}

// lay parses the values of flag, if there are any, and puts them in place of what dst holds for path.
func lay[T any](c *Config, dst *[]T, values []string, parse func(string) (T, error), flag, path string) Errors {
	if len(values) == 0 {
		return nil
	}
	var all Errors
	*dst = make([]T, len(values))
	for i, text := range values {
		v, err := parse(text)
		if err != nil {
			all = append(all, flagProblem(flag, err))
			continue
		}
		(*dst)[i] = v
	}
	c.sources.flags[path] = flag
	return all
}

// flagProblem tells what is wrong with a flag.
func flagProblem(flag string, err error) Problem {
	var w wrong
	if !errors.As(err, &w) {
		w.message = err.Error()
	}
	return Problem{Path: flag, Message: w.message, Hint: w.hint}
}

// moveState puts everything that is kept on disk into dir.
func (c *Config) moveState(dir string) Errors {
	if dir == "" {
		return nil
	}
	c.State = filepath.Join(dir, stateName)
	c.Topology.KeyFile = filepath.Join(dir, keyName)
	c.Admin.Socket = filepath.Join(dir, socketName)
	for _, path := range []string{"state", "topology.key_file", "admin.socket"} {
		c.sources.flags[path] = "--state"
	}
	if _, err := parseSocket(c.Admin.Socket); err != nil {
		return Errors{flagProblem("--state", err)}
	}
	return nil
}
