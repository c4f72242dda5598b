package smuggle

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// A sample is a message of a file.
type sample struct {
	name   string
	raw    string
	edge   string // "relay", "reject" or "either"
	stream bool   // means its fate over a stream only
	gram   bool   // means its fate as a datagram only
}

// shared is where the messages of the RFCs lie, if they lie beside the project.
var shared = filepath.Join("..", "..", "..", "shared", "testdata")

// rfcSamples are the messages of a folder of shared, none if it is not there.
func rfcSamples(t testing.TB, folder string) (all []sample) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shared, folder, "expect.json"))
	if os.IsNotExist(err) {
		return nil
	}
	var expect map[string]struct{ Edge string }
	if err == nil {
		err = json.Unmarshal(text, &expect)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range expect {
		raw, err := os.ReadFile(filepath.Join(shared, folder, name+".dat"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sample{name: name, raw: string(raw), edge: want.Edge})
	}
	slices.SortFunc(all, func(a, b sample) int { return strings.Compare(a.name, b.name) })
	return all
}

// proxyRefuses are our own messages that parse, but that a proxy refuses: 416, 420, 483, or a Contact that can't be bound.
var proxyRefuses = []string{"scheme-unknown", "scheme-dots", "extensions", "hops-zero", "scheme-fields"}

// ownSamples are the messages of sip/testdata/messages, of all kinds of RFC 4475 and RFC 5118. Their format is told in sip/messages_test.go.
func ownSamples(t testing.TB) (all []sample) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "sip", "testdata", "messages", "*.txt"))
	if err != nil || len(files) < 50 {
		t.Fatalf("%d messages: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, lines, _ := strings.Cut(string(text), "\n\n")
		s := sample{name: strings.TrimSuffix(filepath.Base(file), ".txt"), raw: unescaped(t, lines), edge: "reject"}
		s.stream = strings.HasSuffix(head, "\nstream")
		s.gram = strings.Contains(head, "no_content_length") || strings.Contains(head, "trailing")
		if strings.Contains(head, "\nwant: ok") && !strings.HasPrefix(s.raw, "SIP/") && !slices.Contains(proxyRefuses, s.name) {
			s.edge = "relay"
		}
		if strings.Contains(head, "uri_headers") || s.name == "two-requests-stream" { // S24: removed or refused; the second is cut short
			s.edge = "either"
		}
		all = append(all, s)
	}
	return all
}

// unescaped undoes the Go escapes of lines, puts CRLF behind each that does not end in \c, and the length for "{body}".
func unescaped(t testing.TB, text string) string {
	var out strings.Builder
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line, open := strings.CutSuffix(lines.Text(), `\c`)
		for line != "" {
			c, wide, rest, err := strconv.UnquoteChar(line, 0)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if line = rest; wide {
				out.WriteRune(c)
			} else {
				out.WriteByte(byte(c))
			}
		}
		if !open {
			out.WriteString("\r\n")
		}
	}
	_, body, _ := strings.Cut(out.String(), "\r\n\r\n")
	return strings.Replace(out.String(), "{body}", strconv.Itoa(len(body)), 1)
}

// TestTorture sends the torture messages of RFC 4475 and RFC 5118, where they lie beside the project, and our own of the same
// kinds, over UDP and TCP to an edge in mode monitor, and wants each relayed or refused as the RFC asks.
func TestTorture(t *testing.T) {
	for folder, samples := range map[string][]sample{"rfc4475": rfcSamples(t, "rfc4475"), "rfc5118": rfcSamples(t, "rfc5118"), "own": ownSamples(t)} {
		for _, way := range []string{"udp", "tcp"} {
			t.Run(folder+"/"+way, func(t *testing.T) {
				t.Parallel()
				if len(samples) == 0 {
					t.Log("not beside the project")
					return
				}
				torture(t, samples, way)
			})
		}
	}
}

