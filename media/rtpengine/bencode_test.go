package rtpengine

import (
	"strings"
	"testing"
)

func TestBencode(t *testing.T) {
	v, err := check([]byte("d3:agei-7e4:listl1:ai2ed1:x1:yee4:name5:alicee"))
	if err != nil {
		t.Fatal(err)
	}
	if v.get("age").num() != -7 || string(v.get("name").str()) != "alice" || v.get("none") != nil {
		t.Errorf("%q", v)
	}
	n := 0
	for one := range v.get("list").items {
		n++
		if one[0] == 'd' && string(one.get("x").str()) != "y" {
			t.Errorf("%q", one)
		}
	}
	if n != 3 {
		t.Errorf("%d items", n)
	}
	if v.get("age").str() != nil || v.get("name").num() != 0 || v.get("name").get("x") != nil || value(nil).get("x") != nil {
		t.Error("a value of one kind read as another")
	}
}

func TestBencodeRefused(t *testing.T) {
	for _, s := range []string{"", "i", "ie", "i-e", "i1", "i+1e", "i99999999999999999999e", "1", "1:", "2:a", "-1:a", "99999999999999999999:a", "l", "li1e",
		"d", "d1:a", "d1:ae", "di1ei2ee", "d1:ai1e1:be", "i1ei2e", "x", "e", strings.Repeat("l", maxDepth+2) + strings.Repeat("e", maxDepth+2)} {
		if v, err := check([]byte(s)); err == nil {
			t.Errorf("%q is taken for %q", s, v)
		}
	}
}

// FuzzBencode walks through all that check accepts.
func FuzzBencode(f *testing.F) {
	f.Add([]byte("d3:agei-7e4:listl1:ai2ed1:x1:yee4:name5:alicee"))
	f.Add([]byte("d6:result2:ok4:tagsd1:ad6:mediasld7:streamsld5:statsd7:packetsi1eeeeeeee6:totalsd3:RTPd7:packetsi1eeee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := check(b)
		if err != nil {
			return
		}
		walk(t, v)
		_ = totals(v)
		_ = refusal(v)
	})
}

func walk(t *testing.T, v value) {
	v.str()
	v.num()
	for _, one := range v.pairs {
		walk(t, one)
	}
	for one := range v.items {
		walk(t, one)
	}
	if _, err := check(v); err != nil {
		t.Fatalf("%q is none", v)
	}
}
