package binding

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestIdentify holds that an id that is looked up is the one that would be made, also where hints are few and taken by others.
func TestIdentify(t *testing.T) {
	table := newTable(t, Config{Max: 5000, PerAOR: 200})
	type texts [4][]byte
	var all []texts
	for i := range 3000 {
		aor := []byte(fmt.Sprintf("user%d@example.com", i/3))
		all = append(all, [...]texts{
			{aor, nil, nil, []byte("sip:a@192.168.1.1")},
			{aor, []byte("<urn:uuid:1>"), []byte("1"), []byte("sip:a@192.168.1.1")},
			{aor, []byte("<urn:uuid:1>"), nil, []byte("sip:a@192.168.1.2")},
		}[i%3])
	}
	for i := range 100 { // more in one shard than are looked through
		all = append(all, texts{[]byte("many@example.com"), nil, nil, []byte(fmt.Sprintf("sip:a@192.168.1.%d", i))})
	}
	prints := map[Print]int{}
	for range 3 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for i, one := range all {
			id, p := table.Identify(one[0], one[1], one[2], one[3])
			if want := table.ID(one[0], one[1], one[2], one[3]); id != want {
				t.Fatalf("%q has the id %s, want %s", one, id, want)
			}
			prints[p]++
			b := Binding{ID: id, AOR: string(one[0]), Contact: string(one[3]), Flow: udp("192.0.2.1:1024"), Expires: start.Add(time.Hour), Print: p}
			if !table.Refresh(id, p, b.Flow, b.NAT, b.Expires, start) {
				put(t, table, b, start)
			}
			if i%7 == 0 {
				table.Delete(id, start)
			}
		}
	}
	if len(prints) != len(all) || prints[0] != 0 {
		t.Errorf("%d prints of %d registrations, %d of them 0", len(prints), len(all), prints[0])
	}
}

// TestRefresh: the end of a binding moves for every reader and for the journal, and only that of the very same registration.
func TestRefresh(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	table := newTable(t, Config{})
	j := openJournal(t, stateFile(t, path), table, start, twoListeners())
	b := phone(table, "alice@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Minute)
	b.ID, b.Print = table.Identify([]byte(b.AOR), nil, nil, []byte(b.Contact))
	late := b.Expires.Add(time.Hour)
	refresh := func(b Binding) bool { return table.Refresh(b.ID, b.Print, b.Flow, b.NAT, late, start) }
	if refresh(b) {
		t.Error("a binding that is not there was refreshed")
	}
	put(t, table, b, start)
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Binding){
		"id":        func(b *Binding) { b.ID[15] ^= 1 },
		"print":     func(b *Binding) { b.Print++ },
		"no print":  func(b *Binding) { b.Print = 0 },
		"port":      func(b *Binding) { b.Flow = udp("192.0.2.1:1025") },
		"address":   func(b *Binding) { b.Flow = udp("192.0.2.2:1024") },
		"transport": func(b *Binding) { b.Flow.Transport++ },
		"side":      func(b *Binding) { b.Flow.Side++ },
		"conn":      func(b *Binding) { b.Flow.Conn++ },
		"listener":  func(b *Binding) { b.Flow.Listener++ },
		"nat":       func(b *Binding) { b.NAT = true },
	} {
		other := b
		change(&other)
		if refresh(other) {
			t.Errorf("refreshed by another %s", name)
		}
	}
	if table.Refresh(b.ID, b.Print, b.Flow, b.NAT, start, start) {
		t.Error("refreshed for no time")
	}
	if got, ok := table.Get(b.ID, start); !ok || !same(got, b) {
		t.Errorf("got %+v, want %+v", got, b)
	}
	for range 3 {
		if !refresh(b) {
			t.Fatal("not refreshed")
		}
	}
	b.Expires = late
	last := late.Add(-time.Second)
	if got, ok := table.Get(b.ID, last); !ok || !same(got, b) || !table.Known(b.Flow, last) || !table.KnownAddr(b.Flow.Remote.Addr(), last) {
		t.Errorf("got %+v, %t; want %+v", got, ok, b)
	}
	table.Sweep(last)
	if table.At(b.Flow, last) != b.ID || table.Known(b.Flow, late) || table.KnownAddr(b.Flow.Remote.Addr(), late) {
		t.Error("the source does not live as long as its binding")
	}
	if n, _ := j.Waiting(); n != 1 {
		t.Errorf("%d changes are remembered of one binding", n)
	}
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := newTable(t, Config{})
	openJournal(t, stateFile(t, path), again, start, twoListeners())
	b.Print = 0
	if got, ok := again.Get(b.ID, last); !ok || !same(got, b) {
		t.Errorf("after a restart %+v, %t; want %+v", got, ok, b)
	}
}

// TestRoomComesBack: what many bindings of one AOR took is free when they are gone.
func TestRoomComesBack(t *testing.T) {
	table := newTable(t, Config{PerAOR: 200})
	var b Binding
	for i := range 200 {
		b = phone(table, "alice@example.com", "sip:"+strings.Repeat("a", i+1), udp("192.0.2.1:1024"), time.Duration(i+1)*time.Second)
		put(t, table, b, start)
	}
	s := table.shardOf(b.ID)
	table.Sweep(start.Add(199 * time.Second))
	if len(s.entries) != 1 || cap(s.entries) > 2 {
		t.Errorf("%d entries, room for %d", len(s.entries), cap(s.entries))
	}
	if table.Sweep(b.Expires); s.entries != nil {
		t.Errorf("room for %d is kept", cap(s.entries))
	}
}
