package transaction

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newTable(t testing.TB, change func(*Config)) *Table {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	table, err := New(cfg, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// begin puts a transaction on record as the proxy does.
func begin(t testing.TB, table *Table, key uint64, method sip.Method, transport edge.Transport, at time.Time) ID {
	t.Helper()
	tx, found, err := table.Begin(key, true)
	if err != nil || found {
		t.Fatalf("begin: found %v, %v", found, err)
	}
	tx.Method = method
	tx.Client.Transport, tx.Target.Transport = transport, transport
	tx.Keep([]byte("SIP/2.0/UDP a\n"), []byte("token"), []byte("extra"))
	tx.Sent([]byte("request"), at)
	id := tx.ID()
	tx.Unlock()
	return id
}

// due runs all timers up to at and returns what they asked for.
func due(table *Table, at time.Time) (tasks []Task) {
	for i := range table.Shards() {
		for {
			tx, task := table.Due(i, at)
			if tx == nil {
				break
			}
			tasks = append(tasks, task)
			if task == Timeout && tx.Status() != 0 {
				tx.Final(at)
				tx.Relayed([]byte("final"))
			}
			tx.Unlock()
		}
	}
	return tasks
}

// A moment is one thing that happens to a transaction in a story, and what is expected then.
type moment struct {
	at    time.Duration
	do    func(tx *Tx, now time.Time) string // what it says
	says  string
	tasks string // what the timers ask for up to then, before do
}

func reply(status int) func(*Tx, time.Time) string {
	return func(tx *Tx, now time.Time) string {
		step := tx.Response(status, now)
		if step == Relay || step == RelayAndAck {
			tx.Relayed([]byte(fmt.Sprint(status)))
		}
		if step == RelayAndAck || step == Ack {
			tx.KeepACK([]byte("ack"))
		}
		held := ""
		if tx.CancelHeld(now) {
			held = "+CANCEL"
		}
		return [...]string{"absorb", "relay", "relay+ack", "ack late", "ack", "trying"}[step] + held
	}
}

func cancelIt(tx *Tx, now time.Time) string {
	if tx.Cancel(now) {
		return "send"
	}
	return "hold"
}

func last(tx *Tx, _ time.Time) string    { return string(tx.Last()) }
func request(tx *Tx, _ time.Time) string { return string(tx.Request()) }
func ack(tx *Tx, _ time.Time) string     { tx.ACK(); return fmt.Sprint(tx.State) }
func answered(tx *Tx, _ time.Time) string {
	tx.CancelAnswered()
	return ""
}
func gone(tx *Tx, _ time.Time) string { return "on record" }

var names = [...]string{"-", "request", "reply", "cancel", "trying", "move", "timerC", "timeout"}

func TestStories(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	for _, story := range []struct {
		name      string
		method    sip.Method
		transport edge.Transport
		moments   []moment
	}{
		{"INVITE answered, RFC 6026 Accepted", sip.INVITE, edge.UDP, []moment{
			{at: 10 * ms, do: reply(100), says: "trying"},
			{at: 11 * ms, do: reply(100), says: "absorb"},
			{at: 20 * ms, do: reply(180), says: "relay"},
			{at: 30 * ms, do: last, says: "180"},
			{at: 40 * ms, do: reply(200), says: "relay"},
			{at: 50 * ms, do: last, says: ""},
			{at: 550 * ms, do: reply(200), says: "relay"},
			{at: 560 * ms, do: reply(180), says: "absorb"},
			{at: 570 * ms, do: reply(486), says: "absorb"},
			{at: 31 * s, do: reply(200), says: "relay"},
			{at: 33 * s, do: nil},
		}},
		{"INVITE refused: ACK again, timer G until the client's ACK", sip.INVITE, edge.UDP, []moment{
			{at: 40 * ms, do: reply(486), says: "relay+ack"},
			{at: 50 * ms, do: request, says: "ack"},
			{at: 60 * ms, do: reply(486), says: "ack"},
			{at: 70 * ms, do: last, says: "486"},
			{at: 1700 * ms, tasks: "reply reply ", do: ack, says: "3"},
			{at: 20 * s, do: reply(486), says: "ack"},
			{at: 21 * s, do: last, says: ""},
			{at: 33 * s, do: nil},
		}},
		{"INVITE refused over a stream: no timer G", sip.INVITE, edge.TCP, []moment{
			{at: 40 * ms, do: reply(603), says: "relay+ack"},
			{at: 31 * s, do: last, says: "603"},
			{at: 33 * s, do: nil},
		}},
		{"INVITE unanswered: timer A doubles, our 100, timer B says 408", sip.INVITE, edge.UDP, []moment{
			{at: 1600 * ms, tasks: "trying request request ", do: last, says: ""},
			{at: 31900 * ms, tasks: "request request request request ", do: last, says: ""},
			{at: 32200 * ms, tasks: "timeout ", do: last, says: "final"},
			{at: 32800 * ms, tasks: "reply ", do: ack, says: "3"},
			{at: 65 * s, do: nil},
		}},
		{"CANCEL is held until 1xx, sent again until answered", sip.INVITE, edge.UDP, []moment{
			{at: 10 * ms, do: cancelIt, says: "hold"},
			{at: 20 * ms, do: reply(100), says: "trying+CANCEL"},
			{at: 1600 * ms, tasks: "cancel cancel ", do: answered, says: ""},
			{at: 2 * s, do: reply(487), says: "relay+ack"},
			{at: 2100 * ms, do: cancelIt, says: "hold"},
		}},
		{"CANCEL after 2xx has no effect", sip.INVITE, edge.UDP, []moment{
			{at: 10 * ms, do: reply(200), says: "relay"},
			{at: 20 * ms, do: cancelIt, says: "hold"},
			{at: 20 * s, do: reply(200), says: "relay"},
		}},
		{"CANCEL whose INVITE never ends: 487 after 64*T1", sip.INVITE, edge.UDP, []moment{
			{at: 10 * ms, do: reply(180), says: "relay"},
			{at: 20 * ms, do: cancelIt, says: "send"},
			{at: 30 * ms, do: answered, says: ""},
			{at: 31 * s, do: last, says: "180"},
			{at: 32100 * ms, tasks: "timeout ", do: last, says: "final"},
		}},
		{"CANCEL and 200 cross: the 200 wins", sip.INVITE, edge.UDP, []moment{
			{at: 10 * ms, do: reply(180), says: "relay"},
			{at: 20 * ms, do: cancelIt, says: "send"},
			{at: 30 * ms, do: reply(200), says: "relay"},
			{at: 20 * s, do: reply(200), says: "relay"},
		}},
		{"Timer C is set anew by 101 to 199 only", sip.INVITE, edge.TCP, []moment{
			{at: 10 * ms, do: reply(180), says: "relay"},
			{at: 100 * s, do: reply(183), says: "relay"},
			{at: 200 * s, do: reply(100), says: "absorb"},
			{at: 284 * s, do: last, says: "183"},
			{at: 286 * s, tasks: "timerC ", do: last, says: "183"},
			{at: 319 * s, tasks: "timeout ", do: last, says: "final"},
		}},
		{"non-INVITE: timer E to T2, answer kept for timer J", sip.BYE, edge.UDP, []moment{
			{at: 1600 * ms, tasks: "request request ", do: reply(100), says: "absorb"},
			{at: 1700 * ms, do: reply(183), says: "absorb"}, // RFC 4320 §4.1
			{at: 1800 * ms, do: last, says: ""},
			{at: 6 * s, tasks: "trying request ", do: reply(200), says: "relay"}, // our 100 after 3.5 s (RFC 4320 §4.1)
			{at: 7 * s, do: reply(200), says: "absorb"},
			{at: 30 * s, do: last, says: "200"},
			{at: 39 * s, do: nil},
		}},
		{"non-INVITE unanswered: 100, then silence (RFC 4320)", sip.OPTIONS, edge.TCP, []moment{
			{at: 3400 * ms, do: gone, says: "on record"},
			{at: 31 * s, tasks: "trying ", do: gone, says: "on record"},
			{at: 33 * s, tasks: "timeout ", do: nil},
		}},
	} {
		t.Run(story.name, func(t *testing.T) {
			table := newTable(t, nil)
			id := begin(t, table, 77, story.method, story.transport, epoch)
			var before time.Duration
			for _, m := range story.moments {
				tell(t, table, id, before, m)
				before = m.at
			}
		})
	}
}

func tell(t *testing.T, table *Table, id ID, before time.Duration, m moment) {
	t.Helper()
	now, tasks := epoch.Add(m.at), ""
	for at := before; at < m.at; at += table.Tick() {
		for _, task := range due(table, epoch.Add(at)) {
			tasks += names[task] + " "
		}
	}
	if tasks != m.tasks && (m.tasks != "" || m.do == nil) {
		t.Errorf("%v: timers asked for %q, want %q", m.at, tasks, m.tasks)
	}
	tx := table.FindID(id)
	if m.do == nil {
		if tx != nil || table.Len() != 0 || table.Pending() != 0 || table.Has(77) {
			t.Fatalf("%v: still on record", m.at)
		}
		return
	}
	if tx == nil {
		t.Fatalf("%v: gone", m.at)
	}
	says := m.do(tx, now)
	tx.Unlock()
	if says != m.says {
		t.Errorf("%v: says %q, want %q", m.at, says, m.says)
	}
}

func TestBackComesBack(t *testing.T) {
	table := newTable(t, nil)
	tx := table.FindID(begin(t, table, 1, sip.INVITE, edge.UDP, epoch))
	vias, route, extra := tx.Back()
	if string(vias) != "SIP/2.0/UDP a\n" || string(route) != "token" || string(extra) != "extra" {
		t.Errorf("%q %q %q", vias, route, extra)
	}
	tx.Unlock()
}

func TestAnIDIsNeverUsedTwice(t *testing.T) {
	table := newTable(t, nil)
	old := begin(t, table, 1, sip.BYE, edge.UDP, epoch)
	tx := table.FindID(old)
	tx.Response(200, epoch)
	tx.Unlock()
	due(table, epoch.Add(time.Minute))
	if begin(t, table, 1, sip.BYE, edge.UDP, epoch) == old {
		t.Error("same id again")
	}
	if table.FindID(old) != nil {
		t.Error("old id still finds")
	}
}

func TestFullTableRefusesAndRecovers(t *testing.T) {
	table := newTable(t, func(c *Config) { c.Max, c.Untrusted = 100, 30 })
	taken := func(trusted bool) (n int) {
		for range 200 {
			tx, _, err := table.Begin(rand.Uint64(), trusted)
			if err != nil {
				if !errors.Is(err, ErrFull) {
					t.Fatal(err)
				}
				continue
			}
			tx.Method = sip.OPTIONS
			tx.Sent(nil, epoch)
			tx.Unlock()
			n++
		}
		return n
	}
	if n := taken(false); n != 30 {
		t.Errorf("unknown sources got %d of their 30", n)
	}
	if n := taken(true); n != 70 {
		t.Errorf("others got %d of the 70 that are left", n)
	}
	due(table, epoch.Add(time.Hour))
	if n := taken(true); n != 100 || table.Len() != 100 {
		t.Errorf("after all ended %d can begin", n)
	}
}

// TestTimerE: the pauses between copies of a request double up to T2 (RFC 3261 §17.1.2.2), those of an INVITE on and on (§17.1.1.2).
func TestTimerE(t *testing.T) {
	for method, want := range map[sip.Method]string{sip.OPTIONS: "[500ms 1s 2s 4s 4s 4s 4s 4s 4s 4s]", sip.INVITE: "[500ms 1s 2s 4s 8s 16s]"} {
		table := newTable(t, nil)
		begin(t, table, 1, method, edge.UDP, epoch)
		var pauses []time.Duration
		last := time.Duration(0)
		for at := time.Duration(0); at < 32*time.Second; at += 10 * time.Millisecond {
			if slices.Contains(due(table, epoch.Add(at)), ResendRequest) {
				pauses = append(pauses, (at - last).Round(100*time.Millisecond))
				last = at
			}
		}
		if got := fmt.Sprint(pauses); got != want {
			t.Errorf("%v: %s, want %s", method, got, want)
		}
	}
}

// TestConfigure: sizes and timers of another configuration are those of what begins from then on.
func TestConfigure(t *testing.T) {
	table := newTable(t, nil)
	old := begin(t, table, 1, sip.INVITE, edge.TCP, epoch)
	cfg := DefaultConfig()
	cfg.Max, cfg.Untrusted, cfg.T1 = shardCount, 1, 20*time.Millisecond
	if err := table.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	for key := range uint64(cfg.Max - 1) {
		begin(t, table, key+2, sip.OPTIONS, edge.TCP, epoch)
	}
	if _, _, err := table.Begin(1000, true); !errors.Is(err, ErrFull) {
		t.Errorf("more than %d transactions: %v", cfg.Max, err)
	}
	ended := func(at time.Duration) (n int) {
		for _, task := range due(table, epoch.Add(at)) {
			if task == Timeout {
				n++
			}
		}
		return n
	}
	if n := ended(64*cfg.T1 + time.Second); n != cfg.Max-1 {
		t.Errorf("%d of the later ones have timed out", n)
	}
	if tx := table.FindID(old); tx == nil || tx.State != Calling {
		t.Error("the first one lost its time-out of 32 s")
	} else {
		tx.Unlock()
	}
	if n := ended(33 * time.Second); n != 1 {
		t.Errorf("%d time-outs after 32 s", n)
	}
	cfg.T1 = 0
	if table.Configure(cfg) == nil {
		t.Error("a timer of nothing is accepted")
	}
}

// TestWaiting: of what waits for a final response those are told that are asked for, and each may be repeated once.
func TestWaiting(t *testing.T) {
	table := newTable(t, nil)
	waits := begin(t, table, 1, sip.INVITE, edge.TCP, epoch)
	rings := begin(t, table, 2, sip.INVITE, edge.TCP, epoch)
	begin(t, table, 3, sip.INVITE, edge.UDP, epoch)
	over := begin(t, table, 4, sip.BYE, edge.TCP, epoch)
	for id, status := range map[ID]int{rings: 180, over: 200} {
		tx := table.FindID(id)
		reply(status)(tx, epoch)
		tx.Unlock()
	}
	var found []ID
	for i := range table.Shards() {
		found = table.Waiting(found, i, func(tx *Tx) bool { return tx.State != Proceeding && tx.Target.Transport == edge.TCP })
	}
	if !slices.Equal(found, []ID{waits}) {
		t.Errorf("found %v, want %v", found, waits)
	}
	tx := table.FindID(waits)
	defer tx.Unlock()
	if !tx.Repeat() || tx.Repeat() {
		t.Error("a request goes again once")
	}
	tx.Retarget()
	tx.Sent([]byte("request"), epoch)
	if !tx.Repeat() {
		t.Error("another target gets it once more, too")
	}
}

// TestFindLeft: the ID that a transaction had for a target which it has left still finds it, on the shelf too, and no other transaction.
func TestFindLeft(t *testing.T) {
	table := newTable(t, nil)
	left := []ID{begin(t, table, 1, sip.INVITE, edge.UDP, epoch)}
	for range 2 {
		tx := table.FindID(left[len(left)-1])
		tx.Retarget()
		tx.Sent([]byte("request"), epoch)
		left = append(left, tx.ID())
		tx.Unlock()
	}
	last := left[2]
	finds := func(want bool, when string) {
		t.Helper()
		for _, id := range left[:2] {
			if tx := table.FindLeft(id); (tx != nil) != want {
				t.Errorf("%s: %v finds %v", when, id, tx)
			} else if tx != nil {
				if tx.Key() != 1 {
					t.Errorf("%s: another transaction", when)
				}
				tx.Unlock()
			}
		}
		for _, id := range []ID{last, NoID(uint64(last)), left[0] - 1} {
			if tx := table.FindLeft(id); tx != nil {
				t.Fatalf("%s: %v was left", when, id)
			}
		}
	}
	finds(true, "calling")
	tx := table.FindID(last)
	tx.Response(200, epoch)
	if string(tx.Request()) != "request" {
		t.Error("the INVITE is gone")
	}
	tx.Unlock()
	finds(true, "on the shelf")
	due(table, epoch.Add(33*time.Second))
	finds(false, "over")
	for table.Len() < 1000 {
		begin(t, table, 17*uint64(table.Len()+1)<<60|uint64(table.Len()+2), sip.INVITE, edge.UDP, epoch)
	}
	finds(false, "another transaction has its place")
}

// TestCancelledStays: what Timer C cancels goes to no other target, whatever the one says.
func TestCancelledStays(t *testing.T) {
	table := newTable(t, nil)
	id := begin(t, table, 1, sip.INVITE, edge.UDP, epoch)
	tx := table.FindID(id)
	tx.Movable = true
	tx.Response(180, epoch)
	tx.Unlock()
	if tasks := due(table, epoch.Add(186*time.Second)); !slices.Equal(tasks, []Task{CancelNow}) {
		t.Fatalf("tasks %v", tasks)
	}
	tx = table.FindID(id)
	defer tx.Unlock()
	if tx.Movable {
		t.Error("it may move on")
	}
}

func TestAbandonLeavesNothing(t *testing.T) {
	table := newTable(t, nil)
	tx, _, _ := table.Begin(5, false)
	tx.Abandon()
	if table.Len() != 0 || table.Pending() != 0 || table.Has(5) {
		t.Error("still on record")
	}
}

// TestWheelFiresInTime arms transactions at random and checks that no timer fires early or more than two ticks late.
func TestWheelFiresInTime(t *testing.T) {
	table := newTable(t, nil)
	r := rand.New(rand.NewPCG(1, 2))
	ends := map[ID]time.Time{}
	now := epoch
	for range 3000 {
		now = now.Add(time.Duration(r.IntN(40)) * time.Millisecond)
		id := begin(t, table, r.Uint64(), sip.OPTIONS, edge.TCP, now)
		ends[id] = now.Add(32 * time.Second)
		checkWheel(t, table, ends, now)
	}
	for len(ends) > 0 {
		now = now.Add(table.Tick())
		checkWheel(t, table, ends, now)
	}
}

func checkWheel(t *testing.T, table *Table, ends map[ID]time.Time, now time.Time) {
	t.Helper()
	for i := range table.Shards() {
		for {
			tx, task := table.Due(i, now)
			if tx == nil {
				break
			}
			id := tx.ID()
			if tx.Unlock(); task == SendTrying {
				continue
			}
			end, ok := ends[id]
			delete(ends, id)
			if late := now.Sub(end); !ok || late < 0 || late > 50*time.Millisecond {
				t.Fatalf("fired %v after its time (known %v)", late, ok)
			}
		}
	}
}

func TestManyGoroutines(t *testing.T) {
	table := newTable(t, nil)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				id := begin(t, table, rand.Uint64(), sip.INVITE, edge.UDP, epoch)
				tx := table.FindID(id)
				tx.Response(200, epoch)
				tx.Unlock()
				if i%500 == w {
					due(table, epoch.Add(time.Second))
				}
			}
		})
	}
	wg.Wait()
	if table.Len() != 16000 || table.Pending() != 0 {
		t.Errorf("%d on record, %d pending", table.Len(), table.Pending())
	}
	due(table, epoch.Add(time.Hour))
	if table.Len() != 0 {
		t.Errorf("%d are left", table.Len())
	}
}