// torture sends samples one after the other and counts what became of them.
func torture(t *testing.T, samples []sample, way string) {
	site := newSite(t, "torture", "", monitor)
	s := newStation(t, site, way)
	s.mark()
	counts := map[string]int{}
	for _, m := range samples {
		if m.stream && way == "udp" || m.gram && way == "tcp" {
			m.edge = "either"
		}
		arrived := s.deliver(m.raw)
		for _, a := range arrived {
			for _, fault := range append(a.faults, altered(m.raw, a)...) {
				t.Errorf("%s: %s\n%q", m.name, fault, a.raw)
			}
		}
		want := map[string]int{"relay": 1, "reject": 0, "either": len(arrived)}[m.edge]
		if m.name == "dblreq" && way == "tcp" {
			want = 2
		}
		if len(arrived) != want {
			t.Errorf("%s: %d arrived, want %d (%s)\n%q", m.name, len(arrived), want, m.edge, m.raw)
			continue
		}
		counts[m.edge]++
	}
	t.Logf("%d relayed, %d refused, %d either", counts["relay"], counts["reject"], counts["either"])
}

// deliver sends raw as a datagram, or over a connection of its own, and returns what of it reaches the platform. It comes from a new
// address, because some samples have one branch and would be retransmissions of each other.
func (s *station) deliver(raw string) (arrived []*arrival) {
	s.Helper()
	s.hangup()
	s.ip = siptest.OwnIP()
	if s.way == "udp" {
		_ = s.wire().send(raw)
	} else {
		s.sendAlone(raw)
	}
	s.mark()
	for _, stray := range s.site.platform.takeStrays() {
		arrived = append(arrived, read(stray, ""))
	}
	return arrived
}

// sendAlone sends raw over a connection of its own, closes it for writing, and waits until the edge has closed it, too.
func (s *station) sendAlone(raw string) {
	s.Helper()
	w, err := dial(s.way, s.ip, s.site.to(s.way))
	if err != nil {
		s.Fatal(err)
	}
	defer w.Close()
	_ = w.send(raw)
	_ = w.Conn.(*net.TCPConn).CloseWrite()
	_ = w.SetReadDeadline(time.Now().Add(siptest.Deadline))
	if _, err := io.Copy(io.Discard, w.Conn); err != nil && isTimeout(err) {
		s.Errorf("a connection that was closed for writing stays open after %.300q", raw)
	}
}

var fold = regexp.MustCompile("[ \t]*\r\n[ \t]+")

// altered says what a proxy is not to change and what yet differs between a message as sent and as it arrived: the values of
// fields, unfolded, and the body. What of raw lies behind the first message is left out.
func altered(raw string, a *arrival) (wrong []string) {
	head, body, _ := strings.Cut(strings.TrimLeft(raw, "\r\n"), "\r\n\r\n")
	if !strings.HasPrefix(head, a.start) { // the second of two
		return nil
	}
	lines := strings.Split(fold.ReplaceAllString(head, " "), "\r\n")
	var sent, got []field
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		name = spelled(strings.Trim(name, " \t"))
		value = strings.Trim(value, " \t")
		if n, err := strconv.Atoi(value); name == "content-length" && err == nil && n < len(body) {
			body = body[:n]
		}
		sent = append(sent, field{name, value})
	}
	for _, f := range a.fields {
		got = append(got, field{spelled(f.name), f.value})
	}
	ours := func(f field) bool { // what the edge writes, and what strangers may not say
		return strings.HasPrefix(f.name, "p-") || strings.HasPrefix(f.name, "x-") || strings.HasPrefix(f.name, "identity") ||
			slices.Contains(edited, f.name) || strings.HasPrefix(a.start, "REGISTER ") && f.name == "contact"
	}
	sent, got = slices.DeleteFunc(sent, ours), slices.DeleteFunc(got, ours)
	if !slices.Equal(sent, got) {
		wrong = append(wrong, fmt.Sprintf("fields\n%q\nbecame\n%q", sent, got))
	}
	if a.body != body {
		wrong = append(wrong, fmt.Sprintf("body %q became %q", body, a.body))
	}
	return wrong
}
