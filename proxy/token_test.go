package proxy

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
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
		want := anyRoute(t)
		kind := rapid.SampledFrom([]byte{fromOutside, fromInside, pathToken}).Draw(t, "kind")
		plain := want.appendPlain(nil, kind)
		if len(plain) > usualRoute {
			t.Fatalf("%d bytes, more than usualRoute", len(plain))
		}
		var got route
		if _, ok := got.parse(plain, kind); !ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		for i := range plain {
			if _, ok := got.parse(plain[:i], kind); ok {
				t.Fatalf("the first %d of %d bytes are taken for a route", i, len(plain))
			}
		}
	})
}

// anyRoute is a route of a dialog that hides nothing.
func anyRoute(t *rapid.T) route {
	r := route{Outside: anyFlow(t, edge.Outside), Inside: anyFlow(t, edge.Inside)}
	if rapid.Bool().Draw(t, "bound") {
		raw := rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, "id")
		idText.Encode(r.Binding[:], raw)
	}
	return r
}

// anyHost is what inside may write as host and port, most often nothing.
func anyHost(t *rapid.T, name string) []byte {
	return []byte(rapid.OneOf(rapid.Just(""), rapid.Just("pbx.example"), rapid.StringMatching(`[0-9a-z.:\[\]-]{1,40}`),
		rapid.StringMatching(`(0?[0-9]{1,2}|1[0-9]{2}|25[0-6])(\.[0-9]{1,2}){3}(:[0-9]{1,6})?`)).Draw(t, name))
}

// anyRecorded is the Record-Routes of proxies inside, as fields of a message.
func anyRecorded(t *rapid.T) (fields string, values []string) {
	for _, v := range rapid.SliceOfN(rapid.OneOf(
		rapid.StringMatching(`<sips?:(u[0-9]?@)?10\.0\.0\.[1-9](:[1-9][0-9]{0,3})?(;lr|;lr;did=[a-z0-9]{3}|;transport=tcp;lr)>`),
		rapid.StringMatching(`<sip:(\[2001:db8::[1-9]\]|pbx\.example)(:5080)?;lr>(;x=[a-z]{1,9})?`),
		rapid.StringMatching(`<sip:oa[A-Za-z0-9_-]{40}@10\.0\.0\.1:5070;lr>`)), 0, 4).Draw(t, "recorded") {
		fields, values = fields+"Record-Route: "+v+"\r\n", append(values, v)
	}
	return fields, values
}

// setOf packs the Record-Routes in fields one by one.
func setOf(t *rapid.T, fields string, pack func(set, raw []byte, a *sip.Address) []byte) (set []byte) {
	m := new(sip.Message)
	if err := m.Parse([]byte("BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"+
		"To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n"+fields+"\r\n"), true); err != nil {
		t.Fatal(err)
	}
	for i := m.Find(sip.FieldRecordRoute); i >= 0; i = m.Next(sip.FieldRecordRoute, i) {
		a, _, err := sip.NextAddress(m.Raw, m.Fields[i].Value)
		if err != nil {
			t.Fatal(err)
		}
		set = pack(set, m.Raw, &a)
	}
	return set
}

// own are the listeners of ours inside.
var own = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.9:5070"), netip.MustParseAddrPort("10.0.0.1:5070")}

func appendEntry(set, raw []byte, a *sip.Address) []byte { return topo.AppendEntry(set, raw, a, own) }

// entries are the values in a set.
func entries(t *rapid.T, set []byte) (values []string) {
	for len(set) > 0 {
		value, rest, ok := topo.NextEntry(nil, set, own)
		if !ok {
			t.Fatalf("what can't be read is left of the set: %q", set)
		}
		set, values = rest, append(values, string(value))
	}
	return values
}

