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
loglevel = DEBUG
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

// A jailer is a fail2ban of a test, with its files in a folder.
type jailer struct {
	*testing.T
	dir string
}

// newJailer makes the folder with the shipped files of these names in it.
func newJailer(t *testing.T, files ...string) *jailer {
	siptest.NeedTool(t, "fail2ban-server")
	j := &jailer{t, t.TempDir()}
	for _, name := range files {
		j.write(name, read(t, filepath.Join(shipped, name)))
	}
	j.write("fail2ban.conf", fmt.Sprintf(fail2banConf, j.dir))
	return j
}

// read is what a file holds.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (j *jailer) write(name, text string) {
	j.Helper()
	path := filepath.Join(j.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		j.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		j.Fatal(err)
	}
}

// told reports whether a file, which may come to be, holds a text.
func (j *jailer) told(name, text string) bool {
	all, _ := os.ReadFile(filepath.Join(j.dir, name))
	return strings.Contains(string(all), text)
}

// until waits for f.
func (j *jailer) until(what string, f func() bool) {
	j.Helper()
	if !siptest.Eventually(f) {
		log, _ := os.ReadFile(filepath.Join(j.dir, "fail2ban.log"))
		j.Fatalf("%s; fail2ban says\n%s", what, log)
	}
}

// start runs the server and waits for its jails.
func (j *jailer) start(jails ...string) {
	j.Helper()
	cmd := exec.Command("fail2ban-server", "-f", "-x", "-c", j.dir, "-s", filepath.Join(j.dir, "socket"), "-p", filepath.Join(j.dir, "pid"), "start")
	if err := cmd.Start(); err != nil {
		j.Fatal(err)
	}
	j.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	for _, jail := range jails {
		j.until("jail "+jail+" does not start", func() bool { return j.told("fail2ban.log", "Jail '"+jail+"' started") })
	}
}

// client is fail2ban-client.
func (j *jailer) client(args ...string) {
	j.Helper()
	all := append([]string{"-c", j.dir, "-s", filepath.Join(j.dir, "socket")}, args...)
	if out, err := exec.Command("fail2ban-client", all...).CombinedOutput(); err != nil {
		j.Fatalf("fail2ban-client %v: %v: %s", args, err, out)
	}
}

// TestFail2ban: a running fail2ban bans once whom ringwall banned, and lets ringwall ban whom another log names, for a time or for ever.
func TestFail2ban(t *testing.T) {
	t.Parallel()
	j := newJailer(t, "filter.d/ringwall.conf", "action.d/ringwall.conf")
	r := newRig(t, udp, nil)
	j.write("jail.conf", fmt.Sprintf(fail2banJails, j.dir, siptest.Binary(t), r.edge.State))
	j.write("action.d/note.conf", fmt.Sprintf(fail2banNote, j.dir))
	j.write("filter.d/others.conf", fail2banOthers)
	j.write("edge.log", r.edge.Log()+"\n")
	j.write("others.log", "")
	j.start("ringwall", "others")
	r.does("ban", "198.51.100.7", "--reason", "Blocking traffic from 192.0.2.1")
	r.edge.WaitLog("Blocking traffic from 198.51.100.7")
	j.write("edge.log", r.edge.Log()+"\n")
	j.until("it does not ban whom ringwall banned", func() bool { return j.told("noted", "198.51.100.7") })

	j.write("others.log", time.Now().Format(time.RFC3339)+" bad guy 203.0.113.66\n")
	j.until("ringwall does not ban whom fail2ban bans", func() bool { return slices.Contains(r.banned(), "203.0.113.66") })
	if out := r.does("explain", "203.0.113.66"); !strings.Contains(out, "fail2ban others") {
		t.Errorf("explain says\n%s", out)
	}
	r.edge.WaitLog("Blocking traffic from 203.0.113.66")
	j.until("fail2ban does not see that it banned", func() bool { // until it does, an unban does nothing
		return strings.Count(read(t, filepath.Join(j.dir, "fail2ban.log")), "returned successfully") >= 2
	})
	j.client("set", "others", "unbanip", "203.0.113.66")
	j.until("ringwall does not free whom fail2ban frees", func() bool { return !slices.Contains(r.banned(), "203.0.113.66") })
	if j.told("noted", "192.0.2.1") {
		t.Error("a reason that quotes the line banned somebody")
	}
	j.client("set", "others", "bantime", "-1")
	j.client("set", "others", "banip", "203.0.113.67")
	j.until("ringwall does not ban whom fail2ban bans for ever", func() bool { return slices.Contains(r.banned(), "203.0.113.67") })
}

// TestFail2banJail: the shipped jail, as it is and with Debian's own files around it, has the kernel drop what ringwall bans: an address, a network, and
// an IPv6 source, which is a network always.
func TestFail2banJail(t *testing.T) {
	siptest.NeedTool(t, "nft")
	if !inWorld(t) {
		return
	}
	const jail = "jail.d/ringwall.conf"
	j := newJailer(t, "filter.d/ringwall.conf", "action.d/ringwall-nftables.conf", jail)
	r := newWorld(t).rig(nil)
	for _, name := range []string{"jail.conf", "paths-common.conf", "paths-debian.conf", "action.d/nftables.conf"} {
		j.write(name, read(t, filepath.Join("/etc/fail2ban", name)))
	}
	j.write(jail, strings.Replace(read(t, filepath.Join(shipped, jail)), "/var/log/ringwall/ringwall.log", j.dir+"/edge.log\nbackend = polling", 1))
	j.write("edge.log", "")
	j.start("ringwall")
	r.does("ban", "203.0.113.66")
	r.does("ban", "198.51.100.0/28")
	r.does("ban", "198.51.100.7") // which lies in it
	r.does("ban", "2001:db8:1::7")
	r.edge.WaitLog("Blocking traffic from 2001:db8:1::/64")
	j.write("edge.log", r.edge.Log()+"\n")
	j.until("the kernel is not told", func() bool {
		out, _ := exec.Command("nft", "list", "ruleset").CombinedOutput()
		text := string(out)
		return strings.Contains(text, "203.0.113.66") && strings.Contains(text, "198.51.100.0/28") && strings.Contains(text, "2001:db8:1::/64") &&
			strings.Contains(text, "ip saddr @addr-set-ringwall drop") && strings.Contains(text, "ip6 saddr @addr6-set-ringwall drop")
	})
	if j.told("fail2ban.log", "ERROR") {
		t.Errorf("fail2ban says\n%s", read(t, filepath.Join(j.dir, "fail2ban.log")))
	}
}
