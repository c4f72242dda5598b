package transaction

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// TestShelfIsAQueue holds the shelf of a shard against a plain list: what is put there comes back unchanged until its time is over, in
// whatever order sizes come, and nothing is kept of it afterwards.
func TestShelfIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type entry struct {
			number uint32
			bytes  []byte
		}
		var shelf shelf
		shelf.first = rapid.SampledFrom([]uint32{0, numbers - 3}).Draw(t, "first") // numbers wrap
		var want []entry
		for i := range rapid.IntRange(1, 300).Draw(t, "steps") {
			if len(want) > 0 && rapid.IntRange(0, 9).Draw(t, "drop") < 3 {
				shelf.drop()
				want = want[1:]
			} else {
				n := rapid.OneOf(rapid.IntRange(0, 700), rapid.IntRange(0, 3*blockSize)).Draw(t, "size")
				b := bytes.Repeat([]byte{byte(i)}, n)
				number, r := shelf.add(n)
				last := &shelf.blocks[len(shelf.blocks)-1]
				*last = append(*last, b...)
				r.size = uint32(n)
				want = append(want, entry{number, b})
			}
			for _, e := range want {
				r := shelf.get(e.number)
				if have := shelf.blocks[r.block-shelf.base][r.at:][:r.size]; !bytes.Equal(have, e.bytes) {
					t.Fatalf("record %d holds %d bytes, want %d", e.number, len(have), len(e.bytes))
				}
			}
			if int(shelf.n) != len(want) {
				t.Fatalf("%d records, want %d", shelf.n, len(want))
			}
		}
		for range want {
			shelf.drop()
		}
		if len(shelf.blocks) > 1 || len(shelf.spare) > spareBlocks {
			t.Fatalf("%d blocks and %d spare ones are left", len(shelf.blocks), len(shelf.spare))
		}
	})
}

// TestShelvedTransactionIsTheSame: what a transaction may still need survives the shelf.
func TestShelvedTransactionIsTheSame(t *testing.T) {
	for _, remote := range []string{"192.0.2.1:5060", "[2001:db8::7]:5061", "[::ffff:192.0.2.1]:9"} {
		overAndBack(t, remote, sip.BYE, 200, Completed, "", "reply")
		overAndBack(t, remote, sip.INVITE, 200, Accepted, "vias\n", "")
	}
}

func overAndBack(t *testing.T, remote string, method sip.Method, status int, state State, back, last string) {
	table := newTable(t, nil)
	client := edge.Flow{Remote: netip.MustParseAddrPort(remote), Conn: 1 << 40, Listener: 3, Transport: edge.WSS}
	target := edge.Flow{Remote: netip.MustParseAddrPort(remote), Listener: 700, Transport: edge.TCP, Side: edge.Inside}
	tx, _, _ := table.Begin(7<<60|5, false)
	tx.Method, tx.Client, tx.Target = method, client, target
	tx.Keep([]byte("vias\n"), []byte("token"), []byte("extra"))
	tx.Meter(100)
	tx.Sent([]byte("request"), epoch)
	id := tx.ID()
	tx.Response(status, epoch)
	tx.Relayed([]byte("reply"))
	tx.Unlock()
	for range 2 {
		if tx = table.Find(7<<60 | 5); tx == nil || !tx.shelved || tx.ID() != id {
			t.Fatal("it is not on the shelf")
		}
		vias, route, extra := tx.Back()
		if tx.Client != client || tx.Target != target || tx.Method != method || tx.State != state || string(vias) != back ||
			back != "" && (string(route) != "token" || string(extra) != "extra") || string(tx.Last()) != last || len(tx.Request()) != 0 {
			t.Errorf("%+v", tx)
		}
		tx.Unlock()
	}
	if table.Has(7<<60 | 6) { // the same tag
		t.Error("a key that differs in its lowest bits is taken for it")
	}
	tx = table.FindID(id)
	if !tx.Affords(0) {
		t.Error("the credit is gone")
	}
	tx.Spend(301)
	tx.Unlock()
	if tx = table.FindID(id); tx.Affords(0) {
		t.Error("credit is not spent")
	}
	tx.Unlock()
	due(table, epoch.Add(table.shards[0].cfg.Linger+time.Second))
	if table.Len() != 0 || table.Untrusted() != 0 || table.FindID(id) != nil || table.Has(7<<60|5) {
		t.Error("it is still on record")
	}
}

