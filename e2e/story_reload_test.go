package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/siptest"
)

// TestReload: reloads while calls are made, one of ten with a broken file. No message is lost: nobody in this story repeats
// anything, so a call is complete only if each of its messages came through.
func TestReload(t *testing.T) { reload(t, 10, 5, 30, 100*time.Millisecond) }

// TestSlowReload is the story at full size: 1,000 reloads at 200 calls/s.
func TestSlowReload(t *testing.T) {
	slow(t)
	reload(t, 40, 5, 1000, 25*time.Millisecond)
}

// The two fields that the files of the story name in turn.
const even, odd = "X-Even", "X-Odd"

// reload runs the story with this many callers, each making rate calls/s, and reloads with a pause after each.
func reload(t *testing.T, callers, rate, reloads int, pause time.Duration) {
	r := newRig(t, udp, siptest.Keys{"headers": "{source: " + even + "}", "checks": busy["checks"],
		"timers": "{t1: 10s, t2: 10s, t4: 10s, linger: 10s, drain: 300ms}"}) // the edge repeats nothing either
	var acks, mixed atomic.Int64
	r.platform.Handle(func(m *siptest.Received) bool {
		switch method := m.Method(); {
		case method == "":
			return false
		case m.Count(even)+m.Count(odd) != 1:
			mixed.Add(1)
		case method == "ACK":
			acks.Add(1)
			return true
		}
		r.platform.Reply(m, 200)
		return true
	})
	stop := make(chan struct{})
	var l load
	for i := range callers {
		phone := r.phone(fmt.Sprint("caller", i))
		l.running.Go(func() {
			for next := time.NewTicker(time.Second / time.Duration(rate)); ; {
				if onceThrough(phone) {
					l.complete.Add(1)
				} else {
					l.failed.Add(1)
				}
				select {
				case <-stop:
					return
				case <-next.C:
				}
			}
		})
	}
	began := time.Now()
	for i := range reloads {
		r.reload(i)
		time.Sleep(pause)
	}
	took := time.Since(began)
	r.hup()
	close(stop)
	l.running.Wait()
	done := l.complete.Load()
	t.Logf("%d reloads in %v, %d calls complete (%.0f calls/s), %d failed", reloads, took.Round(time.Millisecond), done,
		float64(done)/took.Seconds(), l.failed.Load())
	if l.failed.Load() > 0 || !siptest.Eventually(func() bool { return acks.Load() == done }) {
		t.Errorf("%d calls failed; %d of %d calls have their ACK", l.failed.Load(), acks.Load(), done)
	}
	if mixed.Load() > 0 {
		t.Errorf("%d messages met no settings, or two", mixed.Load())
	}
}

// onceThrough makes one whole call with each message sent once.
func onceThrough(phone *siptest.UA) bool {
	once := func(m *siptest.Message) *siptest.Received {
		_, method := m.CSeq()
		addr := phone.Proxy
		if route := m.Get("Route"); route != "" {
			addr, _, _ = siptest.Hop(siptest.URI(route))
		}
		phone.TrySend(addr, phone.Transport, m.String())
		return phone.WaitIn(m.Get("Call-ID"), "200 "+method, 2*siptest.Deadline)
	}
	invite := phone.Request("INVITE", "sip:bob@example.com")
	ok := once(invite)
	if ok == nil {
		return false
	}
	d := phone.NewCallerDialog(invite, ok)
	ack := d.Request("ACK")
	addr, transport, _ := siptest.Hop(siptest.URI(ack.Get("Route")))
	phone.TrySend(addr, transport, ack.String())
	return once(d.Request("BYE")) != nil
}

// reload writes the file with the fields in turn and lets the edge read it; each tenth file is broken, and is refused.
func (r *rig) reload(i int) {
	r.Helper()
	r.writeConfig(i)
	switch answer := r.askReload(); {
	case broken(i) && (answer.OK || len(answer.Problems) != 1):
		r.Fatalf("reload %d of a broken file: %+v", i, answer)
	case !broken(i) && (!answer.OK || len(answer.Restart) > 0):
		r.Fatalf("reload %d: %+v", i, answer)
	}
}

