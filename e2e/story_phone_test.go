package e2e

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// patience is how long a story waits for what a tool does of its own accord; only a failing one waits so long.
const patience = 20 * time.Second

// patiently asks cond every few milliseconds until it says true; false if patience ends.
func patiently(cond func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}

// A daemon is a program that runs beside a story until its end.
type daemon struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu  sync.Mutex
	out strings.Builder
}

// startDaemon runs a program with no input. At the end of the test it gets TERM, and 9 if that doesn't help; what it said
// is shown if the test failed.
func startDaemon(t *testing.T, name string, args ...string) *daemon {
	t.Helper()
	return runDaemon(t, exec.Command(siptest.NeedTool(t, name), args...))
}

// runDaemon is startDaemon for a command with an input or an environment.
func runDaemon(t *testing.T, cmd *exec.Cmd) *daemon {
	t.Helper()
	name := filepath.Base(cmd.Path)
	d := &daemon{t: t, name: name, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = d, d
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		cmd.Wait() // its exit code says nothing that the story does not see
		close(d.done)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.done:
		case <-time.After(patience):
			t.Errorf("%s does not end", name)
			cmd.Process.Kill()
			<-d.done
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, d.said())
		}
	})
	return d
}

// kill ends it without a warning.
func (d *daemon) kill() {
	d.cmd.Process.Kill()
	<-d.done
}

// Write takes what the program says.
func (d *daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Write(p)
}

// said is everything the program said so far.
func (d *daemon) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.String()
}

// ended reports whether the program runs no more.
func (d *daemon) ended() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// listens waits until the program accepts connections at addr.
func (d *daemon) listens(addr netip.AddrPort) net.Conn {
	d.t.Helper()
	var conn net.Conn
	var err error
	if !siptest.Eventually(func() bool {
		conn, err = net.Dial("tcp", addr.String())
		return err == nil || d.ended()
	}) || err != nil {
		d.t.Fatalf("%s does not listen at %v: %v", d.name, addr, err)
	}
	return conn
}

// A baresip is a real phone: Debian's baresip, told what to do over its control port.
type baresip struct {
	*daemon
	user    string
	dir     string // it plays in.wav there, and writes what it hears beside that
	control net.Conn
	answers chan happening // to commands
	calls   chan happening // what became of calls
	regs    chan happening // and of registrations
}

// A happening is what baresip tells over its control port: an answer to a command, or an event.
type happening struct {
	Response bool
	OK       bool
	Data     string

	Class string // "register", "call", …
	Type  string // "REGISTER_OK", "CALL_CLOSED", …
	Param string // why
}

