package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/siptest"
)

// An answering is a platform that answers calls by itself while auto is set.
type answering struct {
	*siptest.UA
	auto  atomic.Bool
	calls atomic.Int64
}

func newAnswering(ua *siptest.UA) *answering {
	h := &answering{UA: ua}
	ua.Handle(func(m *siptest.Received) bool {
		switch {
		case !h.auto.Load() || m.Method() == "":
			return false
		case m.Method() == "INVITE":
			h.calls.Add(1)
		case m.Method() == "ACK":
			return true
		}
		ua.Reply(m, 200)
		return true
	})
	return h
}

// records lead platform.example to best, and to next if that is down. The zone says one second, ringwall waits for five. Each server has a name of
// its own, and so have others: who asks while records change must not find one server's port at another one's address, or no address at all.
func (r *rig) records(best, next *answering, others ...*answering) []string {
	service, at := "SIP+D2U", "_sip._udp.voice.example."
	if r.way.in == "tcp" {
		service, at = "SIP+D2T", "_sip._tcp.voice.example."
	}
	name := func(h *answering) string { return fmt.Sprintf("at%d.voice.example.", h.Addr.Port()) }
	all := []string{
		fmt.Sprintf(`platform.example. 1 IN NAPTR 10 10 "s" %q "" %s`, service, at),
		fmt.Sprintf("%s 1 IN SRV 1 10 %d %s", at, best.Addr.Port(), name(best)),
		fmt.Sprintf("%s 1 IN SRV 2 10 %d %s", at, next.Addr.Port(), name(next)),
	}
	for _, h := range append(others, best, next) {
		all = append(all, fmt.Sprintf("%s 1 IN A %v", name(h), h.Addr.Addr()))
	}
	return all
}

// attention is what `ringwall status` says needs attention about names.
func (r *rig) attention() (texts []string) {
	r.Helper()
	var status struct {
		Attention []struct{ ID, Text string }
	}
	if err := admin.Call(context.Background(), filepath.Join(r.edge.State, "ringwall.sock"), "status", nil, &status); err != nil {
		r.Fatal(err)
	}
	for _, c := range status.Attention {
		if c.ID == "upstream.name" {
			texts = append(texts, c.Text)
		}
	}
	return texts
}

// P59: the platform is a name. Its records change under calls: new ones go to the new server, none is lost, and those that are up
// end where they began. Then the DNS dies: calls go on, and status says so.
func p59(r *rig) {
	old, backup := newAnswering(r.platform), newAnswering(siptest.NewPlatform(r.T, r.way.in, ""))
	fresh := newAnswering(siptest.NewPlatform(r.T, r.way.in, ""))
	dns := siptest.NewNameserver(r.T, r.records(old, backup)...)
	r.edge = siptest.StartEdge(r.T, siptest.Outlets{Upstream: []string{"sip:platform.example"}, DNS: dns.Addr}, siptest.Keys{"topology": "{hide: false}"})
	phone := r.phone("alice")
	one, two := r.call(phone), r.call(phone)

	for _, h := range []*answering{old, backup, fresh} {
		h.auto.Store(true)
	}
	dns.Set(r.records(fresh, backup, old)...)
	calls := 0
	for end := time.Now().Add(15 * time.Second); fresh.calls.Load() == 0 && time.Now().Before(end); calls++ {
		if !complete(phone) {
			r.Errorf("call %d was lost while the records changed", calls)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if fresh.calls.Load() != 1 || old.calls.Load()+1 != int64(calls) || backup.calls.Load() != 0 {
		r.Errorf("%d calls, %d to the old server, %d to the new one, %d to the one of less priority", calls, old.calls.Load(), fresh.calls.Load(), backup.calls.Load())
	}
	old.auto.Store(false)
	fresh.auto.Store(false)
	r.bye(one.phone, one.platform)
	r.bye(two.platform, two.phone) // nobody's name leads to that server any more

	dns.Close()
	told := func() bool { return len(r.attention()) > 0 }
	for end := time.Now().Add(15 * time.Second); !told() && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	want := "sip:platform.example: the last addresses stay in force: looking up the name "
	if got := r.attention(); len(got) != 1 || !strings.HasPrefix(got[0], want) || !strings.Contains(got[0], dns.Addr.String()) {
		r.Errorf("status with a dead DNS: %q", got)
	}
	r.platform = fresh.UA
	last := r.call(phone)
	r.bye(last.phone, last.platform)
	if n := strings.Count(r.edge.Log(), "reason=upstream.name"); n != 1 {
		r.Errorf("the log tells %d times of the dead DNS, want once:\n%s", n, r.edge.Log())
	}
}
