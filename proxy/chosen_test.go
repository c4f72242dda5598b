package proxy

import (
	"hash/maphash"
	"testing"
)

func TestChosen(t *testing.T) {
	made := newChosen(maphash.MakeSeed())
	c := &made
	id, caller, callee := []byte("id"), []byte("caller"), []byte("callee")
	want := func(tag []byte, key byte, known bool) {
		t.Helper()
		if k, ok := c.find(id, tag); k != key || ok != known {
			t.Errorf("%q: key %q, %t", tag, k, ok)
		}
	}
	want(nil, 0, false)
	c.began(id, caller)
	want(nil, 0, true)
	want(caller, 0, true)
	want(callee, 0, true)
	c.masked(id, 'b') // and out again
	want(caller, 0, true)
	want(callee, 'b', true)
	want(nil, 'b', true)
}