// TestVeilComesBack: what a token of a hidden dialog holds, in the form it has now and in the one that it had earlier.
func TestVeilComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fields, values := anyRecorded(t)
		want := anyRoute(t)
		want.veiled = veiled{Masked: rapid.Bool().Draw(t, "masked"), Whole: rapid.Bool().Draw(t, "whole"), FromHost: anyHost(t, "from"), ToHost: anyHost(t, "to"),
			Salt: rapid.Uint32Range(0, 1<<(8*saltLen)-1).Draw(t, "salt")}
		if want.Masked {
			want.Key = 'k'
		}
		if want.Set = setOf(t, fields, appendEntry); rapid.Bool().Draw(t, "same") {
			want.ToHost = want.FromHost
		}
		if next, over, ok := topo.NextServer(want.Set); ok && rapid.Bool().Draw(t, "near") {
			want.Inside = edge.Flow{Side: edge.Inside, Remote: next, Transport: over}
		}
		check := func(plain []byte) {
			t.Helper()
			var got route
			if _, ok := got.parse(plain, fromInside); !ok {
				t.Fatalf("%q does not open", plain)
			}
			if all := entries(t, got.Set); !slices.Equal(all, values) {
				t.Fatalf("proxies %q, want %q", all, values)
			}
			want, got := want, got
			for _, r := range []*route{&want, &got} {
				r.FromHost, r.ToHost, r.Set = append([]byte{}, r.FromHost...), append([]byte{}, r.ToHost...), nil
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, want %+v", got, want)
			}
		}
		check(want.appendPlain(nil, fromInside))
		want.Salt = 0 // there was none
		bare := want
		bare.veiled = veiled{}
		check(want.appendEarlier(bare.appendPlain(nil, fromInside), setOf(t, fields, appendEarlierEntry)))
	})
}

// appendEarlier is what appendTo did before 2026-11-23: hosts as text, and each entry of a set behind its length and kind.
func (h *veiled) appendEarlier(dst, set []byte) []byte {
	flags, at := byte(0), len(dst)
	if dst = append(dst, 0); h.Masked {
		flags, dst = hidesCallID, append(dst, h.Key)
	}
	if h.Whole {
		flags |= hidesSet
	}
	for i, host := range [...][]byte{h.FromHost, h.ToHost} {
		if len(host) > 0 {
			flags |= hidesFrom << i
			dst = append(binary.AppendUvarint(dst, uint64(len(host))), host...)
		}
	}
	dst[at] = flags
	return append(dst, set...)
}

func appendEarlierEntry(set, raw []byte, a *sip.Address) []byte {
	entry := append([]byte{1}, a.Whole.Of(raw)...)
	if uri := a.URI.Of(raw); a.Whole.Len() == len(uri)+2 {
		const isPacked, endsWithLR = 1, 1 << 6
		u, err := sip.ParseURI(raw, a.URI)
		packed := topo.AppendEntry(nil, raw, a, nil)
		switch {
		case err != nil || packed[0]&isPacked == 0:
			entry = append([]byte{0, 0}, uri...)
		case packed[0]&endsWithLR != 0:
			entry = append([]byte{0}, packed...)
		default:
			tail := raw[topo.HostPort(raw, &u).End:a.URI.End]
			if !bytes.HasSuffix(packed, tail) {
				packed = packed[:len(packed)-2] // it is one of those that are packed as one byte
			} else {
				packed = packed[:len(packed)-1-len(tail)]
			}
			entry = append(append([]byte{0}, packed...), tail...)
		}
	}
	return append(binary.AppendUvarint(set, uint64(len(entry))), entry...)
}

// FuzzRoute reads any bytes as a route that was sealed: whatever opens is sealed again as the same.
func FuzzRoute(f *testing.F) {
	f.Add([]byte{0, 0, 192, 0, 2, 1, 0x13, 0xc4, 10, 0, 0, 1, 0x13, 0xc4})
	f.Add([]byte{0x80, 0, 192, 0, 2, 1, 0x13, 0xc4, 0x39, 'a', 1, 10, 0, 0, 1, 0x13, 0xc4, 73, 10, 0, 0, 1, 0x13, 0xc4})
	f.Add([]byte{0, 0, 192, 0, 2, 1, 0x13, 0xc4, 10, 0, 0, 1, 0x13, 0xc4, 7, 'a', 3, 'p', 'b', 'x', 3, 'p', 'b', 'x', 12, 1, '<', 's', 'i', 'p', ':', 'a', '>'})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again route
		if _, ok := r.parse(append([]byte{fromInside}, b...), fromInside); !ok {
			return
		}
		plain := r.appendPlain(nil, fromInside)
		if _, ok := again.parse(plain, fromInside); !ok || string(again.appendPlain(nil, fromInside)) != string(plain) {
			t.Fatalf("%+v became %+v", r, again)
		}
		var values, same []byte
		for set := r.Set; ; {
			var ok bool
			if values, set, ok = topo.NextEntry(values, set, own); !ok {
				break
			}
		}
		for set := again.Set; ; {
			var ok bool
			if same, set, ok = topo.NextEntry(same, set, own); !ok {
				break
			}
		}
		if !bytes.Equal(values, same) || r.Inside != again.Inside || !bytes.Equal(r.FromHost, again.FromHost) || !bytes.Equal(r.ToHost, again.ToHost) {
			t.Fatalf("%+v became %+v", r, again)
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
