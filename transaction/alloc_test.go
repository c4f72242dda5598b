//go:build !race

package transaction

import (
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// TestSteadyWorkDoesNotAllocate runs a whole INVITE transaction, from Begin to the end of its lingering.
func TestSteadyWorkDoesNotAllocate(t *testing.T) {
	table, now, key := newTable(t, nil), epoch, uint64(0)
	body := make([]byte, 1200)
	round := func() {
		now = now.Add(time.Second)
		key += 1 << 40
		tx, _, _ := table.Begin(key, true)
		tx.Method = sip.INVITE
		tx.Client.Transport = edge.UDP
		tx.Keep(body[:80], body[:60], nil)
		tx.Sent(body, now)
		id := tx.ID()
		tx.Unlock()
		for _, status := range [...]int{100, 180, 200} {
			tx = table.FindID(id)
			tx.Response(status, now)
			tx.Relayed(body[:700])
			tx.Unlock()
		}
		for i := range table.Shards() {
			for tx, _ := table.Due(i, now); tx != nil; tx, _ = table.Due(i, now) {
				tx.Unlock()
			}
		}
	}
	for range 3000 {
		round()
	}
	if n := testing.AllocsPerRun(1000, round); n > 0 {
		t.Errorf("%v allocations per transaction", n)
	}
	if table.Len() > 40 {
		t.Errorf("%d left on record", table.Len())
	}
}

func BenchmarkTransaction(b *testing.B) {
	table, now, key := newTable(b, nil), epoch, uint64(0)
	body := make([]byte, 1200)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(250 * time.Microsecond)
		key += 0x9e3779b97f4a7c15
		if table.Has(key) {
			b.Fatal("collision")
		}
		tx, _, err := table.Begin(key, true)
		if err != nil {
			b.Fatal(err)
		}
		tx.Method = sip.INVITE
		tx.Keep(body[:80], body[:60], nil)
		tx.Sent(body, now)
		id := tx.ID()
		tx.Unlock()
		for _, status := range [...]int{100, 180, 200} {
			tx = table.FindID(id)
			tx.Response(status, now)
			tx.Relayed(body[:700])
			tx.Unlock()
		}
		if key&0xff == 0 {
			for i := range table.Shards() {
				for tx, _ := table.Due(i, now); tx != nil; tx, _ = table.Due(i, now) {
					tx.Unlock()
				}
			}
		}
	}
}
