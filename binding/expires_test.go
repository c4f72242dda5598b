package binding

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestExpires(t *testing.T) {
	const fallback = time.Hour
	for _, tt := range []struct {
		param, field string
		want         time.Duration
	}{
		{"", "", fallback},
		{"60", "", time.Minute},
		{"", "60", time.Minute},
		{"60", "120", time.Minute},
		{" 60 ", "", time.Minute},
		{"", "\t60", time.Minute},
		{"0", "3600", 0},
		{"", "0", 0},
		{"000000000000000000000060", "", time.Minute},
		{"-1", "", fallback},
		{"-1", "60", fallback},
		{"+60", "", fallback},
		{"60x", "", fallback},
		{"1e3", "", fallback},
		{"6 0", "", fallback},
		{"\"60\"", "", fallback},
		{"٣", "", fallback},
		{"86400", "", MaxExpires},
		{"86401", "", MaxExpires},
		{"4294967295", "", MaxExpires},
		{"4294967296", "", MaxExpires},
		{"18446744073709551617", "", MaxExpires},
		{strings.Repeat("9", 5000), "", MaxExpires},
	} {
		if got := Expires([]byte(tt.param), []byte(tt.field), fallback); got != tt.want {
			t.Errorf("Expires(%.30q, %q) = %v, want %v", tt.param, tt.field, got, tt.want)
		}
	}
	if got := Expires(nil, nil, -time.Hour); got != 0 {
		t.Errorf("a negative fallback gave %v", got)
	}
	if got := Expires(nil, nil, 1000*time.Hour); got != MaxExpires {
		t.Errorf("a long fallback gave %v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		param, field := rapid.SliceOf(rapid.Byte()).Draw(t, "param"), rapid.SliceOf(rapid.Byte()).Draw(t, "field")
		if got := Expires(param, field, fallback); got < 0 || got > MaxExpires {
			t.Fatalf("Expires(%q, %q) = %v", param, field, got)
		}
	})
}
