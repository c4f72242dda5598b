package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// deskUser and deskPassword are an account of an office with many phones.
func deskUser(i int) string     { return fmt.Sprintf("desk%d", i) }
func deskPassword(i int) string { return fmt.Sprintf("secret of %d", i) }

// A desk is a phone that registers as phones do: it repeats what is not answered, answers challenges, and comes back when it is told to.
type desk struct {
	*siptest.UA
	password string
	waited   time.Duration // from its first message until it was registered
	later    int           // 503 with Retry-After
	repeated int           // messages that were not answered within 0.5 s
	refused  []int         // other final responses
}

// desks puts phones with their own passwords on one host.
func (w *watched) desks(h *host, n int) (all []*desk) {
	w.t.Helper()
	h.do(func() {
		for i := range n {
			ua := siptest.NewPhone(w.t, deskUser(i), "udp", h.addr.String(), w.edge.Outside)
			all = append(all, &desk{UA: ua, password: deskPassword(i)})
		}
	})
	return all
}

// ask sends a request again and again until it is answered (RFC 3261 §17.1.2), for 32 s at most.
func (d *desk) ask(m *siptest.Message) *siptest.Received {
	want, _ := m.CSeq()
	for wait, left := 500*time.Millisecond, 32*time.Second; left > 0; wait = min(2*wait, 4*time.Second) {
		d.Send(m)
		for end := time.Now().Add(wait); time.Now().Before(end); {
			got := d.WaitIn(m.Get("Call-ID"), "final", time.Until(end))
			if got == nil {
				break
			}
			if n, _ := got.CSeq(); n == want {
				return got
			}
		}
		left -= wait
		d.repeated++
	}
	return nil
}

// register is one try: the status that it ends with, and when to come back if that is 503.
func (d *desk) register() (status int, retry time.Duration) {
	m := d.Register()
	got := d.ask(m)
	if statusOf(got) == 401 {
		got = d.ask(siptest.Authorize(m, got, d.User, d.password))
	}
	if statusOf(got) == 503 {
		seconds, _ := strconv.Atoi(got.Get("Retry-After"))
		retry = time.Duration(seconds) * time.Second
	}
	return statusOf(got), retry
}

// boot registers, until end if need be, and reports whether it is registered.
func (d *desk) boot(end time.Time) bool {
	began := time.Now()
	for {
		status, retry := d.register()
		if status == 200 {
			d.waited = time.Since(began)
			return true
		}
		if retry > 0 {
			d.later++
		} else {
			d.refused = append(d.refused, status)
		}
		if time.Now().Add(retry).After(end) {
			return false
		}
		time.Sleep(retry)
	}
}

// bootAll lets phones boot at so many a second (0: all at once), and tells how they fared. All must be registered within the time given.
func (w *watched) bootAll(all []*desk, each time.Duration, within time.Duration) {
	w.t.Helper()
	began := time.Now()
	var booting sync.WaitGroup
	for i, d := range all {
		booting.Go(func() {
			time.Sleep(time.Until(began.Add(time.Duration(i) * each)))
			if !d.boot(began.Add(within)) {
				w.t.Errorf("%s is not registered: %d times told to come later, %d messages repeated, refused with %v", d.User, d.later, d.repeated, d.refused)
			}
		})
	}
	booting.Wait()
	var waited []time.Duration
	later, repeated, refused := 0, 0, 0
	for _, d := range all {
		waited = append(waited, d.waited)
		later, repeated, refused = later+d.later, repeated+d.repeated, refused+len(d.refused)
	}
	slices.Sort(waited)
	w.t.Logf("%d phones of one address in %v: median %v, the last one %v after its first message; %d 503, %d messages repeated", len(all), time.Since(began).Round(time.Millisecond),
		waited[len(waited)/2].Round(time.Millisecond), waited[len(waited)-1].Round(time.Millisecond), later, repeated)
	if refused > 0 {
		w.t.Errorf("%d phones were refused otherwise than with 503", refused)
	}
}

// unharmed fails the test if anybody is banned.
func (w *watched) unharmed() {
	w.t.Helper()
	if all := w.bans(); len(all) > 0 {
		w.t.Errorf("banned: %v", all)
	}
}

// TestBootStorm: a site that nobody knows boots at once behind one address, as many phones as its burst lets through.
func TestBootStorm(t *testing.T) { bootStorm(t, 50, 0, 20*time.Second) }

// TestSlowBootStorm: 500 phones at once, some of which are told to come back later, and 500 within 10 s.
func TestSlowBootStorm(t *testing.T) {
	slow(t)
	bootStorm(t, 500, 0, 75*time.Second)
}

// TestSlowBootRush: 500 phones within 10 s.
func TestSlowBootRush(t *testing.T) {
	slow(t)
	bootStorm(t, 500, 20*time.Millisecond, 75*time.Second)
}

