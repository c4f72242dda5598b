package transaction

import (
	"bytes"
	"testing"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// TestMemo: what is remembered is there until the next response, changes nothing of the last one, and takes no more memory.
func TestMemo(t *testing.T) {
	table := newTable(t, nil)
	tx := table.FindID(begin(t, table, 1, sip.INVITE, edge.UDP, epoch))
	tx.Remember([]byte("no response yet"))
	if len(tx.Memo()) != 0 {
		t.Fatalf("%q without a response", tx.Memo())
	}
	tx.Response(180, epoch)
	reply := bytes.Repeat([]byte{'r'}, 300) // in 512 bytes
	tx.Relayed(reply)
	for n, want := range map[int]int{0: 0, 1: 1, 212: 212, 213: 0} {
		tx.Relayed(reply)
		memo := bytes.Repeat([]byte{'m'}, n)
		if tx.Remember(memo); !bytes.Equal(tx.Memo(), memo[:want]) {
			t.Errorf("of %d bytes %d are remembered", n, len(tx.Memo()))
		}
		if !bytes.Equal(tx.Last(), reply) || cap(tx.last) != 512 {
			t.Errorf("the last response is %q, in %d bytes", tx.Last(), cap(tx.last))
		}
		if tx.Relayed(reply); len(tx.Memo()) != 0 {
			t.Errorf("%q after another response", tx.Memo())
		}
	}
	tx.Remember([]byte("memo"))
	if tx.Response(200, epoch); len(tx.Memo()) != 0 {
		t.Errorf("%q after a final response", tx.Memo())
	}
	tx.Unlock()
}
