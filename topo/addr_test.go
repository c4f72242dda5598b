package topo

import (
	"bytes"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// TestAddrComesBack: an address comes back, also as it was packed before 2026-11-23; what is cut is refused.
func TestAddrComesBack(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, a netip.Addr) int {
		packed := AppendAddr(nil, a)
		got, rest, ok := CutAddr(append(packed, "more"...), a.Is6())
		if !ok || got != a || string(rest) != "more" {
			t.Fatalf("%v became %v, with %q left", a, got, rest)
		}
		if _, _, ok := CutAddr(packed[:len(packed)-1], a.Is6()); ok {
			t.Fatalf("%v opens cut", a)
		}
		if raw := a.AsSlice(); raw[0]&0xc0 != sixRun {
			if got, _, ok := CutAddr(raw, a.Is6()); !ok || got != a {
				t.Fatalf("%v as it was packed earlier is %v", a, got)
			}
		}
		return len(packed)
	}
	for text, want := range map[string]int{"::": 1, "::1": 3, "2001:db8:5::9": 9, "2001:db8::": 5, "fe80::1:2:3:4": 11, "2001:db8:1:2:3:4:5:6": 16,
		"8001:1:1:1:1:1:1:1": 17, "bfff::1": 5, "::ffff:192.0.2.1": 7, "192.0.2.1": 4} {
		if n := check(t, netip.MustParseAddr(text)); n != want {
			t.Errorf("%s takes %d bytes, want %d", text, n, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var a [16]byte
		for i := range 8 {
			copy(a[2*i:], rapid.SampledFrom([]string{"\x00\x00", "\x00\x01", "\x20\x01", "\x80\x00", "\xbf\xff"}).Draw(t, "word"))
		}
		check(t, netip.AddrFrom16(a))
	})
	rapid.Check(t, func(t *rapid.T) { // whatever opens is packed again as what opens alike
		b := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes")
		if a, rest, ok := CutAddr(b, true); ok {
			if again, left, ok := CutAddr(append(AppendAddr(nil, a), rest...), true); !ok || again != a || !bytes.Equal(left, rest) {
				t.Fatalf("%x is %v, then %v", b, a, again)
			}
		}
	})
}

// TestUsualTails: a URI comes back whatever stands behind its port, and a tail that is usual costs a byte.
func TestUsualTails(t *testing.T) {
	short := len(appendPacked(nil, []byte("sip:a@[2001:db8::1]:5060")))
	for _, tail := range append(usualTails[:], ";lr", ";transport=sctp", ";transport=TCP;lr") {
		uri := "sip:a@[2001:db8::1]:5060" + tail
		packed := appendPacked(nil, []byte(uri))
		if got, ok := appendUnpacked(nil, packed); !ok || string(got) != uri {
			t.Errorf("%s became %s", uri, got)
		}
		if usual := shortTail([]byte(tail)); len(usual) == 1 && len(packed) != short+1 {
			t.Errorf("%s takes %d bytes", tail, len(packed)-short)
		}
	}
}
