package ban

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A heard is a call as TestCalls remembers it.
type heard struct {
	key          uint64
	from         netip.AddrPort
	began, ended time.Time
}

// TestCalls holds what is remembered of calls against a list of them, while they begin, end, move and are forgotten.
func TestCalls(t *testing.T) {
	flows := []netip.AddrPort{netip.MustParseAddrPort("198.51.100.7:5060"), netip.MustParseAddrPort("198.51.100.7:5062"), netip.MustParseAddrPort("[2001:db8::7]:5060")}
	rapid.Check(t, func(t *rapid.T) {
		const most = 8
		b, err := New(Config{Calls: most})
		if err != nil {
			t.Fatal(err)
		}
		var list []heard
		at := start
		flow := func() netip.AddrPort { return rapid.SampledFrom(flows).Draw(t, "flow") }
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			at = at.Add(time.Duration(rapid.IntRange(0, 12).Draw(t, "seconds")) * time.Second)
			key := uint64(rapid.IntRange(0, 12).Draw(t, "key")) << 20 // some with equal tags in the index
			known := slices.IndexFunc(list, func(h heard) bool { return h.key == key })
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				from := flow()
				b.CallBegan(key, from, at)
				if known < 0 && len(list) < most {
					list = append(list, heard{key: key, from: from, began: at})
				}
			case 2:
				b.CallEnded(key, at)
				if known >= 0 && list[known].ended.IsZero() {
					list[known].ended = at
				}
			case 3:
				from, to := flow(), flow()
				b.CallsMoved(from, to)
				for i := range list {
					if list[i].from == from {
						list[i].from = to
					}
				}
			case 4:
				b.Tick(at)
				list = slices.DeleteFunc(list, func(h heard) bool { return !h.ended.IsZero() && at.Sub(h.ended) >= afterwards })
			}
			same(t, b, list, flows)
		}
	})
}

// same holds b against list.
func same(t *rapid.T, b *Book, list []heard, flows []netip.AddrPort) {
	live := 0
	for _, h := range list {
		if h.ended.IsZero() {
			live++
		}
	}
	if b.Stats().Calls != len(list) || b.Calls() != live || b.calls.byKey.Len() != len(list) {
		t.Fatalf("%d calls, %d live, want %d and %d", b.Stats().Calls, b.Calls(), len(list), live)
	}
	for _, flow := range flows {
		var oldest time.Time
		calling, within := false, false
		for _, h := range list {
			within = within || h.from.Addr() == flow.Addr()
			if h.from != flow {
				continue
			}
			calling = calling || h.ended.IsZero()
			if oldest.IsZero() || h.began.Before(oldest) {
				oldest = h.began
			}
		}
		began, ok := b.calls.began(flow)
		if ok != !oldest.IsZero() || ok && began != oldest.UnixNano() || b.Calling(flow) != calling ||
			b.calls.within(netip.PrefixFrom(flow.Addr(), flow.Addr().BitLen())) != within {
			t.Fatalf("%v: the oldest call began at %d (%v), want %v; calling %v", flow, began, ok, oldest, b.Calling(flow))
		}
	}
}
