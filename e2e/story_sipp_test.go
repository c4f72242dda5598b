package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// A sippRun is one sipp on each side of the edge.
type sippRun struct {
	name      string
	transport string // sipp's -t: u1, t1, tn
	ip        string // of both sides, "" for loopback addresses of their own
	keys      siptest.Keys
	caller    []string // scenario arguments
	callee    []string
}

// relayAll is the configuration for tools that know nothing of dialogs and Record-Route.
var relayAll = siptest.Keys{"mode": "monitor", "access": "{unknown: any}", "limits": "{connections_per_source: 4000}"}

// TestSipp lets sipp call sipp through the edge: its built-in scenarios, which ignore Record-Route, in monitor mode, and
// scenarios that follow the route set, with a re-INVITE from each side, in enforce mode.
func TestSipp(t *testing.T) { sippStories(t, 60) }

// TestSlowSipp is TestSipp with 10,000 calls each.
func TestSlowSipp(t *testing.T) {
	slow(t)
	sippStories(t, 10_000)
}

func sippStories(t *testing.T, calls int) {
	siptest.NeedTool(t, "sipp")
	scenario := func(name string) []string { return []string{"-sf", filepath.Join("testdata", "sipp", name)} }
	builtIn := func(name, transport, ip string) sippRun {
		return sippRun{name, transport, ip, relayAll, []string{"-sn", "uac"}, []string{"-sn", "uas"}}
	}
	routed := func(name, transport, ip, uac, uas string) sippRun {
		return sippRun{name, transport, ip, nil, scenario(uac), scenario(uas)}
	}
	for _, run := range []sippRun{
		builtIn("built-in udp", "u1", ""),
		builtIn("built-in tcp", "t1", ""),
		builtIn("built-in tcp, a connection per call", "tn", ""),
		builtIn("built-in udp over IPv6", "u1", "::1"),
		routed("caller ends, udp", "u1", "", "uac.xml", "uas.xml"),
		routed("caller ends, tcp", "t1", "", "uac.xml", "uas.xml"),
		routed("caller ends, udp over IPv6", "u1", "::1", "uac.xml", "uas.xml"),
		routed("callee ends, udp", "u1", "", "uac_waits.xml", "uas_ends.xml"),
		routed("cancelled while it rings, udp", "u1", "", "uac_cancels.xml", "uas_cancelled.xml"),
		routed("cancelled while it rings, tcp", "t1", "", "uac_cancels.xml", "uas_cancelled.xml"),
	} {
		t.Run(run.name, func(t *testing.T) {
			if calls < 1000 { // at full size each story wants the machine for itself
				t.Parallel()
			}
			run.calls(t, calls)
		})
	}
}

// calls runs n calls and wants every one complete on both sides.
func (s sippRun) calls(t *testing.T, n int) {
	here := func() netip.AddrPort {
		ip := s.ip
		if ip == "" {
			ip = siptest.OwnIP()
		}
		addr, err := siptest.FreeAddr(ip)
		if err != nil {
			t.Fatal(err)
		}
		return addr
	}
	platform, caller := here(), here()
	uri := "sip:" + platform.String()
	if s.transport[0] == 't' {
		uri += ";transport=tcp"
	}
	edge := siptest.StartEdge(t, siptest.Outlets{Outside: s.ip, Inside: s.ip, Upstream: []string{uri}}, s.keys)
	callee := s.sipp(t, s.callee, platform, n, nil)
	awaitListener(t, callee.cmd.Process.Pid, s.transport[0], platform.Port())
	calling := s.sipp(t, s.caller, caller, n, []string{"-r", strconv.Itoa(min(n, 300)), "-s", "echo", edge.Outside.String()})
	if !calling.wait(t) || !callee.wait(t) {
		t.Logf("edge:\n%s", edge.Log())
	}
	if got := edge.Counted(float64(n), "ringwall_requests_received_total", "INVITE"); int(got) < n {
		t.Errorf("the edge saw %v INVITEs, want %d", got, n)
	}
}

// awaitListener waits until some program in the network of the process listens on port: sipp itself says nothing when it does. transport is its -t, "u" or "t".
func awaitListener(t *testing.T, pid int, transport byte, port uint16) {
	t.Helper()
	tables, state := []string{"udp", "udp6"}, "07"
	if transport == 't' {
		tables, state = []string{"tcp", "tcp6"}, "0A"
	}
	for range 500 {
		for _, table := range tables {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
			if err != nil {
				continue
			}
			for line := range strings.SplitSeq(string(text), "\n") {
				if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[3] == state {
					return
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("nobody listens on port %d", port)
}

// A tool is a program that the test started.
type tool struct {
	name string
	cmd  *exec.Cmd
	out  strings.Builder
}

func startTool(t *testing.T, name string, args ...string) *tool {
	t.Helper()
	p := &tool{name: name, cmd: exec.Command(siptest.NeedTool(t, name), args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	return p
}

// wait fails the test unless the tool ends with 0.
func (p *tool) wait(t *testing.T) bool {
	t.Helper()
	err := p.cmd.Wait()
	if err != nil {
		out := p.out.String()
		t.Errorf("%s: %v\n%s", strings.Join(p.cmd.Args, " "), err, out[max(0, len(out)-3000):])
	}
	return err == nil
}

func (s sippRun) sipp(t *testing.T, scenario []string, at netip.AddrPort, n int, more []string) *tool {
	t.Helper()
	ip := at.Addr().String()
	if at.Addr().Is6() {
		ip = "[" + ip + "]"
	}
	why := filepath.Join(t.TempDir(), "errors")
	t.Cleanup(func() {
		if text, err := os.ReadFile(why); err == nil && t.Failed() {
			t.Logf("sipp says\n%s", text)
		}
	})
	args := append([]string{"-trace_err", "-error_file", why, "-i", ip, "-p", strconv.Itoa(int(at.Port())), "-m", strconv.Itoa(n), "-t", s.transport,
		"-buff_size", "4000000", // or else a sipp that has to wait for the processor loses datagrams
		"-nostdin", "-timeout", "120s", "-timeout_error", "-max_socket", "4000"}, scenario...)
	return startTool(t, "sipp", append(args, more...)...)
}
