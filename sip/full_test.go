package sip

import (
	"fmt"
	"strings"
	"testing"
)

// TestFull: what a proxy adds fits into what Parse takes; what has no room for it is told before.
func TestFull(t *testing.T) {
	base := len(cleanLines)
	for _, c := range []struct {
		name, text string
		want       Error
	}{
		{"honest", "", errNone},
		{"all fields", strings.Repeat("N: x\r\n", MaxFields-base), errNone},
		{"one more field", strings.Repeat("N: x\r\n", MaxFields-base+1), ErrFieldCount},
		{"all that Parse takes", strings.Repeat("N: x\r\n", mostFields-base), ErrFieldCount},
		{"all Vias", strings.Repeat("v: SIP/2.0/UDP a\r\n", MaxVias-1), errNone},
		{"one more Via", strings.Repeat("v: SIP/2.0/UDP a\r\n", MaxVias), ErrViaCount},
	} {
		var m Message
		raw := strings.Replace(message(optionsLine, "\r\n"), "Max-Forwards", c.text+"Max-Forwards", 1)
		if err := m.Parse([]byte(raw), true); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if e, full := m.Full(); e != c.want || full != (c.want != errNone) {
			t.Errorf("%s: %v, %v", c.name, e, full)
		}
	}
	for n, full := range map[int]bool{100: false, MaxValue - roomInVia: false, MaxValue - roomInVia + 1: true, MaxValue: true} {
		var m Message
		via := "SIP/2.0/UDP a;x="
		raw := message(optionsLine, fmt.Sprintf("Via: %s%s\r\n\r\n", via, strings.Repeat("v", n-len(via))), "Via")
		if err := m.Parse([]byte(raw), true); err != nil {
			t.Fatal(err)
		}
		if _, got := m.Full(); got != full {
			t.Errorf("a Via of %d bytes: %v", n, got)
		}
	}
}
