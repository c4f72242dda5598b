package edge

import "testing"

// TestSay: what is no opinion is nil, whatever else stands in the verdict.
func TestSay(t *testing.T) {
	var x Exchange
	for _, v := range []Verdict{{}, {Reason: "test.nothing"}, {Status: 400, Most: 3}} {
		if said := x.Say(v); said != nil {
			t.Errorf("%+v is the opinion %+v", v, *said)
		}
	}
	for _, v := range []Verdict{{Action: Note}, {Score: 1}, {Lock: LockPair}} {
		if said := x.Say(v); said == nil || *said != v {
			t.Errorf("%+v becomes %v", v, said)
		}
	}
}
