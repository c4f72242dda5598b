package binding

import (
	"errors"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/ringwall/ringwall/edge"
)

// set is at as the system's clock tells it after somebody has set it, by that much: what time has gone by is the same.
func set(at time.Time, by time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&at)) // first field of time.Time: a flag, 33 bits of seconds, 30 of nanoseconds
	*wall = uint64(int64(*wall) + int64(by/time.Second)<<30)
	return at
}

// TestClockIsSet: setting the system's clock ends no registration, and lets none live on.
func TestClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
		table := newTable(t, Config{})
		begun := time.Now()
		b := Binding{ID: table.ID([]byte("alice@example.com"), nil, nil, []byte("sip:a@192.0.2.9")), AOR: "alice@example.com", Contact: "sip:a@192.0.2.9",
			Flow: udp("192.0.2.9:5060"), Expires: begun.Add(time.Hour), NAT: true}
		if err := table.Put(b, begun); err != nil {
			t.Fatal(err)
		}
		lives := func(want bool, after time.Duration) {
			t.Helper()
			now := set(begun.Add(after), by)
			table.Sweep(now)
			got, live := table.Get(b.ID, now)
			if live != want || table.Known(b.Flow, now) != want || table.KnownAddr(b.Flow.Remote.Addr(), now) != want ||
				(len(table.Of("alice", now)) == 1) != want || table.At(b.Flow, now) != got.ID {
				t.Errorf("set by %v, live after %v: %v, want %v", by, after, live, want)
			}
			if live && got.Expires.Unix()-now.Unix() != int64((time.Hour-after)/time.Second) {
				t.Errorf("set by %v: at %v it ends %v", by, now, got.Expires)
			}
		}
		lives(true, 59*time.Minute)
		table.Keepalives(set(begun, by), 25*time.Second, nil)
		kept := 0
		table.Keepalives(set(begun.Add(30*time.Second), by), 25*time.Second, func(edge.Flow) { kept++ })
		if kept != 1 {
			t.Errorf("set by %v: %d keep-alives", by, kept)
		}
		now := set(begun.Add(30*time.Minute), by)
		b.Expires = now.Add(time.Hour)
		if err := table.Put(b, now); err != nil {
			t.Fatal(err)
		}
		begun = begun.Add(30 * time.Minute)
		lives(true, 59*time.Minute)
		lives(false, time.Hour)
	}
}

// TestClockIsSetBeforeARestart: what the next process reads is by the system's clock as it is then.
func TestClockIsSetBeforeARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	keys := openKeys(t)
	table, _ := New(Config{}, keys)
	db := stateFile(t, path)
	now := time.Now()
	j := openJournal(t, db, table, set(now, -48*time.Hour), twoListeners()) // the machine started with a clock that was two days late
	b := phone(table, "alice@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour)
	b.Expires = now.Add(time.Hour)
	put(t, table, b, now)
	if err := errors.Join(j.Close(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	table, _ = New(Config{}, keys)
	openJournal(t, stateFile(t, path), table, now, twoListeners())
	got, live := table.Get(b.ID, now)
	if left := got.Expires.Sub(now); !live || left < 59*time.Minute || left > time.Hour {
		t.Errorf("live %v, ends in %v", live, left)
	}
}
