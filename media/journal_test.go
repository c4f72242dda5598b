package media

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/state"
	"github.com/ringwall/ringwall/state/statefile"
)

func newFile(t *testing.T) *sql.DB {
	t.Helper()
	db, err := statefile.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// journal keeps calls in db, and says how many were taken up and left out.
func journal(t *testing.T, db *sql.DB, c *Calls, now time.Time) (j *Journal, restored, left int) {
	t.Helper()
	j, err := OpenJournal(t.Context(), db, c, now, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close(context.Background()) })
	restored, left = j.Loaded()
	return j, restored, left
}

// next is the process after the one of k: another relay, and calls that know nothing.
func (k *talk) next(change func(*CallsConfig)) (*Relay, *Calls) {
	k.t.Helper()
	relay, cfg := newRelay(k.t, func(c *RelayConfig) { c.Now = k.clock.Now }), k.calls.cfg
	if change != nil {
		change(&cfg)
	}
	return relay, (&BuiltIn{Relay: relay, Near: func(edge.Flow) netip.Addr { return netip.Addr{} }}).NewCalls(cfg)
}

// written is the row of the only call.
func written(t *testing.T, db *sql.DB) (text []byte) {
	t.Helper()
	if err := db.QueryRow(`SELECT record FROM media_call`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

func rows(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRow(`SELECT count(*) FROM media_call`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// newKept is a call that talked and is in the journal of a process that is gone.
func newKept(t *testing.T) (*talk, *sql.DB, *Stream) {
	t.Helper()
	k, db := newTalk(t, nil), newFile(t)
	j, _, _ := journal(t, db, k.calls, k.clock.Now())
	k.agree(theDialog, "sendrecv", "sendrecv")
	k.keep()
	k.pass(3, k.near, k.far)
	was := k.stream()
	for range 3 {
		k.near.hears(was.Port(Caller), "x")
		k.far.hears(was.Port(Callee), "x")
	}
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	was.relay.Close() // which asks nobody
	return k, db, was
}

// TestJournal: a call goes on in another process on the same ports, with what is known of its ends, and is forgotten when it ends.
func TestJournal(t *testing.T) {
	k, db, was := newKept(t)
	relay, calls := k.next(nil)
	j, restored, left := journal(t, db, calls, k.clock.Now())
	if restored != 1 || left != 0 || calls.Len() != 1 {
		t.Fatalf("%d calls are back, %d are left out", restored, left)
	}
	k.calls = calls
	stream := k.stream()
	for e := range End(Ends) {
		if stream.Port(e) != was.Port(e) || stream.Stats(e).Source != was.Stats(e).Source {
			t.Errorf("end %d: %v from %v, was %v from %v", e, stream.Port(e), stream.Stats(e).Source, was.Port(e), was.Stats(e).Source)
		}
	}
	k.far.talk(stream.Port(Callee), "first, from the platform") // before anything came from the phone
	k.near.hears(stream.Port(Caller), "first, from the platform")
	k.near.talk(stream.Port(Caller), "from the phone")
	k.far.hears(stream.Port(Callee), "from the phone")
	k.told = nil
	if k.pass(5, k.near, k.far); len(k.told) != 0 {
		t.Errorf("told is %v", k.told)
	}
	if k.pass(15); len(k.ended()) != 1 {
		t.Error("silence does not end it") // what that takes was kept, too
	}
	bye := Message{At: k.clock.Now(), Key: 99, Dialog: theDialog, Method: sip.BYE, Parties: k.parties}
	if _, err := calls.Request(nil, &bye); err != nil {
		t.Fatal(err)
	}
	if calls.Over(99, 200); calls.Len() != 0 || relay.Streams() != 0 {
		t.Errorf("after BYE %d calls and %d streams", calls.Len(), relay.Streams())
	}
	if err := j.Flush(t.Context()); err != nil || rows(t, db) != 0 {
		t.Errorf("%v, %d rows", err, rows(t, db))
	}
}

// TestJournalLeavesOut: what can't be read, is too old, has no room or no ports any more is left out, and deleted.
func TestJournalLeavesOut(t *testing.T) {
	k, db, was := newKept(t)
	text := written(t, db)
	put := func(id int, at time.Time, text []byte) {
		t.Helper()
		if _, err := db.Exec(`INSERT OR REPLACE INTO media_call VALUES (?, ?, ?)`, id, at.UnixMilli(), string(text)); err != nil {
			t.Fatal(err)
		}
	}
	now := k.clock.Now()
	for what, f := range map[string]func(){
		"nothing": func() { put(1, now, nil) },
		"no call": func() { put(1, now, []byte("{}")) },
		"half":    func() { put(1, now, text[:len(text)/2]) },
		"old":     func() { put(1, now.Add(-k.calls.cfg.Life), text) },
	} {
		f()
		relay, calls := k.next(nil)
		if _, restored, left := journal(t, db, calls, now); restored != 0 || left != 1 || rows(t, db) != 0 || relay.Streams() != 0 {
			t.Errorf("%s: %d calls are back, %d are left out, %d rows, %d streams", what, restored, left, rows(t, db), relay.Streams())
		}
	}
	put(1, now.Add(-time.Minute), text)
	put(2, now, text) // the same ports once more; the younger one has them
	put(3, now.Add(-time.Second), []byte("junk"))
	first, calls := k.next(func(c *CallsConfig) { c.Calls = 2 })
	if _, restored, left := journal(t, db, calls, now); restored != 1 || left != 2 || rows(t, db) != 1 || calls.List()[0].ID != 2 {
		t.Errorf("%d calls are back, %d are left out, %d rows", restored, left, rows(t, db))
	}
	first.Close()
	newPhoneAt(t, was.Port(Callee)) // another process has the port
	put(2, now, text)
	second, calls := k.next(nil)
	if _, restored, left := journal(t, db, calls, now); restored != 0 || left != 1 || second.Streams() != 0 {
		t.Errorf("a port is taken: %d calls are back, %d are left out, %d streams", restored, left, second.Streams())
	}
}

// TestJournalHostile: whatever a damaged row says, it makes no panic, then or later.
func TestJournalHostile(t *testing.T) {
	k, db, _ := newKept(t)
	text := written(t, db)
	relay, calls := k.next(nil)
	for i := range text {
		for _, c := range []byte{'9', '0', '"', '-', 'x'} {
			b := append([]byte(nil), text...)
			b[i] = c
			var r record
			if json.Unmarshal(b, &r) != nil || calls.restore(1, &r, k.clock.Now()) != nil {
				continue
			}
			calls.List()
			calls.Sweep(k.clock.Now())
			one, _ := calls.call(1)
			one.record()
			one.end()
		}
	}
	if relay.Streams() != 0 || calls.Len() != 0 {
		t.Errorf("%d streams and %d calls are left", relay.Streams(), calls.Len())
	}
}

// TestJournalIsForOurRelay: rtpengine keeps its calls itself.
func TestJournalIsForOurRelay(t *testing.T) {
	calls := newCalls(DefaultCallsConfig(), func() anchor { return &engaged{} })
	if _, err := OpenJournal(t.Context(), newFile(t), calls, time.Now(), state.Options{}); err == nil {
		t.Error("a journal of calls that rtpengine keeps")
	}
}
