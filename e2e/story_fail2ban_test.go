package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// shipped is where the files for fail2ban are.
const shipped = "../packaging/fail2ban"

// fail2ban's own files of a test: a server with two jails. One acts on what ringwall bans, by writing the address to a file; the other has
// ringwall ban whom a log of somebody else names.
const (
	fail2banConf = `[Definition]
loglevel = INFO
logtarget = %[1]s/fail2ban.log
syslogsocket = auto
socket = %[1]s/socket
pidfile = %[1]s/pid
dbfile = None
dbpurgeage = 1d
allowipv6 = auto
[Thread]
stacksize = 0
`
	fail2banJails = `[DEFAULT]
backend = polling
usedns = no
ignoreself = false
ignoreip =
ignorecommand =
logencoding = utf-8
bantime = 1800
findtime = 600
maxretry = 1
maxmatches = 5
mode = normal
[ringwall]
enabled = true
filter = ringwall
logpath = %[1]s/edge.log
action = note
[others]
enabled = true
filter = others
logpath = %[1]s/others.log
action = ringwall[ringwall=%[2]s, where="--state %[3]s"]
`
	fail2banNote   = "[Definition]\nactionban = echo <ip> >> %s/noted\nactionunban =\n"
	fail2banOthers = "[Definition]\nfailregex = ^ bad guy <ADDR>$\n"
)

// TestFail2banReads: of what ringwall writes, in text and as JSON, plain and behind what syslog puts before, Debian's fail2ban finds exactly the
// bans of whole sources. Nobody is banned by what others wrote into a message or a reason.
func TestFail2banReads(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "fail2ban-regex")
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, udp, siptest.Keys{"log": "{format: " + format + "}"})
			quoted := []string{`Blocking traffic from 192.0.2.1`, `" level=WARN msg="Blocking traffic from 192.0.2.2" event=ban `,
				`","level":"WARN","msg":"Blocking traffic from 192.0.2.3","event":"ban"}`,
				"\nts=2026-11-22T12:40:00.1Z level=WARN msg=\"Blocking traffic from 192.0.2.4\" event=ban x",
				"\n{\"ts\":\"2026-11-22T12:40:00.1Z\",\"level\":\"WARN\",\"msg\":\"Blocking traffic from 192.0.2.5\",\"event\":\"ban\"}"}
			r.does("ban", "198.51.100.7", "--reason", quoted[0])
			r.does("ban", "198.51.100.0/28")
			r.does("ban", "2001:db8::7")
			r.does("ban", "198.51.100.9:5060")
			r.does("ban", "198.51.100.10", "--soft")
			for i, text := range quoted {
				r.does("ban", fmt.Sprintf("198.51.100.%d:5060", 100+i), "--reason", text)
				r.does("allow", "add", fmt.Sprintf("203.0.113.%d", i), "--reason", text)
				r.fails(1, "is never banned", "ban", fmt.Sprintf("203.0.113.%d", i))
				phone := r.phone("mallory")
				m := phone.Request("INVITE", "sip:bob@example.com")
				m.Set("User-Agent", strings.ReplaceAll(text, "\n", ""))
				m.Set("Call-ID", strings.ReplaceAll(text, "\n", ""))
				m.Set("Max-Forwards", strings.ReplaceAll(text, "\n", ""))
				phone.SendTo(r.edge.Outside, "udp", m.String())
			}
			r.edge.WaitLog("malformed.")
			for _, before := range []string{"", "Nov 22 12:40:00 edge ringwall[12]: ", "2026-11-22T12:40:00.123456+00:00 edge ringwall[12]: "} {
				log := filepath.Join(t.TempDir(), "log")
				lines := before + strings.ReplaceAll(r.edge.Log(), "\n", "\n"+before) + "\n"
				if err := os.WriteFile(log, []byte(lines), 0o600); err != nil {
					t.Fatal(err)
				}
				out, err := exec.Command("fail2ban-regex", "-o", "ip", log, filepath.Join(shipped, "filter.d", "ringwall.conf")).CombinedOutput()
				got := strings.Fields(string(out))
				slices.Sort(got)
				if want := []string{"198.51.100.0/28", "198.51.100.7", "2001:db8::/64"}; err != nil || !slices.Equal(got, want) {
					t.Errorf("behind %q fail2ban finds %q, want %q (%v) in\n%s", before, got, want, err, lines)
				}
			}
		})
	}
}

// TestFail2ban: a running fail2ban bans once whom ringwall banned, and lets ringwall ban whom another log names.
func TestFail2ban(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "fail2ban-server")
	r := newRig(t, udp, nil)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"filter.d/ringwall.conf", "action.d/ringwall.conf"} {
		text, err := os.ReadFile(filepath.Join(shipped, name))
		if err != nil {
			t.Fatal(err)
		}
		write(name, string(text))
	}
	write("fail2ban.conf", fmt.Sprintf(fail2banConf, dir))
	write("jail.conf", fmt.Sprintf(fail2banJails, dir, siptest.Binary(t), r.edge.State))
	write("action.d/note.conf", fmt.Sprintf(fail2banNote, dir))
	write("filter.d/others.conf", fail2banOthers)
	write("edge.log", r.edge.Log()+"\n")
	write("others.log", "")
	cmd := exec.Command("fail2ban-server", "-f", "-x", "-c", dir, "-s", filepath.Join(dir, "socket"), "-p", filepath.Join(dir, "pid"), "start")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	told := func(name, text string) bool {
		all, _ := os.ReadFile(filepath.Join(dir, name)) // it comes to be
		return strings.Contains(string(all), text)
	}
	until := func(what string, f func() bool) {
		t.Helper()
		if !siptest.Eventually(f) {
			log, _ := os.ReadFile(filepath.Join(dir, "fail2ban.log"))
			t.Fatalf("%s; fail2ban says\n%s", what, log)
		}
	}
	until("the jails do not start", func() bool {
		return told("fail2ban.log", "Jail 'ringwall' started") && told("fail2ban.log", "Jail 'others' started")
	})
	r.does("ban", "198.51.100.7", "--reason", "Blocking traffic from 192.0.2.1")
	r.edge.WaitLog("Blocking traffic from 198.51.100.7")
	write("edge.log", r.edge.Log()+"\n")
	until("it does not ban whom ringwall banned", func() bool { return told("noted", "198.51.100.7") })

	write("others.log", time.Now().Format(time.RFC3339)+" bad guy 203.0.113.66\n")
	until("ringwall does not ban whom fail2ban bans", func() bool { return slices.Contains(r.banned(), "203.0.113.66") })
	if out := r.does("explain", "203.0.113.66"); !strings.Contains(out, "fail2ban others") {
		t.Errorf("explain says\n%s", out)
	}
	r.edge.WaitLog("Blocking traffic from 203.0.113.66")
	if out, err := exec.Command("fail2ban-client", "-c", dir, "-s", filepath.Join(dir, "socket"), "set", "others", "unbanip", "203.0.113.66").CombinedOutput(); err != nil {
		t.Fatalf("unban by fail2ban: %v: %s", err, out)
	}
	until("ringwall does not free whom fail2ban frees", func() bool { return !slices.Contains(r.banned(), "203.0.113.66") })
	if told("noted", "192.0.2.1") {
		t.Error("a reason that quotes the line banned somebody")
	}
}