func broken(i int) bool { return i%10 == 9 }

// TestReloadUpstream: another platform by a reload. New calls go there; the call that is up and the one that rings stay where they are, and lose nothing.
// The old platform begins nothing any more.
func TestReloadUpstream(t *testing.T) {
	t.Parallel()
	for name, hide := range map[string]string{"shown": "false", "hidden": "true"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := map[string]way{"shown": udp, "hidden": tcp}[name]
			r := newRig(t, w, siptest.Keys{"topology": "{hide: " + hide + "}"})
			phone, contact := r.registered("alice")
			up, back := r.call(phone), r.callIn(contact, phone)
			sent, ringing := r.invite(phone)
			r.platform.Reply(ringing, 180)
			phone.Expect("180")
			old := r.platform
			r.platform = siptest.NewPlatform(t, w.in, "")
			r.rewrite("upstreams:", "upstreams: [{uri: \"sip:"+r.platform.Addr.String()+";transport="+w.in+"\"}]")
			if a := r.askReload(); !a.OK || len(a.Changed) != 1 || a.Changed[0] != "upstreams" {
				t.Fatalf("%+v", a)
			}
			c := r.call(r.phone("bob"))
			r.bye(c.platform, c.phone)
			fresh := r.platform
			r.platform = old
			answer := old.Reply(ringing, 200)
			late := &call{phone: phone.NewCallerDialog(sent, phone.Expect("200 INVITE")), platform: old.NewCalleeDialog(ringing, answer)}
			late.phone.Send("ACK")
			old.Expect("ACK")
			r.ask(up.platform, up.phone, up.platform.Request("INFO"))
			r.bye(up.phone, up.platform)
			r.bye(late.platform, late.phone)
			r.bye(back.platform, back.phone)
			old.Send(old.Request("INVITE", contact))
			phone.Silence(hush, "INVITE")
			if got := fresh.Got("INVITE"); got != 1 {
				t.Errorf("the new platform got %d INVITEs", got)
			}
		})
	}
}

