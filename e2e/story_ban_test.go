package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// verb runs a verb against the edge and returns what it printed and its exit code.
func (r *rig) verb(args ...string) (out string, code int) {
	r.Helper()
	text, err := exec.Command(siptest.Binary(r.T), append(args, "--state", r.edge.State)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.Fatalf("ringwall %v: %v", args, err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return string(text), code
}

// does runs a verb that must succeed.
func (r *rig) does(args ...string) string {
	r.Helper()
	out, code := r.verb(args...)
	if code != 0 {
		r.Fatalf("ringwall %v: exit %d: %s", args, code, out)
	}
	return out
}

// fails runs a verb that must fail with this code and one sentence that holds text.
func (r *rig) fails(code int, text string, args ...string) {
	r.Helper()
	out, got := r.verb(args...)
	if got != code || !strings.Contains(out, text) || code == 1 && strings.Count(out, "\n") != 1 {
		r.Errorf("ringwall %v: exit %d, %q; want exit %d with %q", args, got, out, code, text)
	}
}

// banned are the sources that `ringwall bans` lists.
func (r *rig) banned() (sources []string) {
	r.Helper()
	var all []struct {
		Source string `json:"source"`
	}
	if err := json.Unmarshal([]byte(r.does("bans", "-o", "json")), &all); err != nil {
		r.Fatal(err)
	}
	for _, b := range all {
		sources = append(sources, b.Source)
	}
	slices.Sort(sources)
	return sources
}

// rig is an edge on the machine of w, with its platform on a host inside.
func (w *world) rig(keys siptest.Keys) *rig {
	w.t.Helper()
	platform := w.host("platform", "inside", "10.77.0.10").platform("pbx")
	e := siptest.StartEdge(w.t, siptest.Outlets{Outside: worldOutside, Inside: worldInside, Upstream: []string{"sip:" + platform.Addr.String()}}, keys)
	return &rig{T: w.t, edge: e, platform: platform, way: udp, hidden: true} // which is the default
}

// idle opens a connection from the host to the edge that says nothing after a ping that proves it is open.
func (h *host) idle(to netip.AddrPort) (c net.Conn, err error) {
	h.do(func() { c, err = net.DialTimeout("tcp", to.String(), siptest.Deadline) })
	if err != nil {
		return nil, err
	}
	h.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(siptest.Deadline))
	if _, err = c.Write([]byte("\r\n\r\n")); err == nil {
		_, err = io.ReadFull(c, make([]byte, 2))
	}
	return c, err
}

// TestBanned: an operator bans, sees, explains and frees. Rows F32 and F35 of the audit: nothing comes back to who is banned, and the
// connections from there end at once. Who is known at the address and the calls that were there before go on (B8 for an operator's ban).
func TestBanned(t *testing.T) {
	if !inWorld(t) {
		return
	}
	w := newWorld(t)
	r := w.rig(nil)
	reg := siptest.NewRegistrar(r.platform, nil)
	office, bad := w.host("office", "outside", "203.0.113.20"), w.host("bad", "outside", "203.0.113.66")
	alice, carol := office.phone("alice", "udp", r.edge.Outside), office.phone("carol", "udp", r.edge.Outside)
	mallory, oscar := office.phone("mallory", "udp", r.edge.Outside), bad.phone("oscar", "udp", r.edge.Outside)
	r.register(reg, alice)
	talk := r.call(carol)

	// A stranger alone at an address: everything ends.
	var open []net.Conn
	for range 3 {
		c, err := bad.idle(r.edge.Outside)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	options := func(ua *siptest.UA) { ua.Send(ua.Request("OPTIONS", "sip:x@example.com")) }
	options(oscar)
	oscar.Expect("200 OPTIONS")
	_, pending := r.invite(oscar) // which the platform has not answered yet
	oscar.Expect("100")           // of 200 ms later: what comes from now on is too much
	oscar.Flush()
	if out := r.does("ban", "203.0.113.66", "--for", "30m", "--reason", "found out"); !strings.Contains(out, "203.0.113.66 is banned until") {
		t.Errorf("ban says %q", out)
	}
	for _, c := range open {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("an idle connection of a banned source: %v", err)
		}
	}
	if _, err := bad.idle(r.edge.Outside); err == nil {
		t.Error("a banned source has a new connection")
	}
	r.platform.Reply(pending, 486)
	options(oscar)
	oscar.SendTo(r.edge.Outside, "udp", "OPTIONS rubbish\r\n\r\n")
	oscar.Silence(3 * hush)
	r.edge.WaitLog(`msg="Blocking traffic from 203.0.113.66" event=ban`)
	if n := r.edge.Counted(2, "ringwall_gate_packets_refused_total"); n < 2 {
		t.Errorf("%v packets refused", n)
	}
	if out := r.does("explain", "::ffff:203.0.113.66"); !strings.Contains(out, "found out") || !strings.Contains(out, "ringwall unban 203.0.113.66") {
		t.Errorf("explain says\n%s", out)
	}

	// An address where a phone is registered, and a call goes on.
	if out := r.does("ban", "203.0.113.20"); !strings.Contains(out, "known phones and calls from there go on") {
		t.Errorf("ban says %q", out)
	}
	options(mallory)
	mallory.Silence(2 * hush)
	alice.MustRegister()
	again := r.call(alice)
	r.bye(again.phone, again.platform)
	r.ask(talk.platform, talk.phone, talk.platform.Request("INFO"))
	r.bye(talk.phone, talk.platform)
	r.edge.WaitLog("Blocking strangers at 203.0.113.20")

	if got := r.banned(); !slices.Equal(got, []string{"203.0.113.20", "203.0.113.66"}) {
		t.Errorf("banned: %v", got)
	}
	for _, one := range []string{"203.0.113.20", "203.0.113.66"} {
		r.does("unban", one, "--reason", "a mistake")
		r.edge.WaitLog(`msg="an operator frees a source" event=unban source=` + one + ` bans=1 why="a mistake"`)
	}

	// A connection that is spared ends when it is so no more.
	r.does("allow", "add", "203.0.113.66")
	c, err := bad.idle(r.edge.Outside)
	if err != nil {
		t.Fatal(err)
	}
	r.does("ban", "203.0.113.64/26")
	r.does("allow", "remove", "203.0.113.66")
	_ = c.SetReadDeadline(time.Now().Add(2 * siptest.Deadline))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that a ban does not spare any more: %v", err)
	}
	r.does("unban", "203.0.113.64/26")

	for _, ua := range []*siptest.UA{mallory, oscar, carol} {
		ua.Flush()
		options(ua)
		ua.Expect("200 OPTIONS")
	}
}

