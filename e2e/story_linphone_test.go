package e2e

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// A linphone is a real phone: Debian's linphone-daemon, told what to do line by line on its standard input.
type linphone struct {
	*daemon
	user  string
	log   string // the file that it writes its log to, with every message
	via   string // how its Vias begin
	stdin io.Writer
	seen  int    // what it said up to here is known
	call  string // number of the call it is in, as it counts them
}

// A subscription is how a linphone reaches its account.
type subscription struct {
	user, password string
	transport      string
	server         netip.AddrPort
	sip, rtp       string // its own addresses, for signalling and for sound; "" for a loopback address of its own
	expires        int    // seconds between its registrations, leastExpires if 0
	host           string // name of the server, which its certificate must have; "": any certificate of the authority will do
}

// newLinphone starts a phone, which registers by itself.
func newLinphone(t *testing.T, s subscription) *linphone {
	t.Helper()
	binary := siptest.NeedTool(t, "linphone-daemon")
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ".local/share/linphone"), 0o700); err != nil { // or else it has no database, and no sockets
		t.Fatal(err)
	}
	s.write(t, dir)
	p := &linphone{user: s.user, log: filepath.Join(dir, "log"), via: "\nVia: SIP/2.0/" + strings.ToUpper(s.transport) + " 127."}
	if s.sip == "::1" {
		p.via = strings.Replace(p.via, "127.", "[::1]:", 1)
	}
	cmd := exec.Command(binary, "--config", filepath.Join(dir, "rc"), "--log", p.log, "--disable-stats-events")
	cmd.Env = append(os.Environ(), "HOME="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	p.daemon = runDaemon(t, cmd)
	t.Cleanup(func() {
		fmt.Fprintln(stdin, "quit")
		if t.Failed() {
			t.Logf("log of %s's linphone:\n%s", p.user, p.logged())
		}
	})
	return p
}

