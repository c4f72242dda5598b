package siptest

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Keys are top-level keys of the config file with their values in YAML's flow style: "timers": "{t1: 20ms}".
type Keys map[string]string

// Outlets are what an edge listens on, and where it sends to. Addresses left empty are chosen: a loopback address and free
// ports of its own, UDP and TCP on each side.
type Outlets struct {
	Outside  string         // IP address of the outside listener
	Inside   string         // IP address of the inside listener
	Upstream []string       // URIs of the upstreams
	Env      []string       // further environment, "GOMAXPROCS=4"
	Secure   bool           // listen on TLS, WS and WSS outside, too, with the certificate of Edge.Certificate
	More     []string       // further outside listeners, "udp:[::1]:10000"
	DNS      netip.AddrPort // what it asks for names (Nameserver.Addr); zero: what this machine does
	Name     string         // what the edge calls itself outside and what its certificate is for; "" is its address
}

// An Edge is a running ringwall.
type Edge struct {
	Outside netip.AddrPort // of UDP and TCP, unless a test has another default
	UDP     netip.AddrPort // of UDP outside
	Inside  netip.AddrPort
	TLS     netip.AddrPort // outside, if Outlets.Secure, as the next two
	WS, WSS netip.AddrPort
	Admin   string // "http://address:port"
	State   string // its --state directory
	PID     int

	t    testing.TB
	args []string
	env  []string
	dns  netip.AddrPort // if valid, it runs where this is its DNS server
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended

	mu      sync.Mutex
	stderr  []string
	written *sync.Cond
}

// StartEdge builds the binary (once per test run), writes a config file from where and keys, runs `ringwall run --config
// FILE --state DIR` and waits until it is ready: a line with "ready" on stderr, and 200 at /readyz. At the end of the test it
// is sent TERM, and must exit 0. A drain is short unless keys has timers, and media is not relayed unless keys has media. Unless keys has checks all
// of them enforce: whoever they stop is an innocent.
func StartEdge(t testing.TB, where Outlets, keys Keys) *Edge {
	t.Helper()
	e := &Edge{t: t, State: t.TempDir(), env: where.Env, dns: where.DNS}
	e.written = sync.NewCond(&e.mu)
	all := e.listen(where)
	all["upstreams"] = "[{uri: \"" + strings.Join(where.Upstream, "\"}, {uri: \"") + "\"}]"
	all["timers"] = "{drain: 300ms}"
	all["media"] = "{relay: off}"
	all["checks"] = "{mode: enforce}"
	all["version"] = "1"
	maps.Copy(all, keys)
	file := filepath.Join(e.State, "ringwall.yaml")
	if err := os.WriteFile(file, []byte(all.yaml()), 0o600); err != nil {
		t.Fatal(err)
	}
	e.args = []string{"run", "--config", file, "--state", e.State}
	e.Start()
	t.Cleanup(e.finish)
	return e
}

// listen chooses the addresses that where leaves open, makes a certificate if one is asked for, and says so in the configuration.
func (e *Edge) listen(where Outlets) Keys {
	e.Outside, e.Inside = e.address(where.Outside), e.address(where.Inside)
	e.UDP = e.Outside
	ip := e.Outside.Addr().String()
	outside := fmt.Sprintf("\"udp:%v\", \"tcp:%v\"", e.Outside, e.Outside)
	names := []string{ip}
	for _, listener := range where.More {
		outside += ", \"" + listener + "\""
		_, addr, _ := strings.Cut(listener, ":")
		names = append(names, netip.MustParseAddrPort(addr).Addr().String())
	}
	advertise, certificate := "", "{}"
	if where.Name != "" {
		advertise, names = ", advertise: "+where.Name, []string{where.Name}
	}
	if where.Secure {
		e.TLS, e.WS, e.WSS = e.address(ip), e.address(ip), e.address(ip)
		outside += fmt.Sprintf(", \"tls:%v\", \"ws:%v\", \"wss:%v\"", e.TLS, e.WS, e.WSS)
		certificate = e.Certificate(names...)
	}
	admin := e.address("")
	e.Admin = "http://" + admin.String()
	return Keys{
		"outside": "{listen: [" + outside + "]" + advertise + "}",
		"tls":     certificate,
		"inside":  fmt.Sprintf("{listen: [\"udp:%v\", \"tcp:%v\"]}", e.Inside, e.Inside),
		"admin":   fmt.Sprintf("{http: \"%v\"}", admin),
	}
}

