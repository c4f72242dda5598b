package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/seal"
)

const explained = `outside: {listen: [udp:203.0.113.5:5060]}
inside: {listen: [udp:10.0.0.1:5070], sources: [10.0.0.0/24]}
upstreams: [{uri: "sip:10.0.0.10:5060"}]
domains: [example.com]
topology: {hide: true, key_file: %[1]s/topology.key, guard: log}
admin: {http: off}
state: %[1]s/state.db
`

// TestExplain: an INVITE leaves hidden, and the BYE that follows comes back as the platform knows it.
func TestExplain(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cfg := write("c.yaml", fmt.Sprintf(explained, dir))
	run := func(from, message string) string {
		t.Helper()
		var out, stderr strings.Builder
		if code := execute([]string{"explain", "-c", cfg, "--from", from, "--message", message}, &out, &stderr); code != exitOK {
			t.Fatalf("%d: %s", code, &stderr)
		}
		return out.String()
	}
	want := func(text string, lines ...string) {
		t.Helper()
		for _, line := range lines {
			if !strings.Contains(text, line) {
				t.Errorf("no %q:\n%s", line, text)
			}
		}
	}
	invite := write("invite", "INVITE sip:bob@198.51.100.7 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK1\nFrom: <sip:alice@10.0.0.10>;tag=1\n"+
		"To: <sip:bob@10.0.0.10>\nCall-ID: abc@10.0.0.10\nCSeq: 1 INVITE\nContact: <sip:alice@10.0.0.10:5060>\nX-Foo: bar\nUser-Agent: SecretPBX\n"+
		"Content-Type: text/plain\nContent-Length: 5\n\nI am at 10.0.0.10\n")
	run("inside", invite) // without a key file, and makes none
	if _, err := os.Stat(filepath.Join(dir, "topology.key")); err == nil {
		t.Error("explain makes a key file")
	}
	if _, err := seal.Open(filepath.Join(dir, "topology.key")); err != nil {
		t.Fatal(err)
	}
	out := run("inside", invite)
	want(out, "From: <sip:alice@example.com>;tag=1\n", "  Call-ID              masked\n", "  X-Foo                removed: not on the list", "  I am at example.com\n",
		"Content-Length: 21\n")
	left, _, _ := strings.Cut(out, "changes:")
	if strings.Contains(left, "10.0.0") || strings.Contains(left, "Secret") {
		t.Errorf("%s", out)
	}
	value := func(name string) string {
		_, after, _ := strings.Cut(out, "  "+name+": ")
		v, _, _ := strings.Cut(after, "\n")
		return v
	}
	bye := write("bye", fmt.Sprintf("BYE %s SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK2\nRoute: %s\nFrom: <sip:bob@example.com>;tag=2\nTo: %s\nCall-ID: %s\n"+
		"CSeq: 1 BYE\nP-Asserted-Identity: <sip:ceo@example.com>\nContent-Length: 0\n\n", strings.Trim(value("Contact"), "<>"), value("Record-Route"), value("From"), value("Call-ID")))
	want(run("outside", bye), "BYE sip:alice@10.0.0.10:5060 SIP/2.0\n", "Call-ID: abc@10.0.0.10\n", "To: <sip:alice@10.0.0.10>;tag=1\n", "From: <sip:bob@10.0.0.10>;tag=2\n",
		"  P-Asserted-Identity  removed: not for outside to say\n", "  Call-ID              unmasked\n")
	reply := write("reply", fmt.Sprintf("SIP/2.0 200 OK\nVia: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK2\nFrom: %s\nTo: <sip:bob@example.com>;tag=2\nCall-ID: %s\n"+
		"CSeq: 1 INVITE\nRecord-Route: %s\nContact: <sip:bob@198.51.100.7>\nContent-Length: 0\n\n", value("From"), value("Call-ID"), value("Record-Route")))
	want(run("outside", reply), "Call-ID: abc@10.0.0.10\n", "@10.0.0.1:5070;lr>\n")
	answer := write("answer", "SIP/2.0 486 Busy\nVia: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK2\nVia: SIP/2.0/UDP 192.168.0.9;branch=z9hG4bK3\nFrom: <sip:a@b>;tag=1\nTo: <sip:b@b>;tag=2\n"+
		"Call-ID: x\nCSeq: 1 INVITE\nWarning: 399 pbx7 \"x\"\nContent-Length: 0\n\n")
	want(run("inside", answer), "Via: SIP/2.0/UDP 192.168.0.9;branch=z9hG4bK3\n", "  Warning              removed")

	offer := write("offer", "INVITE sip:bob@198.51.100.7 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK1\nFrom: <sip:alice@10.0.0.10>;tag=1\nTo: <sip:bob@10.0.0.10>\n"+
		"Call-ID: x\nCSeq: 1 INVITE\nContent-Type: application/sdp\n\nv=0\no=- 1 1 IN IP4 10.0.0.10\ns=-\nc=IN IP4 10.0.0.10\nt=0 0\nm=audio 4000 RTP/AVP 0\n")
	out = run("inside", offer)
	want(out, "  c=IN IP4 203.0.113.5\n", "  m=audio 30000 RTP/AVP 0\n", "  body                 the session description is ringwall's own")
	if strings.Contains(out, "10.0.0.10") {
		t.Errorf("%s", out)
	}
	var told strings.Builder
	if code := execute([]string{"explain", "-c", cfg, "--message", offer, "-o", "json"}, &told, &told); code != exitOK || !strings.Contains(told.String(), `"seen_from": "outside"`) {
		t.Errorf("%d %s", code, &told)
	}

	for _, bad := range [][]string{{"explain"}, {"explain", "--message", invite, "-o", "csv"}, {"explain", "--message", invite, "--from", "above"}} {
		var stderr strings.Builder
		if code := execute(bad, &stderr, &stderr); code != exitUsage {
			t.Errorf("%q: %d %s", bad, code, &stderr)
		}
	}
	var stderr strings.Builder
	if code := execute([]string{"explain", "-c", cfg, "--message", write("bad", "hello\n")}, &stderr, &stderr); code != exitFailure || !strings.Contains(stderr.String(), "read the message") {
		t.Errorf("%d %s", code, &stderr)
	}
}

func TestCheckWarns(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, explained+"media: {relay: off}\n", dir), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if code := execute([]string{"check", file}, &out, &out); code != exitOK || !strings.Contains(out.String(), "warning: topology.hide: media still reveals") {
		t.Errorf("%d %s", code, &out)
	}
}
