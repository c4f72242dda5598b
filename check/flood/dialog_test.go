package flood

import (
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
)

// TestDialog: one dialog sends 2,000 requests at once and 200 a second, whoever sends them; another has as many for itself, and an office that tells all of its
// phones' states at once, or keys at 20 a second for an hour, loses none.
func TestDialog(t *testing.T) {
	c, x := New(Config{}, checktest.Key), invite(t)
	x.Match, x.Dialog = edge.MatchInDialog, 0x1234567890abcdef
	if n, v := passed(c, x, 5000); n != 2000 || v.Action != edge.Drop || v.Reason != "flood.dialog" || v.Score != 0 {
		t.Errorf("%d pass at once; %+v", n, v)
	}
	x.At = x.At.Add(time.Second)
	if n, _ := passed(c, x, 5000); n != 200 {
		t.Errorf("%d pass after a second", n)
	}
	x.Dialog = 0xfedcba0987654321
	for range 3600 * 20 {
		if n, _ := passed(c, x, 1); n != 1 {
			t.Fatal("a key is lost")
		}
		x.At = x.At.Add(time.Second / 20)
	}
	if n, _ := passed(c, x, 500); n != 500 {
		t.Errorf("%d of an office's 500 pass", n)
	}
	x.Match, x.Dialog = edge.MatchRetransmission, 0
	if n, _ := passed(c, x, 5000); n != 5000 {
		t.Errorf("%d copies pass", n)
	}
	free := New(Config{Unlimited: true}, checktest.Key)
	x.Match, x.Dialog = edge.MatchInDialog, 5
	if n, _ := passed(free, x, 5000); n != 5000 {
		t.Errorf("%d pass without a limit", n)
	}
}