// place is a free address of ip.
func place(t *testing.T, ip string) netip.AddrPort {
	t.Helper()
	addr, err := siptest.FreeAddr(ip)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// newBaresip starts a phone on an address of its own. It has no account yet.
func newBaresip(t *testing.T, user string) *baresip {
	t.Helper()
	return newBaresipWith(t, user, "aufile,$DIR/in.wav", "aubridge,nobody")
}

// newBaresipWith is newBaresip with another microphone and loudspeaker.
func newBaresipWith(t *testing.T, user, source, player string) *baresip {
	t.Helper()
	siptest.NeedTool(t, "baresip")
	dir, sip, control := t.TempDir(), place(t, siptest.OwnIP()), place(t, siptest.OwnIP())
	silence(t, filepath.Join(dir, "in.wav"))
	template, err := os.ReadFile(filepath.Join("testdata", "baresip", "config"))
	if err != nil {
		t.Fatal(err)
	}
	at := strings.NewReplacer("$SOURCE", source, "$PLAYER", player)
	config := os.Expand(at.Replace(string(template)), func(name string) string {
		return map[string]string{"IP": sip.Addr().String(), "PORT": strconv.Itoa(int(sip.Port())),
			"CONTROL": control.String(), "DIR": dir, "MODULES": modules(t)}[name]
	})
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &baresip{daemon: startDaemon(t, "baresip", "-f", dir, "-v"), user: user, dir: dir,
		answers: make(chan happening, 100), calls: make(chan happening, 1000), regs: make(chan happening, 1000)}
	p.control = p.listens(control)
	go p.listen()
	t.Cleanup(func() { p.control.Close() })
	return p
}

// modules finds baresip's modules: /usr/bin/baresip has them in /usr/lib/baresip/modules.
func modules(t *testing.T) string {
	path := filepath.Join(filepath.Dir(siptest.NeedTool(t, "baresip")), "../lib/baresip/modules")
	if _, err := os.Stat(filepath.Join(path, "ctrl_tcp.so")); err != nil {
		t.Fatalf("baresip's modules: %v", err)
	}
	return path
}

// silence writes a minute of it.
func silence(t *testing.T, name string) {
	t.Helper()
	sound(t, name, func(int) int16 { return 0 })
}

// soundRate is how many samples a second a file of sound has.
const soundRate = 8000

// sound writes a minute of it as WAV: 8 kHz, mono, 16 bits. baresip hangs up at its end.
func sound(t *testing.T, name string, sample func(i int) int16) {
	t.Helper()
	const n = 60 * soundRate
	b := []byte("RIFF")
	b = binary.LittleEndian.AppendUint32(b, 36+2*n)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	for _, v := range []uint16{1, 1, soundRate, 0, 2 * soundRate, 0, 2, 16} { // PCM, channels, rate and bytes per second (low, high), block, bits
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, 2*n)
	for i := range n {
		b = binary.LittleEndian.AppendUint16(b, uint16(sample(i)))
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// listen sorts what baresip tells until the connection ends.
func (p *baresip) listen() {
	for r := bufio.NewReader(p.control); ; {
		text, err := netstring(r)
		if err != nil {
			return // the phone has quit, or the test is over
		}
		var h happening
		if err := json.Unmarshal(text, &h); err != nil {
			fmt.Fprintf(p, "not JSON: %q: %v\n", text, err)
		}
		fmt.Fprintf(p, "%s %s\n", time.Now().Format("15:04:05.000"), text)
		switch {
		case h.Response:
			p.answers <- h
		case h.Class == "register":
			p.regs <- h
		case strings.HasPrefix(h.Type, "CALL_"):
			p.calls <- h
		}
	}
}

// netstring reads "LENGTH:BYTES,".
func netstring(r *bufio.Reader) ([]byte, error) {
	length, err := r.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil || n > 1<<20 {
		return nil, fmt.Errorf("netstring of length %q", length)
	}
	text := make([]byte, n+1)
	_, err = io.ReadFull(r, text)
	return text[:n], err
}

// do gives the phone a command and waits until it has been carried out.
func (p *baresip) do(command, params string) {
	p.t.Helper()
	order, err := json.Marshal(map[string]string{"command": command, "params": params})
	if err != nil {
		p.t.Fatal(err)
	}
	fmt.Fprintf(p, "%s <- %s\n", time.Now().Format("15:04:05.000"), order)
	if _, err := fmt.Fprintf(p.control, "%d:%s,", len(order), order); err != nil {
		p.t.Fatalf("%s: %s: %v", p.user, command, err)
	}
	select {
	case h := <-p.answers:
		if !h.OK {
			p.t.Fatalf("%s: %s %s: %s", p.user, command, params, h.Data)
		}
	case <-time.After(patience):
		p.t.Fatalf("%s: no answer to %s %s", p.user, command, params)
	}
}

// expect waits until all of these have happened, in any order, and returns what the last one said. The end of a call or a
// failure to register that nobody waits for fails the test at once.
func (p *baresip) expect(from chan happening, kinds ...string) (param string) {
	p.t.Helper()
	deadline := time.After(patience)
	for len(kinds) > 0 {
		select {
		case h := <-from:
			at := slices.Index(kinds, h.Type)
			switch {
			case at >= 0:
				kinds, param = slices.Delete(kinds, at, at+1), h.Param
			case h.Type == "CALL_CLOSED" || h.Type == "REGISTER_FAIL":
				p.t.Fatalf("%s: %s (%s), not %v", p.user, h.Type, h.Param, kinds)
			}
		case <-deadline:
			p.t.Fatalf("%s: no %v", p.user, kinds)
		}
	}
	return param
}

// register gives the phone an account, a line as in baresip's accounts file, and waits until it is registered.
func (p *baresip) register(account string) {
	p.t.Helper()
	p.do("uanew", account)
	p.expect(p.regs, "REGISTER_OK")
}

// refreshed waits for the next registration, from now on, of each of the phones.
func refreshed(phones ...*baresip) {
	for _, p := range phones {
		for len(p.regs) > 0 {
			<-p.regs
		}
	}
	for _, p := range phones {
		p.t.Helper()
		p.expect(p.regs, "REGISTER_OK")
	}
}

// connect lets p call q: both hear each other.
func (p *baresip) connect(q *baresip) {
	p.t.Helper()
	p.do("dial", q.user)
	p.expect(p.calls, "CALL_ESTABLISHED", "CALL_RTPESTAB")
	q.expect(q.calls, "CALL_ESTABLISHED", "CALL_RTPESTAB")
}

// hangup lets p end its call with q.
func (p *baresip) hangup(q *baresip) {
	p.t.Helper()
	p.do("hangup", "")
	p.expect(p.calls, "CALL_CLOSED")
	if why := q.expect(q.calls, "CALL_CLOSED"); !strings.Contains(why, "by peer") {
		p.t.Errorf("%s: the call ended: %q", q.user, why)
	}
}

// callBothWays makes four calls between a and b: each of them calls, each of them hangs up.
func callBothWays(a, b *baresip) {
	a.t.Helper()
	for _, pair := range [][2]*baresip{{a, b}, {b, a}} {
		for _, ends := range [][2]*baresip{{a, b}, {b, a}} {
			pair[0].connect(pair[1])
			ends[0].hangup(ends[1])
		}
	}
}

// unsuspected wants e to have turned away nothing: phones and platform gave no reason. That session descriptions name the platform where media
// is not relayed is counted, too, and no fault of theirs; nor are the reasons that a story allows for.
func unsuspected(t *testing.T, e *siptest.Edge, but ...string) {
	t.Helper()
	for line := range strings.Lines(e.Metrics()) {
		line = strings.TrimSpace(line)
		allowed := slices.ContainsFunc(append(but, "topology.media"), func(reason string) bool { return strings.Contains(line, strconv.Quote(reason)) })
		if strings.HasPrefix(line, "ringwall_refused_total") && !strings.HasSuffix(line, " 0") && !allowed {
			t.Errorf("after a story without fault: %s", line)
		}
	}
}
