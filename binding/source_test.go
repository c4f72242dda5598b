package binding

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringwall/ringwall/edge"
)

func TestKnown(t *testing.T) {
	table := newTable(t, Config{})
	over := phone(table, "alice@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Minute)
	on := phone(table, "bob@example.com", "sip:b@192.168.1.1", tcp("192.0.2.2:4000", 7), time.Minute)
	for _, b := range []Binding{over, on} {
		put(t, table, b, start)
	}
	otherListener := udp("192.0.2.1:1024")
	otherListener.Listener = 9
	for _, tt := range []struct {
		name string
		flow edge.Flow
		want bool
	}{
		{"address and port", over.Flow, true},
		{"the same at another listener", otherListener, true},
		{"IPv6 mapping", udp("[::ffff:192.0.2.1]:1024"), true},
		{"other port", udp("192.0.2.1:1025"), false},
		{"other address", udp("192.0.2.3:1024"), false},
		{"stream from the port", tcp("192.0.2.1:1024", 1), false},
		{"connection", on.Flow, true},
		{"other connection, same remote", tcp("192.0.2.2:4000", 8), false},
		{"any connection", tcp("192.0.2.2:4000", 0), false},
		{"lost connection", tcp("192.0.2.2:4000", GoneConn), false},
		{"datagram from the remote of the connection", udp("192.0.2.2:4000"), false},
	} {
		if got := table.Known(tt.flow, start); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
		if table.Known(tt.flow, start.Add(time.Minute)) {
			t.Errorf("%s: known after the end", tt.name)
		}
	}
	for addr, want := range map[string]bool{
		"192.0.2.1": true, "::ffff:192.0.2.1": true, "192.0.2.2": true, "192.0.2.3": false, "2001:db8::1": false,
	} {
		if got := table.KnownAddr(netip.MustParseAddr(addr), start); got != want {
			t.Errorf("address %s: %t", addr, got)
		}
	}
}

// TestKnownZones: link-local addresses of two interfaces are two sources.
func TestKnownZones(t *testing.T) {
	table := newTable(t, Config{})
	put(t, table, phone(table, "a@example.com", "sip:a@[fe80::1]", udp("[fe80::1%eth0]:5060"), time.Minute), start)
	if !table.Known(udp("[fe80::1%eth0]:5060"), start) || table.Known(udp("[fe80::1%eth1]:5060"), start) {
		t.Error("the zone does not count")
	}
}

// TestKnownMoves: when the flow of a binding changes, the old one is a stranger's at once.
func TestKnownMoves(t *testing.T) {
	table := newTable(t, Config{})
	b := phone(table, "alice@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Minute)
	flows := []edge.Flow{b.Flow, udp("192.0.2.1:1025"), tcp("192.0.2.7:1025", 3), tcp("192.0.2.7:1026", 4), tcp("192.0.2.8:1", GoneConn), udp("[2001:db8::1]:5060")}
	for i, f := range flows {
		b.Flow = f
		put(t, table, b, start)
		for k, other := range flows {
			if got, want := table.Known(other, start), k == i && other.Conn != GoneConn; got != want {
				t.Errorf("at %v: known(%v) = %t", f, other, got)
			}
			if got, want := table.KnownAddr(other.Remote.Addr(), start), other.Remote.Addr() == f.Remote.Addr(); got != want {
				t.Errorf("at %v: known address %v = %t", f, other.Remote.Addr(), got)
			}
		}
	}
	table.Delete(b.ID, start)
	if table.Known(b.Flow, start) || table.KnownAddr(b.Flow.Remote.Addr(), start) {
		t.Error("known after the deletion")
	}
}

// TestModel runs random histories against the table and against a plain map, and compares all answers.
func TestModel(t *testing.T) {
	keys := openKeys(t)
	var flows []edge.Flow
	for i := range 6 {
		flows = append(flows, udp(fmt.Sprintf("192.0.2.%d:%d", i%3, 1000+i)), tcp(fmt.Sprintf("192.0.2.%d:%d", i%4, 1000+i), uint64(i+1)))
	}
	rapid.Check(t, func(rt *rapid.T) {
		table, err := New(Config{Max: 12, PerAOR: 3}, keys)
		if err != nil {
			rt.Fatal(err)
		}
		model := map[ID]Binding{}
		now := start
		live := func(match func(Binding) bool) (n int) {
			for _, b := range model {
				if b.Expires.After(now) && match(b) {
					n++
				}
			}
			return n
		}
		all := func(Binding) bool { return true }
		aor := rapid.SampledFrom([]string{"a@x", "b@x", "c@x", "d@x", "e@x"})
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				b := Binding{AOR: aor.Draw(rt, "aor"), Contact: rapid.SampledFrom([]string{"sip:1", "sip:2", "sip:3", "sip:4"}).Draw(rt, "contact"),
					Flow: rapid.SampledFrom(flows).Draw(rt, "flow"), NAT: rapid.Bool().Draw(rt, "nat"),
					Expires: now.Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "life")) * time.Second)}
				b.ID, b.Print = table.Identify([]byte(b.AOR), nil, nil, []byte(b.Contact))
				if id := table.ID([]byte(b.AOR), nil, nil, []byte(b.Contact)); id != b.ID {
					rt.Fatalf("identify: %s, want %s", b.ID, id)
				}
				old, refresh := table.Get(b.ID, now)
				stays := refresh && old.Flow == b.Flow && old.NAT == b.NAT && b.Expires.After(now)
				if got := table.Refresh(b.ID, b.Print, b.Flow, b.NAT, b.Expires, now); got != stays {
					rt.Fatalf("refresh: %t, want %t", got, stays)
				}
				if stays {
					model[b.ID] = b
					return
				}
				var want error
				switch {
				case !b.Expires.After(now) || refresh:
				case live(func(o Binding) bool { return o.AOR == b.AOR }) >= 3:
					want = ErrAORFull
				case live(all) >= 12:
					want = ErrFull
				}
				got := table.Put(b, now)
				if got != want && !(want == ErrAORFull && got == ErrFull) {
					rt.Fatalf("put: %v, want %v", got, want)
				}
				if got == nil {
					model[b.ID] = b
				}
			},
			"delete": func(rt *rapid.T) {
				id := table.ID([]byte(aor.Draw(rt, "aor")), nil, nil, []byte("sip:1"))
				table.Delete(id, now)
				delete(model, id)
			},
			"deleteAOR": func(rt *rapid.T) {
				of := aor.Draw(rt, "aor")
				table.DeleteAOR(of, now)
				for id, b := range model {
					if b.AOR == of {
						delete(model, id)
					}
				}
			},
			"second": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 30).Draw(rt, "seconds")) * time.Second)
				table.Sweep(now)
			},
			"": func(rt *rapid.T) {
				for id, b := range model {
					if got, ok := table.Get(id, now); ok != b.Expires.After(now) || ok && !same(got, b) {
						rt.Fatalf("get %s: %+v, %t; want %+v", id, got, ok, b)
					}
				}
				for _, f := range flows {
					if got, want := table.Known(f, now), live(func(b Binding) bool { return b.Flow == f }) > 0; got != want {
						rt.Fatalf("known(%v) = %t", f, got)
					}
					if got, want := table.KnownAddr(f.Remote.Addr(), now), live(func(b Binding) bool { return b.Flow.Remote.Addr() == f.Remote.Addr() }) > 0; got != want {
						rt.Fatalf("known address %v = %t", f.Remote.Addr(), got)
					}
				}
				if table.Len() < live(all) || table.Len() > 12 {
					rt.Fatalf("%d bindings in memory, %d live", table.Len(), live(all))
				}
			},
		})
	})
}

// TestKnownIn: live bindings of a network are found, others are not.
func TestKnownIn(t *testing.T) {
	table := newTable(t, Config{})
	put(t, table, phone(table, "a@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour), start)
	put(t, table, phone(table, "b@example.com", "sip:b@192.168.1.1", udp("[2001:db8::7]:1024"), time.Hour), start)
	for text, want := range map[string]bool{"192.0.2.1/32": true, "192.0.2.0/24": true, "192.0.3.0/24": false, "2001:db8::/64": true,
		"2001:db8:0:1::/64": false, "192.0.2.2/32": false} {
		if got := table.KnownIn(netip.MustParsePrefix(text), start); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
	if table.KnownIn(netip.MustParsePrefix("192.0.2.0/24"), start.Add(time.Hour)) {
		t.Error("an expired binding is known")
	}
}
