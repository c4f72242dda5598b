package e2e

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// A kamailio is a real platform: Debian's Kamailio as registrar and proxy of example.com.
type kamailio struct {
	*daemon
	addr netip.AddrPort // UDP and TCP
}

// kamailioPassword is that of every account.
const kamailioPassword = "secret of the test"

// shortly is how long phones register at Kamailio whose refresh a story waits for, in seconds. baresip refreshes after nine tenths of it, when Kamailio, which
// counts whole seconds, may have forgotten the phone for as much as half a second: calls begin soon after a refresh.
const shortly = 5

// newKamailio starts one on an address of its own, with testdata/kamailio/kamailio.cfg.
func newKamailio(t *testing.T) *kamailio {
	t.Helper()
	return newKamailioAt(t, place(t, siptest.OwnIP()))
}

// newKamailioAt starts one at an address. within is a command that runs it, if it is to run elsewhere.
func newKamailioAt(t *testing.T, addr netip.AddrPort, within ...string) *kamailio {
	t.Helper()
	return startKamailio(t, addr, "kamailio.cfg", nil, within...)
}

// startKamailio starts one with another configuration, which defines fills in beside ADDRESS.
func startKamailio(t *testing.T, addr netip.AddrPort, file string, defines map[string]string, within ...string) *kamailio {
	t.Helper()
	config, err := filepath.Abs(filepath.Join("testdata", "kamailio", file))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	command := append(within, siptest.NeedTool(t, "kamailio"), "-f", config, "-DD", "-E", "-Y", dir, "-w", dir, "-P", filepath.Join(dir, "pid"),
		"-m", "64", "-M", "8", "-A", "ADDRESS="+addr.Addr().String(), "-l", "udp:"+addr.String(), "-l", "tcp:"+addr.String())
	for name, value := range defines {
		command = append(command, "-A", name+"=\""+value+"\"")
	}
	k := &kamailio{addr: addr, daemon: startDaemon(t, command[0], command[1:]...)}
	k.listens(addr).Close()
	return k
}

// uri is where ringwall sends to.
func (k *kamailio) uri(transport string) string {
	return fmt.Sprintf("sip:%v;transport=%s", k.addr, transport)
}

// account is a user of k for a baresip that sends everything to the edge e.
func (k *kamailio) account(e *siptest.Edge, user, transport string, expires int) string {
	return fmt.Sprintf(`<sip:%s@example.com;transport=%s>;auth_pass="%s";outbound="sip:%v;transport=%s";answermode=auto;regint=%d`,
		user, transport, kamailioPassword, e.Outside, transport, expires)
}

// told waits until k has said something that matches, and returns all of it.
func (k *kamailio) told(pattern string) []string {
	k.t.Helper()
	wanted := regexp.MustCompile(`story: ` + pattern)
	if !siptest.Eventually(func() bool { return wanted.MatchString(k.said()) }) {
		k.t.Fatalf("kamailio never said %q", pattern)
	}
	return wanted.FindAllString(k.said(), -1)
}

// registeredOnce wants each REGISTER of user, two at least, to have left exactly one Contact in k, always the same.
func (k *kamailio) registeredOnce(user string) {
	k.t.Helper()
	all := k.told(user + ` has \d+.*`)
	if len(all) < 2 || !strings.HasPrefix(all[0], "story: "+user+" has 1 at sip:") || len(slices.Compact(all)) > 1 {
		k.t.Errorf("%s registered %d times:\n%s", user, len(all), strings.Join(all, "\n"))
	}
}

// TestKamailio puts Kamailio behind ringwall and gives it two real phones: they register, call each other, and go on after
// ringwall was killed.
func TestKamailio(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "kamailio")
	siptest.NeedTool(t, "baresip")
	for _, w := range pairs {
		t.Run(fmt.Sprintf("alice %s, bob %s, inside %s", w.alice, w.bob, w.inside), func(t *testing.T) {
			t.Parallel()
			k := newKamailio(t)
			e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{k.uri(w.inside)}}, nil)
			alice, bob := newBaresip(t, "alice"), newBaresip(t, "bob")
			alice.register(k.account(e, "alice", w.alice, shortly))
			bob.register(k.account(e, "bob", w.bob, shortly))
			callBothWays(alice, bob)
			alice.connect(bob)
			refreshed(alice, bob)
			bob.hangup(alice) // the call outlived both refreshes
			callBothWays(alice, bob)
			unsuspected(t, e)
			k.registeredOnce("alice")
			k.registeredOnce("bob")
		})
	}
}

// TestKamailioRestart kills ringwall under two registered phones with a call. The phone on UDP is reachable as soon as
// ringwall is back, for the end of that call and for the next; the one on TCP when it has registered again.
func TestKamailioRestart(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "kamailio")
	siptest.NeedTool(t, "baresip")
	for _, inside := range []string{"udp", "tcp"} {
		t.Run("inside "+inside, func(t *testing.T) {
			t.Parallel()
			k := newKamailio(t)
			e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{k.uri(inside)}}, nil)
			stays, returns := newBaresip(t, "stays"), newBaresip(t, "returns")
			stays.register(k.account(e, "stays", "udp", 3600))
			returns.register(k.account(e, "returns", "tcp", shortly))
			returns.connect(stays)
			refreshed(returns) // so that the journal had its second, and the next refresh is far
			e.Kill()
			e.Start()
			returns.hangup(stays)
			returns.connect(stays)
			returns.hangup(stays)
			refreshed(returns)
			callBothWays(returns, stays)
			returns.connect(stays)
			refreshed(returns)
			e.Kill()
			e.Start()
			refreshed(returns)
			stays.hangup(returns) // not over the connection that the call was made over
			unsuspected(t, e)
			k.registeredOnce("returns")
			if all := k.told("stays has .*"); len(all) != 1 {
				t.Errorf("the phone on UDP had to register again: %q", all)
			}
		})
	}
}

// TestKamailioSource: Kamailio can tell phones apart by the header field that says where they are.
func TestKamailioSource(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "kamailio")
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			k := newKamailio(t)
			e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{k.uri(w.in)}}, siptest.Keys{"headers": "{source: X-Source}"})
			r := &rig{T: t, edge: e, way: w, hidden: true}
			phone := r.phone("mallory")
			phone.Send(phone.Register().Top("X-Source", "192.0.2.1:5060;udp").Add("x-source", "192.0.2.2:5060;udp"))
			phone.Expect("401")
			k.told(regexp.QuoteMeta("REGISTER of mallory source=" + r.source(phone) + " fields=1"))
		})
	}
}