// Certificate writes a new certificate for names (DNS names and addresses) and its key to cert.pem and key.pem in the state
// directory, and returns the configuration's section tls for them.
func (e *Edge) Certificate(names ...string) string {
	e.t.Helper()
	cert, key := filepath.Join(e.State, "cert.pem"), filepath.Join(e.State, "key.pem")
	if err := WriteCertificate(cert, key, names...); err != nil {
		e.t.Fatal(err)
	}
	return fmt.Sprintf("{certificate: %q, key: %q}", cert, key)
}

// yaml writes keys in a fixed order.
func (k Keys) yaml() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(k)) {
		fmt.Fprintf(&b, "%s: %s\n", key, k[key])
	}
	return b.String()
}

// address is a free address of ip, or of a loopback address of its own.
func (e *Edge) address(ip string) netip.AddrPort {
	e.t.Helper()
	if ip == "" {
		ip = OwnIP()
	}
	addr, err := FreeAddr(ip)
	if err != nil {
		e.t.Fatal(err)
	}
	return addr
}

// Start runs the binary, again after Stop or Kill: with the same config file and state.
func (e *Edge) Start() {
	e.t.Helper()
	e.cmd = exec.Command(Binary(e.t), e.args...)
	e.cmd.Env = append(os.Environ(), e.env...)
	if e.dns.IsValid() {
		e.asking(e.dns, e.cmd)
	}
	pipe, err := e.cmd.StderrPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	e.mu.Lock()
	from := len(e.stderr)
	e.mu.Unlock()
	stdout, err := os.Create(e.stdout())
	if err != nil {
		e.t.Fatal(err)
	}
	defer stdout.Close()
	e.cmd.Stdout = stdout
	if err := e.cmd.Start(); err != nil {
		e.t.Fatalf("start ringwall: %v", err)
	}
	e.PID = e.cmd.Process.Pid
	e.done = make(chan struct{})
	go e.watch(pipe, e.cmd, e.done)
	if !e.waitLine(from, "ready") {
		e.t.Fatalf("ringwall %s: no line with \"ready\":\n%s", strings.Join(e.args, " "), e.Log())
	}
	if !Eventually(func() bool { return e.Status("/readyz") == http.StatusOK }) {
		e.t.Fatalf("ringwall: /readyz never said 200:\n%s", e.Log())
	}
}

// watch collects stderr and then the end of the process.
func (e *Edge) watch(stderr io.Reader, cmd *exec.Cmd, done chan struct{}) {
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		e.mu.Lock()
		e.stderr = append(e.stderr, lines.Text())
		e.mu.Unlock()
		e.written.Broadcast()
	}
	cmd.Wait() // what it says is in cmd.ProcessState
	e.mu.Lock()
	defer e.mu.Unlock()
	close(done) // not between a look of waitLine and its wait
	e.written.Broadcast()
}

// waitLine waits for a line from number from on that contains text; false if the process ended or time is up.
func (e *Edge) waitLine(from int, text string) bool {
	done, late := e.done, false
	timer := time.AfterFunc(2*Deadline, func() {
		e.mu.Lock()
		late = true
		e.mu.Unlock()
		e.written.Broadcast()
	})
	defer timer.Stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		for ; from < len(e.stderr); from++ {
			if strings.Contains(e.stderr[from], text) {
				return true
			}
		}
		select {
		case <-done:
			return false
		default:
		}
		if late {
			return false
		}
		e.written.Wait()
	}
}