// TestFlowsAreTheSame: any flow comes back as it was, whatever follows it.
func TestFlowsAreTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")))
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 1:
			addr = netip.AddrFrom4([4]byte(addr.AsSlice()))
		case 2:
			addr = netip.AddrFrom16(netip.AddrFrom4([4]byte(addr.AsSlice())).As16())
		}
		f := edge.Flow{Remote: netip.AddrPortFrom(addr, rapid.Uint16().Draw(t, "port")), Listener: rapid.Uint16().Draw(t, "listener"),
			Conn:      rapid.SampledFrom([]uint64{0, 1, 1<<64 - 1}).Draw(t, "conn"),
			Transport: edge.Transport(rapid.IntRange(0, edge.Transports-1).Draw(t, "transport")), Side: edge.Side(rapid.IntRange(0, 1).Draw(t, "side"))}
		b := appendFlow(nil, &f)
		if n := len(b); n > maxFlow {
			t.Fatalf("%d bytes", n)
		}
		if back, rest := takeFlow(append(b, "rest"...)); back != f || string(rest) != "rest" {
			t.Fatalf("%+v and %q of %+v", back, rest, f)
		}
	})
}

// TestShelvedTransactionIsSmall: what lingers costs little more than the bytes that may have to be sent again.
func TestShelvedTransactionIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(record{}); n > 48 {
		t.Errorf("a record has %d bytes", n)
	}
	table := newTable(t, nil)
	far := edge.Flow{Remote: netip.MustParseAddrPort("192.0.2.1:5060")}
	const n = 10_000
	for i := range uint64(n) {
		tx, _, _ := table.Begin(i*0x9e3779b97f4a7c15, true)
		tx.Method, tx.Client, tx.Target = sip.INVITE, far, far
		tx.Keep(make([]byte, 90), make([]byte, 80), nil)
		tx.Sent(make([]byte, 1000), epoch)
		tx.Response(200, epoch)
		tx.Relayed(make([]byte, 700))
		tx.Unlock()
	}
	held := 0
	for i := range table.shards {
		held += table.shards[i].bytes[1]
		if len(table.shards[i].working) > 1 {
			t.Errorf("%d Tx work", len(table.shards[i].working))
		}
	}
	if held > n*(recordSize+200) {
		t.Errorf("%d bytes per transaction", held/n)
	}
}

// TestLate2xxLeavesTheShelfAlone: a 2xx that follows a refusal (a fork that was answered just then, RFC 3261 §16.7 step 5) is relayed, and
// nothing of the shelf is taken for a free buffer: others would write into it, and its bytes are sent again to whoever refused.
func TestLate2xxLeavesTheShelfAlone(t *testing.T) {
	for _, n := range []int{300, 256, 512, 1024, 2048, 4096} {
		table := newTable(t, nil)
		ack := bytes.Repeat([]byte("a"), n)
		id := begin(t, table, 7<<60|5, sip.INVITE, edge.UDP, epoch)
		tx := table.FindID(id)
		tx.Response(486, epoch)
		tx.KeepACK(ack)
		tx.Relayed([]byte("486"))
		tx.Unlock()
		tx = table.FindID(id)
		tx.ACK()
		tx.Unlock()
		if tx = table.FindID(id); !tx.shelved {
			t.Fatal("it is not on the shelf")
		}
		if step := tx.Response(200, epoch); step != Relay {
			t.Fatalf("the 200 asks for %v", step)
		}
		tx.Relayed([]byte("200"))
		tx.Unlock()
		for i := range uint64(50) { // of any size: what is free is used again
			tx, _, _ := table.Begin(7<<60|6+i, true)
			tx.Method = sip.INVITE
			tx.Sent(bytes.Repeat([]byte("b"), n), epoch)
			tx.Relayed(bytes.Repeat([]byte("b"), 128<<(i%8)))
			tx.Unlock()
		}
		tx = table.FindID(id)
		if step := tx.Response(486, epoch); step != AckAgain || !bytes.Equal(tx.Request(), ack) {
			t.Fatalf("%d bytes of ACK: %v, of another call: %.20q", n, step, tx.Request())
		}
		tx.Unlock()
	}
}
