package binding

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/seal"
)

var start = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func openKeys(t testing.TB) *seal.Keys {
	t.Helper()
	keys, err := seal.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newTable(t testing.TB, cfg Config) *Table {
	t.Helper()
	table, err := New(cfg, openKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func udp(remote string) edge.Flow {
	return edge.Flow{Remote: netip.MustParseAddrPort(remote), Transport: edge.UDP, Side: edge.Outside, Listener: 1}
}

func tcp(remote string, conn uint64) edge.Flow {
	f := udp(remote)
	f.Transport, f.Conn, f.Listener = edge.TCP, conn, 2
	return f
}

// phone makes a binding of an AOR with the id that the table gives it.
func phone(t *Table, aor, contact string, f edge.Flow, life time.Duration) Binding {
	return Binding{ID: t.ID([]byte(aor), nil, nil, []byte(contact)), AOR: aor, Contact: contact, Flow: f, Expires: start.Add(life)}
}

func put(t *testing.T, table *Table, b Binding, now time.Time) {
	t.Helper()
	if err := table.Put(b, now); err != nil {
		t.Fatalf("put %s: %v", b.ID, err)
	}
}

// same compares all of two bindings; times by the moment they mean.
func same(a, b Binding) bool {
	equal := a.Expires.Equal(b.Expires)
	a.Expires, b.Expires = time.Time{}, time.Time{}
	return equal && a == b
}

func TestIDStaysAtRefresh(t *testing.T) {
	table := newTable(t, Config{})
	b := func(s string) []byte { return []byte(s) }
	aor, urn := b("alice@example.com"), b("<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>")
	id := table.ID(aor, urn, b("1"), b("sip:alice@192.168.1.5:5060"))
	if again := table.ID(aor, urn, b("1"), b("sip:alice@192.168.1.5:49152;transport=tcp")); again != id {
		t.Errorf("a new port changed the id of an instance: %s, %s", id, again)
	}
	different := map[ID]string{id: "instance, reg-id 1"}
	for what, other := range map[string]ID{
		"other reg-id":                table.ID(aor, urn, b("2"), nil),
		"no reg-id":                   table.ID(aor, urn, nil, nil),
		"other instance":              table.ID(aor, b("<urn:uuid:00000000-0000-1000-8000-000a95a0e128>"), b("1"), nil),
		"other AOR":                   table.ID(b("bob@example.com"), urn, b("1"), nil),
		"contact":                     table.ID(aor, nil, nil, b("sip:alice@192.168.1.5:5060")),
		"other contact":               table.ID(aor, nil, nil, b("sip:alice@192.168.1.6:5060")),
		"contact that is an instance": table.ID(aor, nil, nil, urn),
	} {
		if dup, ok := different[other]; ok {
			t.Errorf("%s has the id of %s", what, dup)
		}
		different[other] = what
		if parsed, ok := ParseID([]byte(other.String())); !ok || parsed != other {
			t.Errorf("id %s does not parse", other)
		}
	}
	if a, b := table.ID(aor, nil, b("1"), urn), table.ID(aor, nil, b("2"), urn); a != b {
		t.Error("a reg-id without an instance counts")
	}
	again, err := New(Config{}, table.keys)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.ID(aor, urn, b("1"), nil); got != id {
		t.Errorf("another table gives %s, not %s", got, id)
	}
	if err := table.keys.Rotate(start); err != nil {
		t.Fatal(err)
	}
	if got := table.ID(aor, urn, b("1"), nil); got != id {
		t.Errorf("after a rotation %s, not %s", got, id)
	}
}

func TestParseIDRefuses(t *testing.T) {
	for _, text := range []string{"", "abcdefghabcdefg", "abcdefghabcdefghi", "ABCDEFGHABCDEFGH", "abcdefghabcdefg1", "abcdefghabcdefg-"} {
		if _, ok := ParseID([]byte(text)); ok {
			t.Errorf("%q is taken as an id", text)
		}
	}
}

func TestPutGetDelete(t *testing.T) {
	table := newTable(t, Config{})
	b := phone(table, "alice@example.com", "sip:alice@192.168.1.5:5060", udp("192.0.2.1:1024"), time.Minute)
	b.NAT = true
	put(t, table, b, start)
	if got, ok := table.Get(b.ID, start.Add(time.Minute-1)); !ok || !same(got, b) {
		t.Errorf("got %+v, %t; want %+v", got, ok, b)
	}
	if _, ok := table.Get(b.ID, b.Expires); ok {
		t.Error("an expired binding is found")
	}
	other := phone(table, "alice@example.com", "sip:alice@192.168.1.6", tcp("192.0.2.2:5060", 7), time.Hour)
	put(t, table, other, start)
	if got, ok := table.Get(other.ID, start); !ok || !same(got, other) {
		t.Errorf("the second device: %+v, %t", got, ok)
	}
	moved := b
	moved.Flow, moved.Contact, moved.Expires, moved.NAT = tcp("192.0.2.1:4000", 9), "sip:alice@10.0.0.1", start.Add(time.Hour), false
	put(t, table, moved, start)
	if got, ok := table.Get(b.ID, start); !ok || !same(got, moved) || table.Len() != 2 {
		t.Errorf("after a refresh: %+v, %t, %d bindings", got, ok, table.Len())
	}
	table.Delete(b.ID, start)
	table.Delete(b.ID, start)
	if _, ok := table.Get(b.ID, start); ok || table.Len() != 1 {
		t.Errorf("deleted, and still there (%d bindings)", table.Len())
	}
	gone := other
	gone.Expires = start
	put(t, table, gone, start)
	if table.Len() != 0 {
		t.Error("a binding of no life was kept")
	}
}

func TestDeleteAOR(t *testing.T) {
	table := newTable(t, Config{})
	for i := range 5 {
		put(t, table, phone(table, "alice@example.com", fmt.Sprintf("sip:alice@192.168.1.%d", i), udp("192.0.2.1:1024"), time.Minute), start)
	}
	for i := range 500 { // some share alice's shard
		aor := fmt.Sprintf("user%d@example.com", i)
		put(t, table, phone(table, aor, "sip:x@192.168.1.1", udp("192.0.2.1:1024"), time.Minute), start)
	}
	table.DeleteAOR("alice@example.com", start)
	table.DeleteAOR("nobody@example.com", start)
	if table.Len() != 500 {
		t.Errorf("%d bindings are left", table.Len())
	}
}

func TestLimits(t *testing.T) {
	table := newTable(t, Config{Max: 10, PerAOR: 3})
	live := []Binding{}
	for i := range 3 {
		live = append(live, phone(table, "alice@example.com", fmt.Sprintf("sip:a@192.168.1.%d", i), udp("192.0.2.1:1024"), time.Hour))
	}
	for i := range 7 {
		live = append(live, phone(table, fmt.Sprintf("user%d@example.com", i), "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Hour))
	}
	for _, b := range live {
		put(t, table, b, start)
	}
	fourth := phone(table, "alice@example.com", "sip:a@192.168.1.9", udp("192.0.2.9:9"), time.Hour)
	if err := table.Put(fourth, start); !errors.Is(err, ErrAORFull) {
		t.Errorf("the fourth binding of three: %v", err)
	}
	late := phone(table, "late@example.com", "sip:a@192.168.1.9", udp("192.0.2.9:9"), 2*time.Hour)
	if err := table.Put(late, start); !errors.Is(err, ErrFull) {
		t.Errorf("the eleventh binding of ten: %v", err)
	}
	if table.Known(late.Flow, start) || table.KnownAddr(late.Flow.Remote.Addr(), start) {
		t.Error("a refused binding makes its source known")
	}
	for _, b := range live {
		if _, ok := table.Get(b.ID, start); !ok {
			t.Errorf("live binding %s was evicted", b.ID)
		}
		put(t, table, b, start) // refreshing is always possible
	}
	if err := table.Put(late, start.Add(time.Hour)); err != nil || table.Len() != 1 {
		t.Errorf("all others have expired: %v, %d bindings", err, table.Len())
	}
	long := late
	long.Contact = strings.Repeat("x", MaxContact+1)
	if err := table.Put(long, start); !errors.Is(err, ErrTooLong) {
		t.Errorf("a contact of %d bytes: %v", len(long.Contact), err)
	}
	long = late
	long.AOR = strings.Repeat("x", MaxAOR+1)
	if err := table.Put(long, start); !errors.Is(err, ErrTooLong) {
		t.Errorf("an AOR of %d bytes: %v", len(long.AOR), err)
	}
}

func TestPerAORCountsTheLiving(t *testing.T) {
	table := newTable(t, Config{PerAOR: 1})
	put(t, table, phone(table, "alice@example.com", "sip:a@192.168.1.1", udp("192.0.2.1:1024"), time.Minute), start)
	next := phone(table, "alice@example.com", "sip:a@192.168.1.2", udp("192.0.2.1:1024"), time.Hour)
	if err := table.Put(next, start); !errors.Is(err, ErrAORFull) {
		t.Errorf("two live bindings where one may be: %v", err)
	}
	put(t, table, next, start.Add(time.Minute))
}

func TestConfig(t *testing.T) {
	for _, cfg := range []Config{{Max: -1}, {PerAOR: -1}, {Max: 1<<24 + 1}} {
		if _, err := New(cfg, nil); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	if err := (Config{Max: -1, PerAOR: -1}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("not both mistakes: %v", err)
	}
	if cfg := Default(); cfg.Max != 100_000 || cfg.PerAOR != 32 || cfg.Validate() != nil {
		t.Errorf("defaults: %+v", cfg)
	}
	for _, most := range []int{1, 100, 100_000, 1 << 24} {
		if n := shardCount(most); n&(n-1) != 0 || n > 1<<aorBits || n*2*perShard < most {
			t.Errorf("%d shards for %d bindings", n, most)
		}
	}
}

// TestLapsed: only registrations that end without a word are told of.
func TestLapsed(t *testing.T) {
	told := 0
	table := newTable(t, Config{Lapsed: func(f edge.Flow, aor string) {
		if told++; f != udp("192.0.2.2:1024") || aor != "user1@example.com" {
			t.Errorf("told of %v, %s", f, aor)
		}
	}})
	var all []Binding
	for i := range 3 {
		all = append(all, phone(table, fmt.Sprintf("user%d@example.com", i), "sip:x@192.168.1.1", udp(fmt.Sprintf("192.0.2.%d:1024", i+1)), time.Duration(i+1)*time.Minute))
		put(t, table, all[i], start)
	}
	table.Delete(all[0].ID, start)
	if table.Sweep(start.Add(2*time.Minute + time.Second)); told != 1 {
		t.Errorf("told of %d", told)
	}
}

func TestSweep(t *testing.T) {
	table := newTable(t, Config{})
	for i := range 1000 {
		aor := fmt.Sprintf("user%d@example.com", i)
		put(t, table, phone(table, aor, "sip:x@192.168.1.1", udp("192.0.2.1:1024"), time.Duration(i+1)*time.Second), start)
	}
	for _, s := range []int{0, 1, 2, 500, 500, 999, 1000} {
		table.Sweep(start.Add(time.Duration(s) * time.Second))
		if table.Len() != 1000-s {
			t.Errorf("after %d s %d bindings", s, table.Len())
		}
	}
	for i := range table.sources.flows {
		if f, a := table.sources.flows[i].list, table.sources.addrs[i].list; len(f)+len(a) != 0 {
			t.Errorf("sources are left of an empty table: %v %v", f, a)
		}
	}
}

func TestRace(t *testing.T) {
	table := newTable(t, Config{Max: 200})
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				now := start.Add(time.Duration(i) * time.Second)
				aor := fmt.Sprintf("user%d@example.com", (i*7+worker)%150)
				b := phone(table, aor, "sip:x@192.168.1.1", udp(fmt.Sprintf("192.0.2.%d:%d", i%200, 1024+worker)), time.Duration(i+30)*time.Second)
				b.NAT = true
				if err := table.Put(b, now); err != nil && !errors.Is(err, ErrFull) {
					t.Error(err)
				}
				table.Get(b.ID, now)
				table.Known(b.Flow, now)
				table.KnownAddr(b.Flow.Remote.Addr(), now)
				switch i % 50 {
				case 0:
					table.Delete(b.ID, now)
				case 10:
					table.DeleteAOR(aor, now)
				case 20:
					table.Sweep(now)
				case 30:
					table.Keepalives(now, 25*time.Second, func(edge.Flow) {})
				}
			}
		})
	}
	wg.Wait()
	table.Sweep(start.Add(24 * time.Hour))
	if table.Len() != 0 {
		t.Errorf("%d bindings outlive everything", table.Len())
	}
}

// TestUsers: a user counts once, with one phone or with many, until the last of them is gone.
func TestUsers(t *testing.T) {
	table := newTable(t, Config{})
	var all []Binding
	for i := range 30 {
		b := phone(table, fmt.Sprintf("user%d@example.com", i%3), fmt.Sprintf("sip:x@192.168.1.%d", i), udp("192.0.2.1:1024"), time.Duration(i%3+1)*time.Minute)
		put(t, table, b, start)
		put(t, table, b, start)
		all = append(all, b)
	}
	for i, want := range []int{3, 3, 2, 1, 0} {
		switch i {
		case 1:
			for _, b := range all[3:] {
				if b.AOR == "user0@example.com" {
					table.Delete(b.ID, start)
				}
			}
		case 2:
			table.Delete(all[0].ID, start)
		case 3:
			table.DeleteAOR("user1@example.com", start)
		case 4:
			table.Sweep(start.Add(time.Hour))
		}
		if table.Users() != want {
			t.Errorf("step %d: %d users, want %d", i, table.Users(), want)
		}
	}
}