func bootStorm(t *testing.T, phones int, each, within time.Duration) {
	if !inWorld(t) {
		return
	}
	w := newWatched(t)
	all := w.desks(w.host("site", "outside", "203.0.113.30"), phones)
	w.bootAll(all, each, within)
	w.unharmed()
	if n := int(w.edge.Counter("ringwall_bindings ")); n != phones+1 {
		t.Errorf("%d registrations of %d", n, phones+1)
	}
	if out, err := w.ringwall("trust", "list", "203.0.113.30", "-o", "csv"); err != nil || strings.Count(out, "desk") != phones {
		t.Errorf("%d users are known good there (%v)", strings.Count(out, "desk"), err)
	}
}

// TestOffice: 120 phones behind one address, one of which has a wrong password and tries it twice a second. That pair is locked, the address is not
// banned, and nobody else there notices, neither at boot nor at the refresh afterwards, nor in a call.
func TestOffice(t *testing.T) {
	if !inWorld(t) {
		return
	}
	w := newWatched(t)
	all := w.desks(w.host("site", "outside", "203.0.113.30"), 120)
	wrong, right := all[7], append(slices.Clone(all[:7]), all[8:]...)
	wrong.password = "of yesterday"
	over, done := make(chan struct{}), make(chan []int)
	go func() {
		var got []int
		for {
			select {
			case <-over:
				done <- got
				return
			case <-time.After(500 * time.Millisecond):
				got = append(got, tries(wrong.UA, wrong.password))
			}
		}
	}()
	w.bootAll(right, 50*time.Millisecond, 20*time.Second)
	var refreshing sync.WaitGroup
	for _, d := range right {
		refreshing.Go(func() {
			if status, _ := d.register(); status != 200 {
				t.Errorf("%s gets %d at its refresh", d.User, status)
			}
		})
	}
	refreshing.Wait()
	r := &rig{T: t, edge: w.edge, platform: w.registrar.UA, way: udp, hidden: true}
	c := r.call(right[60].UA)
	r.bye(c.phone, c.platform)
	close(over)
	statuses := <-done
	t.Logf("the phone with the wrong password gets %v", statuses)
	for _, d := range right {
		if d.later > 0 {
			t.Errorf("%s was told to come later", d.User)
		}
	}
	if got := statuses[:4]; !slices.Equal(got, []int{401, 401, 401, 503}) {
		t.Errorf("the wrong password gets %v", got)
	}
	w.unharmed()
	for user, want := range map[string]string{wrong.User: ": locked", right[0].User: ": free"} {
		if out, err := w.ringwall("explain", user); err != nil || !strings.HasPrefix(out, user+want) {
			t.Errorf("explain says (%v)\n%s", err, out)
		}
	}
}

// TestTrunk: a carrier, configured as a peer, makes 50 calls a second with every check at work: all of them pass.
func TestTrunk(t *testing.T) { busyTrunk(t, 100) }

// TestSlowTrunk: 3,000 calls, a minute.
func TestSlowTrunk(t *testing.T) {
	slow(t)
	busyTrunk(t, 3000)
}

func busyTrunk(t *testing.T, calls int) {
	if !inWorld(t) {
		return
	}
	siptest.NeedTool(t, "sipp")
	w := &watched{world: newWorld(t)}
	platform, carrier := w.host("platform", "inside", "10.77.0.10"), w.host("carrier", "outside", "203.0.113.40")
	w.edge = siptest.StartEdge(t, siptest.Outlets{Outside: worldOutside, Inside: worldInside, Upstream: []string{"sip:10.77.0.10:5060"}},
		siptest.Keys{"checks": allChecks, "peers": "[{name: carrier, uri: \"sip:203.0.113.40:5060\", match: [203.0.113.40]}]"})
	sipp := func(h *host, scenario string, more ...string) *tool {
		args := append(h.within()[1:], "sipp", "-i", h.addr.String(), "-p", "5060", "-m", strconv.Itoa(calls), "-buff_size", "4000000", "-nostdin",
			"-timeout", "110s", "-timeout_error", "-sf", filepath.Join("testdata", "sipp", scenario))
		return startTool(t, "nsenter", append(args, more...)...)
	}
	callee := sipp(platform, "uas.xml")
	awaitListener(t, callee.cmd.Process.Pid, 'u', 5060)
	began := time.Now()
	calling := sipp(carrier, "uac.xml", "-r", "50", "-s", "echo", w.edge.Outside.String())
	if !calling.wait(t) || !callee.wait(t) {
		t.Logf("edge:\n%s", w.edge.Log())
	}
	t.Logf("%d calls in %v", calls, time.Since(began).Round(time.Millisecond))
	w.unharmed()
	for line := range strings.Lines(w.edge.Metrics()) {
		if strings.HasPrefix(line, "ringwall_refused_total") && !strings.Contains(line, "topology.") && !strings.HasSuffix(line, " 0\n") {
			t.Errorf("refused or noted: %s", line)
		}
	}
}