// write makes the configuration file.
func (s *subscription) write(t *testing.T, dir string) {
	t.Helper()
	template, err := os.ReadFile(filepath.Join("testdata", "linphone", "rc"))
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, "ca.pem")
	if err := siptest.WriteAuthority(ca); err != nil {
		t.Fatal(err)
	}
	own := siptest.OwnIP()
	for _, ip := range []*string{&s.sip, &s.rtp} {
		if *ip == "" {
			*ip = own
		}
	}
	server, cn := s.server.String(), "0"
	if s.host != "" {
		server, cn = fmt.Sprintf("%s:%d", s.host, s.server.Port()), "1"
	}
	config := os.Expand(string(template), func(name string) string {
		return map[string]string{"SIP": s.sip, "RTP": s.rtp, "CA": ca, "USER": s.user, "PASSWORD": s.password,
			"SERVER": server + ";transport=" + s.transport, "CN": cn, "EXPIRES": strconv.Itoa(cmp.Or(s.expires, leastExpires))}[name]
	})
	if err := os.WriteFile(filepath.Join(dir, "rc"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// do gives the phone a command, which must succeed, and returns what it answered.
func (p *linphone) do(command string) string {
	p.t.Helper()
	from := len(p.said())
	answer := regexp.MustCompile(`(?s)Status: (Ok|Error)\n(.*?)daemon-linphone>`)
	fmt.Fprintf(p.daemon, "%s <- %s\n", time.Now().Format("15:04:05.000"), command)
	fmt.Fprintln(p.stdin, command)
	var got []string
	if !patiently(func() bool {
		got = answer.FindStringSubmatch(p.said()[from:])
		return got != nil
	}) || got[1] != "Ok" {
		p.t.Fatalf("%s: %s: %q", p.user, command, got)
	}
	return got[2]
}

// registered waits until the phone has registered, or has failed to.
func (p *linphone) registered() bool {
	p.t.Helper()
	status := ""
	patiently(func() bool {
		status = p.do("register-status ALL")
		return strings.Contains(status, "RegistrationOk") || strings.Contains(status, "RegistrationFailed")
	})
	return strings.Contains(status, "RegistrationOk")
}

// linphoneTells is what the daemon tells about a call.
var linphoneTells = regexp.MustCompile(`Event: LinphoneCall(\w+)\nFrom: .*\nId: (\d+)\n`)

// expect waits until the call is in a state, or two, one after the other. The end of a call that nobody waits for fails the test at once.
func (p *linphone) expect(states ...string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for len(states) > 0 && time.Now().Before(deadline) {
		said := p.said()
		at := linphoneTells.FindStringSubmatchIndex(said[p.seen:])
		if at == nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		state := said[p.seen+at[2] : p.seen+at[3]]
		p.call = said[p.seen+at[4] : p.seen+at[5]]
		p.seen += at[1]
		switch {
		case state == states[0]:
			states = states[1:]
		case state == "Error" || state == "End":
			p.t.Fatalf("%s: the call is in state %s, not %v", p.user, state, states)
		}
	}
	if len(states) > 0 {
		p.t.Fatalf("%s: no %v", p.user, states)
	}
}

// content wants the phone never to have asked its user for a password, and to have spoken over its transport and version of IP.
func (p *linphone) content() {
	p.t.Helper()
	log := p.logged()
	if strings.Contains(log, "added as pending authentication") {
		p.t.Errorf("%s was asked for a password", p.user)
	}
	if !strings.Contains(log, p.via) {
		p.t.Errorf("%s never sent %q", p.user, p.via)
	}
}

// logged is the phone's log.
func (p *linphone) logged() string {
	p.t.Helper()
	log, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(log)
}

func (p *linphone) name() string      { return p.user }
func (p *linphone) dial(other string) { p.do("call sip:" + other + "@example.com") }
func (p *linphone) answer()           { p.expect("IncomingReceived"); p.do("answer " + p.call) }
func (p *linphone) talking()          { p.expect("StreamsRunning") }
func (p *linphone) hold()             { p.do("call-pause " + p.call); p.expect("Paused") }
func (p *linphone) resume()           { p.do("call-resume " + p.call); p.expect("StreamsRunning") }
func (p *linphone) held()             { p.expect("PausedByRemote") }
func (p *linphone) resumed()          { p.expect("StreamsRunning") }
func (p *linphone) end()              { p.do("terminate " + p.call); p.expect("End", "Released") }
func (p *linphone) ended()            { p.expect("End", "Released") }

// linphones are the pairs of phones that talk to each other.
var linphones = [][2]line{
	{{"linphone", "tcp", false}, {"baresip", "udp", false}},
	{{"linphone", "tls", false}, {"baresip", "tcp", false}},
	{{"linphone", "tls", false}, {"linphone", "tcp", false}},
	{{"linphone", "tls", true}, {"baresip", "udp", false}},
	{{"linphone", "tcp", true}, {"baresip", "tls", false}},
	{{"linphone", "udp", false}, {"linphone", "tls", true}},
}

// TestLinphone gives pairs of real phones of two makes to the demonstration platform, over each transport and both versions of IP.
func TestLinphone(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "linphone-daemon")
	siptest.NeedTool(t, "baresip")
	for i, pair := range linphones {
		hide := i >= len(linphones)-3
		t.Run(fmt.Sprintf("%v and %v, hidden %v", pair[0], pair[1], hide), func(t *testing.T) {
			t.Parallel()
			f := newFloor(t, siptest.Outlets{}, siptest.Keys{"upstreams": "[]", "topology": fmt.Sprintf("{hide: %v}", hide)})
			converse(t, f.phone(pair[0], "alice", f.password("alice")), f.phone(pair[1], "bob", f.password("bob")))
			f.content()
		})
	}
}

// TestLinphoneName: a phone that checks whose certificate it is shown, as linphone does unless told otherwise, needs the edge to call
// itself by that name; in dialogs, too, where it connects to what Record-Route says.
func TestLinphoneName(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "linphone-daemon")
	f := newFloor(t, siptest.Outlets{Outside: "127.0.0.1", Name: "localhost"}, siptest.Keys{"upstreams": "[]"})
	alice := f.linphone(subscription{user: "alice", password: f.password("alice"), transport: "tls", server: f.TLS, host: "localhost"})
	converse(t, alice, f.phone(line{"linphone", "tcp", false}, "bob", f.password("bob")))
	f.content()
	f.Certificate("other.example.com")
	f.WaitLog("the certificate has changed")
	p := newLinphone(t, subscription{user: "bob", password: f.password("bob"), transport: "tls", server: f.TLS, host: "localhost"})
	if p.registered() || !strings.Contains(p.logged(), "CN-mismatch") {
		t.Error("it does not mind that the certificate is not for localhost")
	}
}

// TestLinphoneKamailio: the same pairs with Kamailio as registrar and proxy.
func TestLinphoneKamailio(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "linphone-daemon")
	siptest.NeedTool(t, "baresip")
	for i, inside := range []string{"udp", "tcp"} {
		pair := linphones[i]
		t.Run(fmt.Sprintf("%v and %v, inside %s", pair[0], pair[1], inside), func(t *testing.T) {
			t.Parallel()
			k := newKamailio(t)
			f := newFloor(t, siptest.Outlets{Upstream: []string{k.uri(inside)}}, nil)
			converse(t, f.phone(pair[0], "alice", kamailioPassword), f.phone(pair[1], "bob", kamailioPassword))
			f.content()
		})
	}
}
