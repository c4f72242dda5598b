package proxy

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

func anyFlow(t *rapid.T, side edge.Side) edge.Flow {
	last := edge.WSS
	if side == edge.Inside { // where WebSocket is never spoken
		last = edge.TLS
	}
	f := edge.Flow{Side: side, Transport: edge.Transport(rapid.IntRange(0, int(last)).Draw(t, "transport"))}
	n := 4
	if rapid.Bool().Draw(t, "six") {
		n = 16
	}
	a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "addr"))
	f.Remote = netip.AddrPortFrom(a, rapid.Uint16().Draw(t, "port"))
	if side == edge.Outside {
		f.Listener = uint16(rapid.Byte().Draw(t, "listener"))
		if f.Transport.Stream() {
			f.Conn = rapid.Uint64().Draw(t, "conn")
		}
	}
	return f
}

func TestRouteComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := route{Outside: anyFlow(t, edge.Outside), Inside: anyFlow(t, edge.Inside)}
		if rapid.Bool().Draw(t, "bound") {
			raw := rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, "id")
			idText.Encode(want.Binding[:], raw)
		}
		kind := rapid.SampledFrom([]byte{fromOutside, fromInside, pathToken}).Draw(t, "kind")
		plain := want.appendPlain(nil, kind)
		if len(plain) > usualRoute {
			t.Fatalf("%d bytes, more than usualRoute", len(plain))
		}
		var got route
		if !got.parse(plain, kind) || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		for i := range plain {
			if got.parse(plain[:i], kind) {
				t.Fatalf("the first %d of %d bytes are taken for a route", i, len(plain))
			}
		}
	})
}

// TestTokenIsBound: a token opens in its own dialog, from either side, and nowhere else.
func TestTokenIsBound(t *testing.T) {
	keys, err := seal.Open(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	parse := func(from, to, callID string) *sip.Message {
		m := new(sip.Message)
		raw := "BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=" + from +
			"\r\nTo: <sip:c@d>;tag=" + to + "\r\nCall-ID: " + callID + "\r\nCSeq: 1 BYE\r\n\r\n"
		if err := m.Parse([]byte(raw), true); err != nil {
			t.Fatal(err)
		}
		return m
	}
	remote := netip.MustParseAddrPort("192.0.2.1:5060")
	r := route{Binding: binding.ID([]byte("abcdefghijklmnop")), Outside: edge.Flow{Remote: remote}, Inside: edge.Flow{Remote: remote, Side: edge.Inside}}
	token := appendToken(nil, keys, &r, edge.Outside, parse("x", "unused", "id"), []byte("id"))
	for _, c := range []struct {
		name         string
		from, to, id string
		side         edge.Side
		want         bool
	}{
		{"from the caller", "x", "y", "id", edge.Outside, true},
		{"from the callee", "y", "x", "id", edge.Inside, true},
		{"another callee of the fork", "z", "x", "id", edge.Inside, true},
		{"another Call-ID", "x", "y", "id2", edge.Outside, false},
		{"another tag", "w", "y", "id", edge.Outside, false},
		{"tags changed round", "y", "x", "id", edge.Outside, false},
		{"the wrong side", "x", "y", "id", edge.Inside, false},
	} {
		if got, ok := openedToken(keys, token, c.side, parse(c.from, c.to, c.id)); ok != c.want || ok && !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %v %+v", c.name, ok, got)
		}
	}
	for i := range token {
		bent := append([]byte(nil), token...)
		bent[i] ^= 1
		if _, ok := openedToken(keys, bent, edge.Outside, parse("x", "y", "id")); ok {
			t.Errorf("byte %d changed, still opens", i)
		}
	}
	if path := append([]byte{pathToken}, token[1:]...); true {
		if _, ok := openedToken(keys, path, edge.Inside, parse("x", "y", "id")); ok {
			t.Error("a dialog's token opens as a Path")
		}
	}
}

func TestBranch(t *testing.T) {
	b, err := newBrancher()
	if err != nil {
		t.Fatal(err)
	}
	other, _ := newBrancher()
	rapid.Check(t, func(t *rapid.T) {
		id, loop := transaction.ID(rapid.Uint64().Draw(t, "id")), rapid.Uint32().Draw(t, "loop")
		branch := b.append(nil, id, loop)
		if len(branch) != branchLen {
			t.Fatalf("%q", branch)
		}
		if gotID, gotLoop, ok := b.open(branch); !ok || gotID != id || gotLoop != loop {
			t.Fatalf("%v %v %v", gotID, gotLoop, ok)
		}
		if _, _, ok := other.open(branch); ok {
			t.Fatal("opens in another process")
		}
		i := rapid.IntRange(len(cookie), branchLen-1).Draw(t, "at")
		branch[i] ^= 1
		if got, _, ok := b.open(branch); ok && got == id {
			t.Fatal("changed, still opens")
		}
	})
}

// callIDIn is the Call-ID of m.
func callIDIn(m *sip.Message) []byte { return m.CallID.Of(m.Raw) }

// openedToken opens a token for a message whose Call-ID nobody masked.
func openedToken(keys *seal.Keys, user []byte, side edge.Side, m *sip.Message) (route, bool) {
	r, _, ok := openToken(nil, keys, user, side, m, callIDIn(m))
	return r, ok
}