// TestReloadCertificates: from a reload on new connections see another certificate and must show one, timers are others, and a call over a connection of before goes on.
func TestReloadCertificates(t *testing.T) {
	t.Parallel()
	r := newRig(t, secures[0], nil)
	s, _ := newNamed(t, r.edge.TLS.Addr().String())
	c := r.call(r.phone("alice"))
	r.rewrite("tls:", fmt.Sprintf("tls: {certificate: %q, key: %q, client_certificates: require, client_ca: %q}", s.file("server.pem"), s.file("server.key"), s.file("ca.pem")))
	r.rewrite("timers:", "timers: {t1: 50ms, drain: 300ms}")
	if a := r.askReload(); !a.OK || len(a.Restart) > 0 || strings.Join(a.Changed, " ") != "tls tls.client_certificates tls.client_ca timers.t1 timers.linger" {
		t.Fatalf("%+v", a)
	}
	r.ask(c.phone, c.platform, c.phone.Request("INFO"))
	bob := r.phone("bob")
	bob.TLS = &tls.Config{RootCAs: s.authority.Pool}
	if conn, err := bob.Dial(r.edge.TLS); err == nil { // TLS 1.3: the refusal comes after the handshake
		bob.TrySend(r.edge.TLS, "tls", bob.Request("INVITE", "sip:bob@example.com").String())
		_ = conn
	}
	r.platform.Silence(hush, "INVITE")
	pair, err := tls.LoadX509KeyPair(s.issue(t, "bob", "sip:bob@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	carol := r.phone("carol")
	carol.TLS = &tls.Config{RootCAs: s.authority.Pool, Certificates: []tls.Certificate{pair}}
	later := r.call(carol)
	r.bye(c.platform, c.phone)
	r.bye(later.platform, later.phone)
	carol.Send(carol.Request("OPTIONS", "sip:bob@example.com"))
	carol.Expect("200 OPTIONS")
}

// TestReloadMedia: from a reload on media is accepted from elsewhere than was named, and so many packets a second, in calls that begin then, while a call
// that is up talks on. Nothing of it needs a restart.
func TestReloadMedia(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, relaying)
	up := r.chat(r.phone("alice"))
	moved := func(user string) *chat { // a call whose phone sends from an address that it did not name
		phone := r.phone(user)
		c := &chat{r: r, near: newMouthAt(t, netip.MustParseAddr(siptest.OwnIP())), far: newMouth(r.platform, t)}
		sent, got := r.invite(phone, with(newMouth(phone, t).sdp()))
		answer := r.platform.Reply(got, 200, with(c.far.sdp()))
		ok := phone.Expect("200 INVITE")
		c.call = &call{phone.NewCallerDialog(sent, ok), r.platform.NewCalleeDialog(got, answer), sent, got}
		c.call.phone.Send("ACK")
		r.platform.Expect("ACK")
		c.towardFar = wanted(t, ok.Body, 0)
		for range 4 {
			c.near.say(c.towardFar, "from elsewhere")
		}
		return c
	}
	before := moved("bob")
	before.far.deaf()
	r.rewrite("media:", "media: {relay: builtin, ports: 40000-49999, latch: any, packets: 50, coalesce: 3ms, silence: {after: 1s, end: true}}")
	if a := r.askReload(); !a.OK || len(a.Restart) > 0 || strings.Join(a.Changed, " ") != "media.latch media.silence.after media.silence.end media.packets media.coalesce" {
		t.Fatalf("%+v", a)
	}
	up.talk()
	after := moved("carol")
	after.far.hear("from elsewhere")
	for range 200 { // a second's worth is 50
		after.near.say(after.towardFar, "too many")
	}
	if !siptest.Eventually(func() bool {
		out, _ := exec.Command(siptest.Binary(t), "calls", "-o", "json", "--state", r.edge.State).Output()
		return bytes.Contains(out, []byte(`"rate": `))
	}) {
		t.Error("any number of packets is accepted")
	}
	r.edge.WaitLog("reason=media.silent")
	after.call.phone.UA.Expect("BYE") // that of the call which fell silent: its ends were noted
}

// reloadAnswer is what the tests read of the answer to the verb reload.
type reloadAnswer struct {
	OK       bool     `json:"ok"`
	Changed  []string `json:"changed"`
	Restart  []string `json:"restart"`
	Problems []any    `json:"problems"`
}

// askReload lets the edge read its file again.
func (r *rig) askReload() (a reloadAnswer) {
	r.Helper()
	if err := admin.Call(context.Background(), filepath.Join(r.edge.State, "ringwall.sock"), "reload", nil, &a); err != nil {
		r.Fatal(err)
	}
	return a
}

// writeConfig puts the file of reload i in place.
func (r *rig) writeConfig(i int) {
	r.Helper()
	field := [2]string{even, odd}[i%2]
	if broken(i) {
		field = "not a field"
	}
	r.rewrite("headers:", "headers: {source: "+field+"}")
}

// rewrite replaces the line of the config file that begins with start, all at once.
func (r *rig) rewrite(start, by string) {
	r.Helper()
	file := filepath.Join(r.edge.State, "ringwall.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		r.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for at, line := range lines {
		if strings.HasPrefix(line, start) {
			lines[at] = by + "\n"
		}
	}
	if err := os.WriteFile(file+".new", []byte(strings.Join(lines, "")), 0o600); err != nil {
		r.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		r.Fatal(err)
	}
}

// hup sends HUP for a last file, and then for a broken one.
func (r *rig) hup() {
	r.Helper()
	r.writeConfig(0)
	r.edge.Signal(syscall.SIGHUP)
	r.edge.WaitLog("msg=reloaded event=reload by=HUP")
	r.writeConfig(9)
	r.edge.Signal(syscall.SIGHUP)
	r.edge.WaitLog(`msg="reload refused, the configuration stays as it was" event=reload by=HUP`)
}
