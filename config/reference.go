package config

import (
	"os"
	"strings"
)

// A Reference says where a secret stands, and certificates likewise: in a file or in a variable of the environment. The configuration
// holds references only, so it can be printed and compared; the value is read by who needs it. The zero Reference is none.
type Reference struct {
	File string // path
	Env  string // name of a variable; one of the two is empty
}

// String returns r as it is written in the file.
func (r Reference) String() string {
	if r.Env != "" {
		return "env:" + r.Env
	}
	return r.File
}

// Secret returns what the variable named by r, the value at path, holds. The error is Errors: it says what to do, never what is there.
func (c *Config) Secret(path string, r Reference) (string, error) {
	value, set := os.LookupEnv(r.Env)
	switch {
	case !set:
		return "", c.Fault(path, "the environment has no variable "+r.Env, "set it where ringwall is started (systemd: EnvironmentFile=), or name a file")
	case value == "":
		return "", c.Fault(path, "the variable "+r.Env+" of the environment is empty", "give it a value, or name a file")
	}
	return value, nil
}

// parseReference reads "env:NAME", "file:PATH", or a path. What it refuses it does not show: it may be the secret itself.
func parseReference(s string) (Reference, error) {
	if name, env := strings.CutPrefix(s, "env:"); env {
		if !isVariable(name) {
			return Reference{}, secret("after env: stands no name of a variable", "write env:TLS_KEY and set TLS_KEY in the environment; the value itself never stands here")
		}
		return Reference{Env: name}, nil
	}
	path := strings.TrimPrefix(s, "file:")
	if path == "" || strings.HasSuffix(path, "/") || strings.ContainsAny(path, "\n\x00") || strings.Contains(path, pemBegin) {
		return Reference{}, secret("is not the name of a file", "write /etc/ringwall/key.pem, file:/etc/ringwall/key.pem or env:TLS_KEY; the value itself never stands here")
	}
	return Reference{File: path}, nil
}

// isVariable reports whether s can be the name of a variable of the environment (POSIX).
func isVariable(s string) bool {
	for i, b := range []byte(s) {
		if !isAlnum(b) && b != '_' || i == 0 && b <= '9' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// secret makes a wrong about a value that is not to be shown, nor its line.
func secret(message, hint string) error { return wrong{message: message, hint: hint, hidden: true} }

// What PEM text begins with, and ends.
const (
	pemBegin = "-----BEGIN"
	pemEnd   = "-----END"
)

// notShown stands for what is hidden.
const notShown = "(not shown: it may hold a secret)"

// hide replaces the lines that hold PEM text, which somebody pasted: they may be a private key. It reports which they are. A block
// without an end hides all that follows.
func hide(lines []string) (hidden map[int]bool) {
	hidden = map[int]bool{}
	within := false
	for i, line := range lines {
		within = within || strings.Contains(line, pemBegin)
		if !within {
			continue
		}
		within = !strings.Contains(line, pemEnd)
		lines[i], hidden[i+1] = notShown, true
	}
	return hidden
}

// hush says of a problem on a hidden line nothing but that, whatever else was found wrong there. False: it has been said of this
// text already.
func (d *decoder) hush(p Problem) (Problem, bool) {
	if strings.ContainsAny(p.Path, "\"…") {
		p.Path = ""
	}
	p.Message = "a certificate or a key stands in the configuration itself"
	p.Hint = "put it into a file that only ringwall can read and write its name here, or env:NAME for a variable of the environment"
	for _, before := range d.problems {
		if before.Message == p.Message {
			return p, false
		}
	}
	return p, true
}
