package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestReferences(t *testing.T) {
	for text, want := range map[string]Reference{
		"/etc/key.pem": {File: "/etc/key.pem"}, "file:/etc/key.pem": {File: "/etc/key.pem"}, "file:env:X": {File: "env:X"},
		"env:TLS_KEY": {Env: "TLS_KEY"}, "env:_": {Env: "_"}, "key.pem": {File: "key.pem"},
	} {
		if got, err := parseReference(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "env:", "env:9A", "env:A-B", "env:A B", "env:" + strings.Repeat("A", 129), "file:", "keys/", "a\nb",
		"-----BEGIN PRIVATE KEY-----"} {
		if got, err := parseReference(text); err == nil {
			t.Errorf("%q was taken as %+v", text, got)
		}
	}
}

func TestSecret(t *testing.T) {
	c, err := Parse("f", []byte("tls: {certificate: c.pem,\n      key: env:RINGWALL_TEST_KEY}"))
	if err != nil {
		t.Fatal(err)
	}
	ref := c.TLS.Certificates[0].Key
	t.Setenv("RINGWALL_TEST_KEY", "hunter2")
	if got, err := c.Secret("tls.key", ref); got != "hunter2" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if said := fmt.Sprintf("%v %+v %#v", c.TLS, c.TLS, c.TLS); strings.Contains(said, "hunter2") {
		t.Errorf("the configuration shows a secret: %s", said)
	}
	t.Setenv("RINGWALL_TEST_KEY", "")
	if _, err := c.Secret("tls.key", ref); err == nil || !strings.Contains(err.Error(), "f:2:7: tls.key: the variable RINGWALL_TEST_KEY of the environment is empty") {
		t.Errorf("empty: %v", err)
	}
	ref.Env = "RINGWALL_TEST_NOT_SET"
	if _, err := c.Secret("tls.key", ref); err == nil || !strings.Contains(err.Error(), "has no variable RINGWALL_TEST_NOT_SET") {
		t.Errorf("not set: %v", err)
	}
}

// F28: whatever somebody does with a private key in the file, no message shows any of it.
func TestPastedKeysAreNotShown(t *testing.T) {
	const secret = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"
	block := []string{"-----BEGIN PRIVATE KEY-----", secret, secret + "==", "-----END PRIVATE KEY-----"}
	for _, text := range []string{
		"tls: {key: \"" + strings.Join(block, `\n`) + "\"}",
		"tls:\n  key: |\n    " + strings.Join(block, "\n    "),
		"tls:\n  key: " + strings.Join(block, "\n    "),
		"tls:\n  key: " + strings.Join(block, "\n"),
		"tls:\n  key:\n" + strings.Join(block, "\n"),
		"tls:\n  key: x\n    " + strings.Join(block, "\n    "),
		"tls:\n  - " + strings.Join(block, "\n  - "),
		strings.Join(block, "\n") + "\nmode: bad",
		"mode: bad\n" + strings.Join(block[:2], "\n"),
		"mode: \"" + strings.Join(block, " ") + "\"",
		"domains: [\"" + strings.Join(block, " ") + "\"]",
		"domains: \"" + strings.Join(block, " ") + "\"",
		"\"" + strings.Join(block, " ") + "\": x",
		"tls: {key: env:" + secret + "==, bogus: 1}",
		"tls: {key: \"env:" + secret + "/" + secret + "\"}",
	} {
		_, err := Parse("f", []byte(text))
		if err == nil {
			t.Errorf("taken: %s", text)
			continue
		}
		said := fmt.Sprintf("%v %+v %#v", err, err, err)
		if strings.Contains(said, secret[:4]) {
			t.Errorf("%s\nis told as\n%v", text, err)
		}
		if !strings.Contains(said, "not shown") && !strings.Contains(said, "block texts") {
			t.Errorf("%s: nothing says why the line is not shown: %v", text, err)
		}
	}
}

// A block of PEM text hides nothing but itself.
func TestMistakesBesidePastedKey(t *testing.T) {
	got := problems(t, "tls:\n  key: \"-----BEGIN X-----\n    AAA\n    -----END X-----\"\nmode: bad\n")
	if len(got) != 2 || !strings.HasPrefix(got[1], "5:7 mode: ") {
		t.Errorf("%q", got)
	}
}

func TestUpstreamIdentity(t *testing.T) {
	const rest = "\ninside: {listen: [tls:127.0.0.1:5071]}\ntls: {certificate: c, key: k}"
	c, err := Parse("f", []byte("upstreams: [{ca: env:CA, uri: 'sip:a;transport=tls', certificate: file:c.pem, key: k.pem, weight: 2}]"+rest))
	if err != nil {
		t.Fatal(err)
	}
	u := c.Upstreams[0]
	want := KeyPair{Reference{File: "c.pem"}, Reference{File: "k.pem"}}
	if u.Own != want || u.CA != (Reference{Env: "CA"}) || u.Host != "a" || u.Weight != 2 {
		t.Errorf("%+v", u)
	}
	other := *c
	other.Upstreams = []Upstream{u}
	other.Upstreams[0].CA.Env = "OTHER"
	if got := Changes(c, &other); !reflect.DeepEqual(got, []string{"upstreams"}) {
		t.Errorf("another authority changes %q", got)
	}
	for text, want := range map[string]string{
		"{uri: 'sip:127.0.0.1', ca: ca.pem}":                         "upstreams[0].ca: is for a server over TLS",
		"{uri: 'sip:127.0.0.1', certificate: c, key: k}":             "upstreams[0].key: is for a server over TLS",
		"{uri: 'sip:127.0.0.1;transport=tls', certificate: c.pem}":   "upstreams[0].certificate: stands alone | add key",
		"{uri: 'sip:127.0.0.1;transport=tls', key: c.pem}":           "upstreams[0].key: stands alone | add certificate",
		"{uri: 'sip:127.0.0.1;transport=tls', ca: [ca.pem]}":         "upstreams[0].ca: wants text, not a list",
		"{uri: 'sip:127.0.0.1;transport=tls', ca: 'env:not a name'}": "upstreams[0].ca: after env: stands no name",
	} {
		if got := problems(t, "upstreams: ["+text+"]"+strings.Replace(rest, "tls:127", "udp:127.0.0.1:5070, tls:127", 1)); !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
