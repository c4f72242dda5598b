package scrub

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/sip"
)

const reply = "SIP/2.0 486 Busy at mark\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\nTo: <sip:b@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n" +
	"Server: Secret\r\nWARNING: 399 mark \"mark\"\r\nRetry-After: 18 (mark)\r\nReason: Q.850;cause=17;text=\"mark\", SIP;cause=486, \"mark\";x, X-mark;cause=7\r\nTimestamp: 54\r\n" +
	"Alert-Info: <http://mark/ring.wav>\r\nX-Ticket: 7\r\nx-Mark: mark\r\nP-Asserted-Identity: <sip:a@mark>\r\nDate: Thu, 21 Feb 2002 13:02:03 GMT\r\n" +
	"Subject: mark\r\ns: mark\r\nOrganization: mark\r\nContent-Length: 0\r\n\r\n"

func outward(t *testing.T, cfg Config, text string, peer bool) string {
	t.Helper()
	var m sip.Message
	text = strings.Replace(text, "s: mark\r\n", "", 1)
	if err := m.Parse([]byte(text), true); err != nil {
		t.Fatal(err)
	}
	var e sip.Edit
	e.Reset(&m)
	New(cfg).Outward(&e, &m, peer)
	return string(e.AppendTo(nil))
}

func TestOutward(t *testing.T) {
	out := outward(t, Config{Allow: []string{"x-ticket"}}, reply, false)
	for _, gone := range []string{"mark", "Secret", "Date", "Alert", "Timestamp"} {
		if strings.Contains(out, gone) {
			t.Errorf("%s leaves: %s", gone, out)
		}
	}
	for _, stays := range []string{"X-Ticket: 7\r\n", "Retry-After: 18\r\n", "Reason: Q.850;cause=17, SIP;cause=486\r\n", "SIP/2.0 486 Busy Here\r\n", "From: <sip:a@b>;tag=1\r\n"} {
		if !strings.Contains(out, stays) {
			t.Errorf("no %q: %s", stays, out)
		}
	}
}

func TestPeersSeeIdentity(t *testing.T) {
	out := outward(t, Config{}, reply, true)
	if !strings.Contains(out, "P-Asserted-Identity") || !strings.Contains(out, "Date: ") || strings.Contains(out, "X-Ticket") {
		t.Errorf("%s", out)
	}
}

// TestOneFace: one Server in responses and one User-Agent in requests, wherever the platform's stood and if it had none.
func TestOneFace(t *testing.T) {
	cfg := Config{Server: "phone system"}
	for _, text := range []string{reply, strings.Replace(reply, "Server: Secret\r\n", "User-Agent: Secret\r\n", 1), strings.Replace(reply, "Server: Secret\r\n", "", 1)} {
		if out := outward(t, cfg, text, false); strings.Count(out, "Server: phone system\r\n") != 1 || strings.Contains(out, "Secret") {
			t.Errorf("%s", out)
		}
	}
	request := strings.Replace(reply, "SIP/2.0 486 Busy at mark", "INVITE sip:a@b SIP/2.0", 1)
	if out := outward(t, cfg, request, false); strings.Count(out, "User-Agent: phone system\r\n") != 1 || strings.Contains(out, "Secret") {
		t.Errorf("%s", out)
	}
}

