package binding

import (
	"testing"
	"time"
)

// TestOf: the bindings of one user, with his domain or in all of them, those that have ended left out.
func TestOf(t *testing.T) {
	table := newTable(t, Config{})
	for i, aor := range []string{"al@example.com", "al@example.net", "alice@example.com", "al@example.co"} {
		put(t, table, phone(table, aor, "sip:x", udp("198.51.100.7:5060"), time.Duration(i+1)*time.Minute), start)
	}
	put(t, table, phone(table, "al@example.com", "sip:y", udp("198.51.100.8:5060"), 2*time.Hour), start)
	for user, want := range map[string]int{"al@example.com": 2, "al": 4, "alice": 1, "a": 0, "al@example": 0, "AL": 0} {
		if got := table.Of(user, start); len(got) != want {
			t.Errorf("%s: %d", user, len(got))
		}
	}
	if got := table.Of("al@example.com", start.Add(time.Hour)); len(got) != 1 || got[0].Contact != "sip:y" {
		t.Errorf("an hour later: %+v", got)
	}
}
