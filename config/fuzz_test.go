package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/sip"
)

// FuzzConfig holds that whatever is in a file, Parse neither panics nor accepts what it can't vouch for (row F27): an
// error is Errors, each problem lies in the file and has something to say; what is accepted has usable values.
func FuzzConfig(f *testing.F) {
	for _, key := range topKeys(f) {
		for _, value := range []string{"", " null", " ~", " {}", " []", " [null]", " !x 5", " &a [*a]", " 5", " {mode: null}"} {
			f.Add([]byte(key + ":" + value + "\n"))
		}
	}
	f.Add([]byte("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"))
	f.Add([]byte("outside: {listen: [\"udp:*:5060\", tcp:1.2.3.4:1]}\nupstreams:\n- uri: sip:a;transport=tcp\n  weight: 1\n"))
	f.Add([]byte("outside: {listen: [udp:1.2.3.4:5060\nmode: monitor\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data)
		if err == nil {
			holds(t, c)
			return
		}
		var all Errors
		if c != nil || !errors.As(err, &all) || len(all) == 0 || len(all) > maxProblems {
			t.Fatalf("Parse: %v, %T %v", c, err, err)
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, p := range all {
			if p.Message == "" || p.Line > lines || p.String() == "" {
				t.Fatalf("%+v in a file of %d lines", p, lines)
			}
		}
	})
}

// topKeys asks the schema for the names of the top keys: the hint for an unknown one lists them.
func topKeys(f *testing.F) []string {
	_, err := Parse("f", []byte("zzzzzzzzzzzz: 1"))
	var all Errors
	if !errors.As(err, &all) {
		f.Fatal(err)
	}
	return strings.Split(strings.TrimPrefix(all[0].Hint, "one of "), ", ")
}

// holds checks what every accepted configuration promises.
func holds(t *testing.T, c *Config) {
	t.Helper()
	if len(c.Outside.Listen) == 0 || c.State == "" || c.Topology.KeyFile == "" || c.Admin.Socket == "" {
		t.Fatalf("empty where it must not be: %+v", c)
	}
	for _, l := range append(c.Outside.Listen, c.Inside.Listen...) {
		if !l.Addr.IsValid() || l.Addr.Port() == 0 || l.star || l.Addr.Addr().Is4In6() || l.Addr.Addr().Zone() != "" {
			t.Fatalf("listener %+v", l)
		}
	}
	for _, u := range c.Upstreams {
		uri, err := sip.ParseURI([]byte(u.URI), sip.Span{Start: 0, End: uint32(len(u.URI))})
		if err != nil || uri.Scheme != sip.SIP || uri.Port != u.Port || u.Host == "" || u.Weight != 1 || u.Priority != 1 {
			t.Fatalf("upstream %+v, by sip %+v, %v", u, uri, err)
		}
	}
	if c.Timers.T1 <= 0 || c.Timers.T1 > c.Timers.T2 || c.Timers.Linger <= 0 || c.Limits.Message < minMessage {
		t.Fatalf("timers %+v, limits %+v", c.Timers, c.Limits)
	}
	if err := c.Override(Overrides{}); err != nil {
		t.Fatalf("accepted, and refused when nothing is overridden: %v", err)
	}
}

// TestHostileFilesEndSoon feeds files made to exhaust a parser. It has no clock: a cubic cost would end the test run.
func TestHostileFilesEndSoon(t *testing.T) {
	const many = maxFile / 8
	for name, text := range map[string]string{
		"brackets":  strings.Repeat("[", many),
		"braces":    strings.Repeat("{a: ", many/4),
		"dashes":    strings.Repeat("- ", many/2),
		"questions": strings.Repeat("? ", many/2),
		"tags":      strings.Repeat("!a ", many/3),
		"anchors":   "a: " + strings.Repeat("&a ", many/4),
		"nested":    strings.Repeat("a: ", many/3),
		"keys":      strings.Repeat("a: b\n", maxTokens/8),
		"quote":     "a: \"" + strings.Repeat("x\n", many/4),
		"top keys":  strings.Repeat("aa: [\n", maxTokens/8),
		"one word":  strings.Repeat("x", maxFile),
	} {
		if _, err := Parse(name, []byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