// TestTrim: what stays of fields that everybody or peers may see.
func TestTrim(t *testing.T) {
	for in, want := range map[string]string{
		"Supported: timer, X-Mark,100rel":          "Supported: timer, 100rel",
		"Supported: timer,100rel":                  "Supported: timer,100rel",
		"Accept: text/x-mark, application/sdp;x=1": "Accept: application/sdp;x=1",
		"Accept: application/vnd.mark.digits, application/vnd.3gpp.ussd+xml, application/PRS.mark": "Accept: application/vnd.3gpp.ussd+xml",
		"Supported: 100rel, com.mark.firewall, timer":                                              "Supported: 100rel, timer",
		"Allow-Events: presence.winfo, mark.1, dialog":                                             "Allow-Events: presence.winfo, dialog",
		"Allow-Events: x-mark": "",
		`WWW-Authenticate: Digest domain="sip:mark, x",realm="a, b",qop="a,b",x-mark=1`:           `WWW-Authenticate: Digest realm="a, b", qop="a,b"`,
		`Proxy-Authenticate: Digest  realm="a",nonce="b" ,stale=FALSE`:                            `Proxy-Authenticate: Digest  realm="a",nonce="b" ,stale=FALSE`,
		`Proxy-Authenticate: Bearer authz_server="https://a"`:                                     `Proxy-Authenticate: Bearer authz_server="https://a"`,
		`Authentication-Info: nextnonce="n", mark="x", nc=1`:                                      `Authentication-Info: nextnonce="n", nc=1`,
		`Proxy-Authentication-Info: mark="x"`:                                                     "",
		"P-Charging-Vector: icid-value=a@10.0.0.1;icid-generated-at=10.0.0.1;orig-ioi=a.example":  "P-Charging-Vector: orig-ioi=a.example",
		"P-Charging-Vector: icid-value=1234abcd;orig-ioi=a":                                       "P-Charging-Vector: icid-value=1234abcd;orig-ioi=a",
		"WWW-Authenticate: Mark":                                                                  "",
		`WWW-Authenticate: Mark realm="a"`:                                                        "",
		"WWW-Authenticate: Negotiate":                                                             "WWW-Authenticate: Negotiate",
		"Accept-Encoding: gzip;q=0.5, mark, identity;mark, *":                                     "Accept-Encoding: gzip;q=0.5, *",
		"Accept-Language: en-gb;q=0.8, en-mark.example, mark":                                     "Accept-Language: en-gb;q=0.8",
		"Content-Language: zh-Hant-TW, en;q=1":                                                    "Content-Language: zh-Hant-TW, en;q=1",
		"Expires: 3600;mark":                                                                      "Expires: 3600",
		"Expires: Mark":                                                                           "",
		"Session-Expires: 90 ;refresher=uac":                                                      "Session-Expires: 90 ;refresher=uac",
		"Session-Expires: 90;refresher=mark;x=mark":                                               "Session-Expires: 90",
		"Content-Disposition: session; handling = optional":                                       "Content-Disposition: session; handling = optional",
		"Content-Disposition: session;handling=required;mark":                                     "Content-Disposition: session;handling=required",
		"Subscription-State: terminated;reason=noresource;retry-after=5;reason=mark;expires=mark": "Subscription-State: terminated;reason=noresource;retry-after=5",
		"Subscription-State: mark;expires=5":                                                      "",
		"Privacy: id;critical;mark":                                                               "Privacy: id;critical",
		"Priority: mark":                                                                          "",
		"Recv-Info: dtmf, g.3gpp.mid-call, x-mark, mark.example":                                  "Recv-Info: dtmf, g.3gpp.mid-call",
		"Request-Disposition: no-fork, mark":                                                      "Request-Disposition: no-fork",
		"P-Early-Media: sendrecv, mark":                                                           "P-Early-Media: sendrecv",
		"MIME-Version: 1.0 (mark)":                                                                "",
		"Content-ID: <a@10.0.0.1>":                                                                "",
	} {
		name, _, _ := strings.Cut(in, ":")
		out := outward(t, Config{}, strings.Replace(reply, "X-Ticket: 7\r\n", in+"\r\n", 1), true)
		got := ""
		for line := range strings.SplitSeq(out, "\r\n") {
			if strings.HasPrefix(line, name+":") {
				got = line
			}
		}
		if got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", in, got, want)
		}
	}
}

// FuzzPlain holds plain to what trimList finds: a list that is plain loses nothing.
func FuzzPlain(f *testing.F) {
	for _, list := range []string{"replaces, timer", "100rel,x-a", "a,,b", "a, ", " a , b c", "y-x, max", ",a", "X", "-a", "a\tb", "\xd8,\xfa"} {
		f.Add([]byte(list))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		if !plain(list) {
			return
		}
		for rest := list; len(rest) > 0; {
			var part []byte
			if part, rest = cutPart(rest, ','); !general(bytes.TrimSpace(part)) {
				t.Fatalf("%q of %q is not general", part, list)
			}
		}
	})
}
