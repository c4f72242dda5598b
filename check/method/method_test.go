package method

import (
	"slices"
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

func TestStrays(t *testing.T) {
	c := New(Config{}, checktest.Key)
	send := func(method string, n int, after time.Duration) (v edge.Verdict) {
		x := checktest.Exchange(t, checktest.Request(method, "sip:1@example.com"))
		x.At = x.At.Add(after)
		for range n {
			v = checktest.Opinion(c.Inspect(x))
		}
		return v
	}
	if v := send("BYE", 1000, 0); v.Score != 0 {
		t.Errorf("right after the start: %+v", v)
	}
	if v := send("BYE", 15, 10*time.Minute); v.Score != 0 {
		t.Errorf("15 late BYEs: %+v", v)
	}
	if v := send("BYE", 10, 10*time.Minute); v.Score != 10 || v.Reason != "method.stray" {
		t.Errorf("25: %+v", v)
	}
	if v := send("INVITE", 1000, 20*time.Minute); v.Score != 0 {
		t.Errorf("INVITEs are for other checks: %+v", v)
	}
	if v := send("FOO", 1, 20*time.Minute); v.Reason != "method.unknown" || v.Score != 1 || v.Most != 7 || v.Action != edge.Note {
		t.Errorf("FOO: %+v", v)
	}
}

// TestRefused: what a stranger may not begin weighs a little; not of a user, nor where strangers may.
func TestRefused(t *testing.T) {
	for _, method := range []string{"MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH", "INVITE", "REGISTER", "OPTIONS", "NOTIFY"} {
		x := checktest.Exchange(t, checktest.Request(method, "sip:1@example.com"))
		v := checktest.Opinion(New(Config{}, checktest.Key).Inspect(x))
		if want := slices.Contains(looked, x.Msg.Method); (v.Reason == "method.refused") != want || want && (v.Score != 1 || v.Most != 3 || v.Action != edge.Note) {
			t.Errorf("%s: %+v", method, v)
		}
		if v := New(Config{Allowed: []sip.Method{x.Msg.Method}}, checktest.Key).Inspect(x); v != nil {
			t.Errorf("%s, allowed: %+v", method, v)
		}
		x.Asked.Trust = edge.Known
		if v := New(Config{}, checktest.Key).Inspect(x); v != nil {
			t.Errorf("%s, of a user: %+v", method, v)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []Config{{Stray: 1}, {Within: 1}, {Grace: -1}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}