// WaitLog fails the test if stderr shows no line that contains text soon.
func (e *Edge) WaitLog(text string) {
	e.t.Helper()
	if !e.waitLine(0, text) {
		e.t.Fatalf("no log line with %q:\n%s", text, e.Log())
	}
}

// Log is all of stderr so far.
func (e *Edge) Log() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.stderr, "\n")
}

// stdout is the file that takes what the process writes to its standard output.
func (e *Edge) stdout() string { return filepath.Join(e.State, "stdout") }

// Output is all that the running process, or the last one, wrote to stdout.
func (e *Edge) Output() string {
	e.t.Helper()
	text, err := os.ReadFile(e.stdout())
	if err != nil {
		e.t.Fatal(err)
	}
	return string(text)
}

// Signal sends the process a signal.
func (e *Edge) Signal(s syscall.Signal) { e.cmd.Process.Signal(s) }

// Running reports whether the process has not ended yet.
func (e *Edge) Running() bool {
	select {
	case <-e.done:
		return false
	default:
		return true
	}
}

// WaitExit waits for the end of the process and returns its exit code, -1 if it was killed. It fails the test if the
// process still runs after three Deadlines, and kills it.
func (e *Edge) WaitExit() int {
	e.t.Helper()
	select {
	case <-e.done:
	case <-time.After(3 * Deadline):
		e.Signal(syscall.SIGABRT) // prints all goroutines
		<-e.done
		e.t.Errorf("ringwall did not end:\n%s", e.Log())
	}
	return e.cmd.ProcessState.ExitCode()
}

// Stop sends TERM and fails the test unless the process exits 0.
func (e *Edge) Stop() {
	e.t.Helper()
	e.Signal(syscall.SIGTERM)
	if code := e.WaitExit(); code != 0 {
		e.t.Errorf("ringwall exited %d after TERM:\n%s", code, e.Log())
	}
}

// Kill kills the process with signal 9.
func (e *Edge) Kill() {
	e.Signal(syscall.SIGKILL)
	<-e.done
}

// finish ends the edge with the test.
func (e *Edge) finish() {
	if e.Running() {
		e.Stop()
	}
	for _, bad := range []string{"panic", "DATA RACE", "fatal error"} {
		if strings.Contains(e.Log(), bad) {
			e.t.Errorf("stderr speaks of a %s", bad)
		}
	}
	if e.t.Failed() || os.Getenv("RINGWALL_LOG") != "" {
		e.t.Logf("stderr of ringwall:\n%s", e.Log())
	}
}

// built is the result of the one build of a test run.
var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// Binary is the path of ringwall: that of the environment variable RINGWALL_BINARY, or else built once per test run, with
// the race detector if RINGWALL_RACE is set. Clean removes it.
func Binary(t testing.TB) string {
	t.Helper()
	built.once.Do(build)
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func build() {
	if built.path = os.Getenv("RINGWALL_BINARY"); built.path != "" {
		return
	}
	if built.dir, built.err = os.MkdirTemp("", "ringwall-e2e-"); built.err != nil {
		return
	}
	built.path = filepath.Join(built.dir, "ringwall")
	args, cgo := []string{"build", "-o", built.path}, "CGO_ENABLED=0"
	if os.Getenv("RINGWALL_RACE") != "" {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, "github.com/ringwall/ringwall/cmd/ringwall")...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		built.err = fmt.Errorf("go build ./cmd/ringwall: %w\n%s", err, out)
	}
}

// Clean removes the binary that was built. Call it at the end of TestMain.
func Clean() { os.RemoveAll(built.dir) }

// Eventually asks cond every few milliseconds until it says true; false after the Deadline.
func Eventually(cond func() bool) bool {
	for end := time.Now().Add(Deadline); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}
