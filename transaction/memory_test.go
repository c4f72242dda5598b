package transaction

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/ringwall/ringwall/sip"
)

// TestMemoryIsBounded: large requests of unknown sources use up their share of memory, not the machine's, and not that of others.
func TestMemoryIsBounded(t *testing.T) {
	table := newTable(t, func(c *Config) { c.Bytes = 64 << 20 })
	large := make([]byte, 60<<10)
	r := rand.New(rand.NewPCG(1, 2))
	fill := func(trusted bool) (n int) {
		for full := 0; full < 1000; {
			tx, _, err := table.Begin(r.Uint64(), trusted)
			if errors.Is(err, ErrFull) {
				full++
				continue
			}
			tx.Method = sip.INVITE
			tx.Sent(large, epoch)
			tx.Unlock()
			n++
		}
		return n
	}
	const slack = shardCount * 64 << 10 // one message per shard
	if n := fill(false); n*len(large) > 64<<20*3/10+slack || n*len(large) < 64<<20*2/10 {
		t.Errorf("unknown sources hold %d MiB of 64", n*len(large)>>20)
	}
	if n := fill(true); n*len(large) < 64<<20/2 || n*len(large) > 64<<20+slack {
		t.Errorf("trusted sources hold %d MiB of 64", n*len(large)>>20)
	}
	due(table, epoch.Add(table.shards[0].cfg.C))
	due(table, epoch.Add(2*table.shards[0].cfg.C))
	if table.Len() != 0 {
		t.Fatalf("%d are left", table.Len())
	}
	kept := 0
	for i := range table.shards {
		s := &table.shards[i]
		if s.bytes != [2]int{} {
			t.Fatalf("shard %d: %v bytes without a transaction", i, s.bytes)
		}
		for _, list := range s.bufs.classes {
			for _, b := range list {
				kept += cap(b)
			}
		}
	}
	if kept > 64<<20 {
		t.Errorf("%d MiB kept for use again", kept>>20)
	}
	if fill(false) == 0 {
		t.Error("no room after all is gone")
	}
}
