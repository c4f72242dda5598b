package sip

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// proxyRefuses lists the messages that are well formed and that the proxy refuses or drops: for want of a transaction
// (responses), with 416, 420 or 483.
var proxyRefuses = map[string]bool{
	"unreason": true, "noreason": true, "bcast": true, "unkscm": true, "novelsc": true, "bext01": true, "zeromf": true,
}

// refused lists the messages for which both is conforming and that Parse refuses, with the reason.
var refused = map[string]Error{
	"regbadct":   ErrContact,     // "?" outside of angle brackets
	"badaspec":   ErrTo,          // blanks inside the brackets
	"baddn":      ErrFrom,        // comma in a display name without quotes
	"badbranch":  ErrBranch,      // would match other transactions
	"extra-test": ErrRequestLine, // no version, and a line without a colon
}

// TestTorture runs the messages of RFC 4475 and RFC 5118 where they lie beside the project; own messages of the same
// kinds are in testdata (TestMessages).
func TestTorture(t *testing.T) {
	for _, folder := range []string{"rfc4475", "rfc5118"} {
		dir := filepath.Join("..", "..", "shared", "testdata", folder)
		raw, err := os.ReadFile(filepath.Join(dir, "expect.json"))
		if os.IsNotExist(err) {
			continue
		}
		var expect map[string]struct{ Edge, Note string }
		if err := json.Unmarshal(raw, &expect); err != nil {
			t.Fatal(err)
		}
		for name, want := range expect {
			t.Run(folder+"/"+name, func(t *testing.T) {
				b, err := os.ReadFile(filepath.Join(dir, name+".dat"))
				if err != nil {
					t.Fatal(err)
				}
				var m Message
				got := m.Parse(b, true)
				if strings.HasPrefix(want.Note, "valid") || want.Edge == "relay" || proxyRefuses[name] ||
					want.Edge == "either" && refused[name] == 0 {
					if got != nil {
						t.Fatalf("refused at %d: %v (%s)", m.ErrorAt(), got, want.Note)
					}
					checkCanonical(t, &m)
				} else if got == nil {
					t.Fatalf("accepted: %s", want.Note)
				} else if e := refused[name]; e != 0 && got != e {
					t.Fatalf("refused with %v, want %v", got, e)
				}
			})
		}
	}
}