// TestB9 is row B9: nobody gets ringwall to ban what it needs, nor the operator; an unban or an address that makes no sense gets one
// sentence and its exit code.
func TestB9(t *testing.T) {
	if !inWorld(t) {
		return
	}
	w := newWorld(t)
	r := w.rig(siptest.Keys{"trust": "{never_ban: [198.51.100.77, \"2001:db8::77\"]}"})
	w.run("ip route add default via 203.0.113.1")
	w.run("ip addr add 192.0.2.200/32 dev lo")
	never := map[string]string{
		"127.0.0.1": "this machine", "::1": "this machine", worldOutside: "own address", "::ffff:" + worldOutside: "own address",
		worldInside: "own address", "192.0.2.200": "own address", "10.77.0.10": "the platform (upstreams)", "203.0.113.1": "the default gateway",
		"198.51.100.77": "trust.never_ban", "198.51.100.77:5060": "trust.never_ban", "2001:db8::1": "trust.never_ban",
	}
	conf, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(conf)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			never[f[1]] = "a DNS server"
		}
	}
	for source, why := range never {
		r.fails(1, "is never banned: "+why, "ban", source)
	}
	r.edge.WaitLog("a ban was refused")
	if got := r.banned(); len(got) != 0 {
		t.Errorf("banned: %v", got)
	}
	// Who is signed in over SSH is told by utmp, and by the session of who uses a verb.
	t.Setenv("SSH_CONNECTION", "198.51.100.200 50000 203.0.113.5 22")
	r.fails(1, "an operator is signed in from there", "ban", "198.51.100.200")

	r.does("allow", "add", "198.51.100.0/25", "--reason", "office")
	r.fails(1, "it is on the allow list (office)", "ban", "198.51.100.7")
	r.fails(1, "198.51.100.8 is not banned", "unban", "198.51.100.8")
	r.fails(1, "ringwall: 198.51.100.0/24 is not on the allow list\n", "allow", "remove", "198.51.100.0/24")
	r.fails(2, "is no address", "ban", "somebody")
	r.fails(2, "is no address", "unban", "198.51.100")
	r.fails(2, "is no address", "explain", "198.51.100.300")
	r.fails(1, "wider than /8", "ban", "0.0.0.0/0")
	r.does("ban", "192.0.2.0/24")
	r.fails(1, "192.0.2.0/24 is: ringwall unban 192.0.2.0/24", "unban", "192.0.2.9")
	r.does("allow", "remove", "198.51.100.0/25", "--reason", "moved")
	r.edge.WaitLog(`event=allow source=198.51.100.0/25 bans=0 why=office`)
	r.edge.WaitLog(`event=allow source=198.51.100.0/25 why=moved`)
	r.does("ban", "198.51.100.7")

	// A reload changes who is never banned, and frees who is.
	config := filepath.Join(r.edge.State, "ringwall.yaml")
	text, err := os.ReadFile(config)
	if err == nil {
		err = os.WriteFile(config, []byte(strings.Replace(string(text), "198.51.100.77", "198.51.100.7", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out := r.does("reload"); !strings.Contains(out, "trust.never_ban") {
		t.Errorf("reload says %q", out)
	}
	r.does("ban", "198.51.100.77")
	if got := r.banned(); !slices.Equal(got, []string{"192.0.2.0/24", "198.51.100.77"}) {
		t.Errorf("banned: %v", got)
	}
}
