package main

import (
	"flag"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

// traced makes one message: dir is "< outside" (received), "> inside" (sent) and so on.
func traced(ms int, dir, text string) proxy.Traced {
	m := proxy.Traced{At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond),
		Sent: dir[0] == '>', Raw: []byte(strings.ReplaceAll(text, "\n", "\r\n"))}
	m.Flow = edge.Flow{Remote: netip.MustParseAddrPort("198.51.100.7:40312")}
	if strings.HasSuffix(dir, "inside") {
		m.Flow = edge.Flow{Remote: netip.MustParseAddrPort("10.0.0.10:5060"), Side: edge.Inside, Transport: edge.TCP}
	}
	return m
}

const sipBody = "\nContent-Type: application/sdp\nContent-Length: 114\n\nv=0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20\na=ice-pwd:sOme/Pass\n\n"

// sipText is a message with these first lines.
func sipText(start, call, cseq string) string {
	return start + "\nVia: SIP/2.0/UDP 10.1.2.3:5060;branch=z9hG4bKa\nFrom: <sip:alice@example.com>;tag=a\nTo: <sip:600@example.com>\n" +
		"Call-ID: " + call + "\nCSeq: " + cseq + "\nMax-Forwards: 70\nAuthorization: Digest username=\"alice\", nonce=\"n\", " +
		"response=\"0123456789abcdef0123456789abcdef\",cnonce=\"c\\\"n\", qop=auth" + sipBody
}

// ladderStory is what the golden file shows: a call, another one between, verdicts, and what no honest phone sends.
func ladderStory() []proxy.Traced {
	invite, bye := sipText("INVITE sip:600@example.com SIP/2.0", "a1", "1 INVITE"), sipText("BYE sip:600@example.com SIP/2.0", "a1", "2 BYE")
	refused := traced(14, "< outside", sipText("BYE sip:600@example.com SIP/2.0", "b2", "7 BYE"))
	refused.Reason = "dialog.unknown"
	noted := traced(15, "< inside", bye)
	noted.Reason, noted.Noted = "access.method", true
	return []proxy.Traced{
		traced(0, "< outside", invite),
		traced(1, "> inside", invite),
		traced(3, "< inside", sipText("SIP/2.0 100 Trying", "a1", "1 INVITE")),
		traced(3, "> outside", sipText("SIP/2.0 200 OK", "a1", "1 INVITE")),
		traced(12, "< outside", sipText("BYE sip:600@example.com SIP/2.0", "b2", "7 BYE")),
		refused,
		traced(15, "< inside", bye),
		noted,
		traced(1500, "> outside", sipText("SIP/2.0 486 The user is in a very long meeting", "a1", "2 BYE")),
		traced(61234, "< outside", "GET /\x1b[2J\xff HTTP/1.1\n\n"),
	}
}

func TestLadder(t *testing.T) {
	for name, full := range map[string]bool{"ladder": false, "ladder-full": true} {
		var out strings.Builder
		l := &ladder{w: &out}
		l.heading()
		for i, m := range ladderStory() {
			line := lineOf(m, full)
			if i >= 6 {
				line.Dropped = 3
			}
			if err := l.add(line); err != nil {
				t.Fatal(err)
			}
		}
		golden(t, "testdata/"+name+".golden", out.String())
		for _, secret := range []string{"0123456789abcdef", `c\"n`, "WVNfX19", "sOme", "\x1b", "\xff"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%s shows %q", name, secret)
			}
		}
	}
}

// golden compares got with a file of testdata; with -update it writes the file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"Authorization: Digest response=\"ab\", cnonce=cd":      "Authorization: Digest response=(hidden), cnonce=(hidden)",
		"Authorization: Digest a=b,\r\n RESPONSE = \"a,b\",c=d": "Authorization: Digest a=b,\r\n RESPONSE = (hidden),c=d",
		"Authorization: Digest response=\"never ends":           "Authorization: Digest response=(hidden)",
		"Authentication-Info: rspauth=\"ab\"":                   "Authentication-Info: rspauth=(hidden)",
		"proxy-authorization : Basic YTpi\r\nA: b":              "proxy-authorization : Basic (hidden)\r\nA: b",
		"Subject: my response=good":                             "Subject: my response=(hidden)",
		"WWW-Authenticate: Digest nonce=\"n\", realm=\"r\"":     "WWW-Authenticate: Digest nonce=\"n\", realm=\"r\"",
		"a=crypto:1 AES inline:KEY|2^20|1:32\r\n":               "a=crypto:1 AES inline:(hidden)|2^20|1:32\r\n",
	} {
		if got := redact(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestLineOfHostileBytes cuts a message at every place and spoils every byte of it: there is always a line, of printable ASCII that
// fits its column.
func TestLineOfHostileBytes(t *testing.T) {
	whole := ladderStory()[0].Raw
	check := func(raw []byte) {
		t.Helper()
		var out strings.Builder
		l := &ladder{w: &out}
		if err := l.add(lineOf(proxy.Traced{Raw: raw}, true)); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
			if i := strings.IndexFunc(line, func(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }); i >= 0 {
				t.Fatalf("%q shows %q", raw, line)
			}
		}
		if arrow := strings.Split(out.String(), "\n")[1]; strings.Index(arrow, "||") != 11+arrowWidth {
			t.Fatalf("%q: %q", raw, arrow)
		}
	}
	for i := range whole {
		check(whole[:i])
		for _, c := range []byte{0, '\n', '\r', '"', '<', 0x1b, 0x80, 0xff} {
			spoiled := slices.Clone(whole)
			spoiled[i] = c
			check(spoiled)
		}
	}
}
