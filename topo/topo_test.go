package topo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newMask(t testing.TB) *Mask {
	t.Helper()
	keys, err := seal.Open(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return &Mask{Veil: New(keys, Config{CallID: true, Domain: "example.com", Shown: []string{"trunk.example.net"}})}
}

func parse(t testing.TB, text string) *sip.Message {
	t.Helper()
	var m sip.Message
	if err := m.Parse([]byte(text), true); err != nil {
		t.Fatalf("%v at %d:\n%s", err, m.ErrorAt(), text)
	}
	return &m
}

// outward is text as it leaves.
func (k *Mask) outward(t testing.TB, text string, leg Leg) string {
	m := parse(t, text)
	var e sip.Edit
	e.Reset(m)
	k.Outward(&e, m, &leg)
	return string(e.AppendTo(nil))
}

func (k *Mask) inward(t testing.TB, text string, leg Leg) string {
	m := parse(t, text)
	var e sip.Edit
	e.Reset(m)
	k.Inward(&e, m, &leg)
	return string(e.AppendTo(nil))
}

const callID = "5f1c0f6e-8a3b-4c1d-9e2f-0a1b2c3d4e5f"

func leg() Leg {
	return Leg{Edge: []byte("203.0.113.5:5060"), CallID: []byte(callID), Masked: true, Parties: true, At: epoch}
}

const refer = "REFER sip:bob@198.51.100.7 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\n" +
	"From: \"Alice\" <sip:alice@pbx.inside.example:5080;x=y>;tag=a\r\nTo: <sip:bob@10.0.0.10>;tag=b\r\nCall-ID: " + callID + "\r\nCSeq: 1 REFER\r\n" +
	"Contact: \"pbx7\" <sip:alice@10.0.0.10:5080;ob>;+sip.instance=\"<urn:uuid:1>\";isfocus;expires=60, <sips:x@pbx.inside.example>\r\n" +
	"Refer-To: <sip:carol@10.0.0.11:5060;method=INVITE?Replaces=abc%4010.0.0.11%3Bto-tag%3D1%3Bfrom-tag%3D2&Require=replaces>\r\n" +
	"Referred-By: <sip:alice@10.0.0.10>;cid=\"x\"\r\nReplaces: abc@10.0.0.11;to-tag=1;from-tag=2\r\nTarget-Dialog: abc@10.0.0.11 ;local-tag=1;remote-tag=2\r\n" +
	"In-Reply-To: one@10.0.0.1, two@10.0.0.2\r\nReply-To: <sip:alice@10.0.0.10>\r\nContent-Length: 0\r\n\r\n"

func TestOutwardNamesNothingInside(t *testing.T) {
	k := newMask(t)
	out := k.outward(t, refer, leg())
	out = strings.Replace(out, "Via: SIP/2.0/UDP 10.0.0.1;", "", 1) // proxy's
	for _, mark := range []string{"10.0.0", "inside.example", callID, "pbx7", "urn:uuid", "5080"} {
		if strings.Contains(out, mark) {
			t.Errorf("%s leaves:\n%s", mark, out)
		}
	}
	for _, want := range []string{"From: \"Alice\" <sip:alice@example.com>;tag=a\r\n", "To: <sip:bob@example.com>;tag=b\r\n",
		";isfocus;expires=60, <sips:", ";method=INVITE?Replaces=", "%3Bto-tag%3D1%3Bfrom-tag%3D2&Require=replaces>", ";to-tag=1;from-tag=2\r\n",
		"Referred-By: <sip:alice@example.com>\r\n", "Reply-To: <sip:alice@example.com>\r\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
}

// TestInwardUndoesOutward: what outside repeats of what it saw means inside what was meant.
func TestInwardUndoesOutward(t *testing.T) {
	k := newMask(t)
	back := k.inward(t, k.outward(t, refer, leg()), leg())
	for _, id := range []string{"Call-ID", "Replaces", "Target-Dialog", "In-Reply-To"} {
		if a, b := line(refer, id), line(back, id); a != b {
			t.Errorf("%q came back as %q", a, b)
		}
	}
	want := "Refer-To: <sip:carol@10.0.0.11:5060;method=INVITE?Replaces=abc%4010.0.0.11%3Bto-tag%3D1%3Bfrom-tag%3D2&Require=replaces>"
	if got := line(back, "Refer-To"); got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func line(text, name string) string {
	_, after, _ := strings.Cut(text, "\r\n"+name+":")
	value, _, _ := strings.Cut(after, "\r\n")
	return name + ":" + value
}

// TestUnlinkable: tokens of two dialogs share nothing, and one dialog shows one token.
func TestUnlinkable(t *testing.T) {
	k := newMask(t)
	one, again, other := leg(), leg(), leg()
	other.CallID = []byte("another")
	again.At = epoch.Add(time.Hour)
	uri := []byte("sip:alice@10.0.0.10:5080")
	a, b, c := k.appendTarget(nil, uri, &one), k.appendTarget(nil, uri, &again), k.appendTarget(nil, uri, &other)
	if !bytes.Equal(a, b) {
		t.Errorf("one dialog shows %s and %s", a, b)
	}
	if shared := common(a[2:], c[2:]); shared > 6 {
		t.Errorf("%s and %s share %d characters", a, c, shared)
	}
	if got, err := k.Target(nil, a, epoch.Add(30*24*time.Hour)); err != nil || !bytes.Equal(got, uri) {
		t.Errorf("a token of 30 days: %v", err)
	}
	for _, token := range [][]byte{a, k.appendEarlierTarget(uri, &one)} {
		if got, err := k.Target(nil, token, epoch.Add(50*24*time.Hour)); err != ErrExpired || got != nil {
			t.Errorf("a token of 50 days: %v", err)
		}
	}
}

// appendEarlierTarget is the token that was made for uri before 2026-11-23.
func (k *Mask) appendEarlierTarget(uri []byte, leg *Leg) []byte {
	salt := k.keys.ID("topo target", leg.CallID, nil, nil)
	plain := binary.BigEndian.AppendUint16(append([]byte(nil), salt[:saltLen]...), weekOf(leg.At))
	return k.earlier.Seal(nil, appendPacked(plain, uri))
}

// TestEntityTags: what servers make of their uptime and a count leaves sealed, and comes back.
func TestEntityTags(t *testing.T) {
	k := newMask(t)
	const etag = "a.1764000000.1234.7.0"
	out := k.outward(t, strings.Replace(refer, "\r\nContent-Length:", "\r\nSIP-ETag: "+etag+"\r\nContent-Length:", 1), leg())
	shown := line(out, "SIP-ETag")
	if strings.Contains(out, "1764000000") || len(shown) < len(etag) {
		t.Errorf("it leaves as %q", shown)
	}
	for _, name := range []string{"SIP-If-Match", "Suppress-If-Match"} {
		for _, value := range []string{etag, "*", "of-another"} {
			said := value
			if value == etag {
				said = strings.TrimPrefix(shown, "SIP-ETag: ")
			}
			back := k.inward(t, strings.Replace(refer, "\r\nContent-Length:", "\r\n"+name+": "+said+"\r\nContent-Length:", 1), leg())
			if got := line(back, name); got != name+": "+value {
				t.Errorf("%q came back as %q", value, got)
			}
		}
	}
}

// TestEntityTagsOfOutside: inside knows them as tokens, by which it is told whose an entity-tag is that goes out again.
func TestEntityTagsOfOutside(t *testing.T) {
	k := newMask(t)
	with := func(name, value string) string {
		return strings.Replace(refer, "\r\nContent-Length:", "\r\n"+name+": "+value+"\r\nContent-Length:", 1)
	}
	value := func(text, name string) string { return strings.TrimPrefix(line(text, name), name+": ") }
	known := value(k.inward(t, with("SIP-ETag", "of-a-phone"), leg()), "SIP-ETag")
	m := parse(t, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 PUBLISH\r\nsip-etag: of-a-phone\r\n\r\n")
	var e sip.Edit
	e.Reset(m)
	k.Returned(&e, m, &Leg{At: epoch})
	if again := value(string(e.AppendTo(nil)), "sip-etag"); again != known || known == "of-a-phone" {
		t.Errorf("in a request %q, in a response %q", known, again)
	}
	for _, name := range []string{"SIP-If-Match", "Suppress-If-Match"} {
		if back := value(k.outward(t, with(name, known), leg()), name); back != "of-a-phone" {
			t.Errorf("%s comes back as %q", name, back)
		}
		if any := value(k.outward(t, with(name, "*"), leg()), name); any != "*" {
			t.Errorf("%s: * becomes %q", name, any)
		}
		const inside = "a.1764000000.1234.7.0"
		sealed := value(k.outward(t, with(name, inside), leg()), name)
		if strings.Contains(sealed, "1764") || value(k.inward(t, with("SIP-ETag", sealed), leg()), "SIP-ETag") != inside {
			t.Errorf("%s of inside leaves as %q", name, sealed)
		}
	}
}

// TestSaltIsSecret: Call-IDs of one FNV-1a hash, which callers can choose, do not make tokens equal.
func TestSaltIsSecret(t *testing.T) {
	k := newMask(t)
	one, other := leg(), leg()
	one.CallID, other.CallID = []byte("costarring"), []byte("liquid")
	uri := []byte("sip:alice@10.0.0.10:5080")
	if bytes.Equal(k.appendTarget(nil, uri, &one), k.appendTarget(nil, uri, &other)) {
		t.Error("the tokens are equal")
	}
}

// opens reports whether user stands for a URI.
func (k *Mask) opens(user []byte) bool {
	uri, err := k.Target(nil, user, epoch)
	return err == nil && len(uri) > 0
}

// TestTargetOrUser: an ordinary user is never taken for a token, and a token that was altered, cut or put together of two never for a user.
func TestTargetOrUser(t *testing.T) {
	k := newMask(t)
	l := leg()
	token, other := k.appendTarget(nil, []byte("sip:alice@10.0.0.10:5080"), &l), k.appendTarget(nil, []byte("sip:bob@10.0.0.11:5080"), &l)
	rapid.Check(t, func(t *rapid.T) {
		user := rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9+*#_~!-][a-zA-Z0-9._=+*-]{0,80}`), rapid.StringMatching(`[.]{1,2}[a-z]{1,17}`),
			rapid.SampledFrom([]string{"", ".", "..", string(token[1:]), string(token[2:]), "5f1c0f6e-8a3b-4c1d-9e2f-0a1b2c3d4e5f",
				"conference-room-of-the-engineering-department"})).Draw(t, "user")
		if got, err := k.Target(nil, []byte(user), epoch); err != nil || got != nil {
			t.Fatalf("the user %q: %q, %v", user, got, err)
		}
		at := rapid.IntRange(LeastTarget, min(len(token), len(other))-1).Draw(t, "at")
		altered := bytes.Clone(token)
		altered[at] ^= byte(1 + rapid.IntRange(0, 254).Draw(t, "by"))
		for _, bent := range [][]byte{altered, token[:at], append(bytes.Clone(token[:at]), other[at:]...), append(bytes.Clone(token), altered[at])} {
			if got, err := k.Target(nil, bent, epoch); err != ErrTarget && !bytes.Equal(bent, token) && !bytes.Equal(bent, other) {
				t.Fatalf("%s, made of %s: %q, %v", bent, token, got, err)
			}
		}
	})
}

// TestEarlierTargets: those of before 2026-11-23 stand for what they did.
func TestEarlierTargets(t *testing.T) {
	k := newMask(t)
	l := leg()
	for _, uri := range []string{"sip:alice@10.0.0.10:5080;ob", "sips:x@pbx.example", "tel:1"} {
		token := k.appendEarlierTarget([]byte(uri), &l)
		if got, err := k.Target(nil, token, epoch); err != nil || string(got) != uri {
			t.Errorf("%s came back as %q: %v", uri, got, err)
		}
		if got, err := k.Target(nil, append([]byte{TargetMark}, token...), epoch); err != ErrTarget || got != nil {
			t.Errorf("with a mark it is %q, %v", got, err)
		}
	}
}

// common is the length of the longest run of bytes that a and b share.
func common(a, b []byte) (n int) {
	for i := range a {
		for j := i + n + 1; j <= len(a) && bytes.Contains(b, a[i:j]); j++ {
			n = j - i
		}
	}
	return n
}

func TestTargetKeepsEveryURI(t *testing.T) {
	k := newMask(t)
	l := leg()
	for _, uri := range []string{"sip:a@10.0.0.1", "sip:10.0.0.1:05060", "sips:u;x=y@[2001:db8::1]:5061;transport=tls;lr?h=v", "sip:a:pw@10.0.0.1:1",
		"sip:[2001:DB8::1]", "tel:+49;ext=1", "sip:host.name:5060", "sip:" + strings.Repeat("u", 300) + "@10.0.0.1", "sip:%41@10.0.0.1;a"} {
		token := k.appendTarget(nil, []byte(uri), &l)
		got, err := k.Target(nil, token, epoch)
		if err != nil || string(got) != uri {
			t.Errorf("%s came back as %s", uri, got)
		}
		for i := range token {
			forged := bytes.Clone(token)
			forged[i] ^= 1
			if k.opens(forged) {
				t.Fatalf("%s: altered at %d it is taken", uri, i)
			}
		}
		if _, ok := k.CallID(nil, token); ok {
			t.Error("a target opens as a Call-ID")
		}
	}
}

// TestCallIDComesBack: any Call-ID, and the usual ones in fewer characters than they have.
func TestCallIDComesBack(t *testing.T) {
	k := newMask(t)
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.StringMatching(`[0-9a-f]{0,40}`), rapid.StringMatching(`[0-9A-Za-z_-]{1,70}`), rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`),
			rapid.StringMatching(`[!-~]{1,80}`)).Draw(t, "id")
		token := k.AppendCallID(nil, []byte(id), 'a')
		if got, ok := k.CallID(nil, token); !ok || string(got) != id {
			t.Fatalf("%s came back as %s", id, got)
		}
	})
	for id, most := range map[string]int{callID: 46, strings.Repeat("ab", 16): 46, "3c2670a0@10.0.0.1": 48, "DAYOBP2RZNM5K2QQ": 40} {
		if n := len(k.AppendCallID(nil, []byte(id), 'a')); n > most {
			t.Errorf("%s: %d characters", id, n)
		}
	}
}

// FuzzTarget packs and opens any URI, and no altered, cut, longer or mixed token.
func FuzzTarget(f *testing.F) {
	for i, uri := range []string{"sip:a@10.0.0.1:5060;x", "sips:[::1]", "sip:1.2.3.4:0", "tel:1", "", "sip:a@1.2.3.4:99999"} {
		f.Add([]byte(uri), uint(i*7), byte('x'))
	}
	k := newMask(f)
	l := leg()
	other := k.appendTarget(nil, []byte("sip:another@10.0.0.9"), &l)
	f.Fuzz(func(t *testing.T, uri []byte, at uint, c byte) {
		if len(uri) == 0 {
			return
		}
		token := k.appendTarget(nil, uri, &l)
		if got, err := k.Target(nil, token, epoch); err != nil || !bytes.Equal(got, uri) {
			t.Fatalf("%q came back as %q", uri, got)
		}
		refuseForged(t, token, other, at, c, k.opens)
		id := k.AppendCallID(nil, uri, 'a')
		if got, ok := k.CallID(nil, id); !ok || !bytes.Equal(got, uri) {
			t.Fatalf("the Call-ID %q came back as %q", uri, got)
		}
		if _, ok := k.CallID(nil, token); ok {
			t.Fatalf("the target %s is taken for a Call-ID", token)
		}
		refuseForged(t, id, token, at, c, func(b []byte) bool { _, ok := k.CallID(nil, b); return ok })
	})
}

// refuseForged wants nothing to be taken that is made of token by changing the byte at, cutting it there, or going on with another token.
func refuseForged(t *testing.T, token, other []byte, at uint, c byte, taken func([]byte) bool) {
	t.Helper()
	i := int(at % uint(len(token)))
	altered := bytes.Clone(token)
	altered[i] = c
	mixed := append(bytes.Clone(token[:i]), other[min(i, len(other)):]...)
	for _, forged := range [][]byte{altered, token[:i], append(bytes.Clone(token), c), mixed, append(bytes.Clone(other), token...)} {
		if !bytes.Equal(forged, token) && taken(forged) && !bytes.Equal(forged, other) {
			t.Fatalf("%s is taken, made of %s", forged, token)
		}
	}
}

// FuzzMask lets any message out and back in: nothing panics, what leaves is well formed, and dialogs come back.
func FuzzMask(f *testing.F) {
	f.Add([]byte(refer))
	f.Add([]byte(notify("application/dialog-info+xml", dialogInfo)))
	f.Add([]byte(notify("message/sipfrag", fragment)))
	k := newBodyMask(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, out sip.Message
		if m.Parse(b, true) != nil {
			return
		}
		l := leg()
		l.CallID = m.CallID.Of(b)
		var e sip.Edit
		e.Reset(&m)
		k.Outward(&e, &m, &l)
		k.BodyOut(&e, &m, &l)
		text := e.AppendTo(nil)
		if len(text) > 60_000 {
			return
		}
		if err := out.Parse(text, true); err != nil {
			t.Fatalf("%v at %d\n%q\n%q", err, out.ErrorAt(), b, text)
		}
		noMark(t, k, &out)
		contactsOpen(t, k, &m, &out)
		e.Reset(&out)
		k.Inward(&e, &out, &l)
		k.BodyIn(&e, &out, &l)
		text = e.AppendTo(nil)
		if err := m.Parse(text, true); err != nil {
			t.Fatalf("back: %v\n%q", err, text)
		}
		if got := m.CallID.Of(text); !bytes.Equal(got, l.CallID) {
			t.Fatalf("Call-ID %q came back as %q", l.CallID, got)
		}
	})
}

// TestParties: names, numbers and what they are called for stay, hosts and what else names servers goes.
func TestParties(t *testing.T) {
	k := newMask(t)
	for in, want := range map[string]string{
		"P-Asserted-Identity: \"A, B\" <sip:+49@10.0.0.1:5080;user=phone;maddr=10.0.0.2>, <tel:+49>":         "P-Asserted-Identity: \"A, B\" <sip:+49@example.com;user=phone>, <tel:+49>",
		"Diversion: <sip:desk@10.0.0.1>;reason=unconditional":                                                "Diversion: <sip:desk@example.com>;reason=unconditional",
		"History-Info: <sip:a@10.0.0.1;cause=302;x=y?Privacy=history>;index=1":                               "History-Info: <sip:a@example.com;cause=302?Privacy=history>;index=1",
		"P-Preferred-Identity: <tel:42;phone-context=pbx.inside.example;x=1>":                                "P-Preferred-Identity: <tel:42;phone-context=example.com;x=1>",
		"Remote-Party-ID: sip:a@10.0.0.1;party=calling":                                                      "Remote-Party-ID: sip:a@example.com;party=calling",
		"P-Called-Party-ID: <sip:a@TRUNK.example.net:5062;maddr=10.0.0.1>":                                   "P-Called-Party-ID: <sip:a@TRUNK.example.net:5062>",
		"Reply-To: <sip:a@10.0.0.1>;x=10.0.0.1, <sips:b@10.0.0.1>":                                           "Reply-To: <sip:a@example.com>, <sips:b@example.com>",
		"Referred-By: sip:a@10.0.0.1;cid=\"x@10.0.0.1\"":                                                     "Referred-By: sip:a@example.com",
		"Diversion: <urn:service:sos>":                                                                       "Diversion: <urn:service:sos>",
		"Diversion: <im:a@node9>":                                                                            "Diversion:",
		"Reply-To: <sip:a@b.example>, <https://node9/>":                                                      "Reply-To:",
		"History-Info: <sip:a@10.0.0.1?X=y&Reason=SIP%3Bcause%3D302%3Btext%3D%22by%20node9%22&Privacy=none>": "History-Info: <sip:a@example.com?Reason=SIP%3bcause%3d302&Privacy=none>",
	} {
		name, _, _ := strings.Cut(in, ":")
		text := strings.Replace(refer, "\r\n"+line(refer, name), "", 1)
		out := k.outward(t, strings.Replace(text, "\r\nContent-Length:", "\r\n"+in+"\r\nContent-Length:", 1), leg())
		if got := line(out, name); got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", in, got, want)
		}
	}
	out := k.outward(t, strings.Replace(refer, "\r\nContent-Length:", "\r\nDiversion: <sip:desk@10.0.0.1\r\nContent-Length:", 1), leg())
	if strings.Contains(out, "Diversion") {
		t.Errorf("what can't be read leaves:\n%s", out)
	}
}

// TestReferTo: whoever is meant, no name of a server leaves.
func TestReferTo(t *testing.T) {
	k := newBodyMask(t)
	for in, want := range map[string]string{ // "TOKEN": one of ours
		`"Carol, 10.0.0.7" <sip:carol@10.0.0.11>;x=node9`:                   `"Carol, example.com" <TOKEN>`,
		`<sip:carol@node9>, <sip:bob@node9>`:                                `<TOKEN>`,
		`"at 10.0.0.7" <tel:42;phone-context=node9.internal;ext=1>;x=node9`: `"at example.com" <tel:42;phone-context=example.com;ext=1>`,
		`tel:+49`:                             `<tel:+49>`,
		`<sip:carol@example.com;maddr=node9>`: `<TOKEN>`,
		`<sip:carol@trunk.example.net;node=9;method=BYE>`:                    `<TOKEN;method=BYE>`,
		`<sip:carol%4010.0.0.7@example.com>`:                                 `<TOKEN>`,
		`sip:carol@example.com`:                                              `<sip:carol@example.com>`,
		`<sip:c@trunk.example.net:5062;user=phone;GR=urn:uuid:1;method=BYE>`: `<sip:c@trunk.example.net:5062;user=phone;GR=urn:uuid:1;method=BYE>`,
		`<http://node9/>`:                                                    `<TOKEN>`,
	} {
		out := k.outward(t, strings.Replace(refer, line(refer, "Refer-To"), "Refer-To: "+in, 1), leg())
		got := strings.TrimPrefix(line(out, "Refer-To"), "Refer-To: ")
		if at := strings.Index(got, "sip:."); at >= 0 {
			got = got[:at] + "TOKEN" + got[strings.Index(got, "@203.0.113.5:5060")+len("@203.0.113.5:5060"):]
		}
		if got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", in, got, want)
		}
	}
}

// TestNamesOfParties: a person may be called what names the inside.
func TestNamesOfParties(t *testing.T) {
	k := newBodyMask(t)
	for in, want := range map[string]string{
		`From: "Desk at 10.0.0.7:5060" <sip:10.0.0.7@10.0.0.10>;tag=10.0.0.7`: `From: "Desk at example.com" <sip:example.com@example.com>;tag=10.0.0.7`,
		"To: pbx.inside.example <tel:+49>;tag=b":                              "To: example.com <tel:+49>;tag=b",
		"To: <pbx.inside.example:pbx.inside.example>;tag=b":                   "To: <pbx.inside.example:example.com>;tag=b",
		"Reply-To: \"10.0.0.1\" <sip:a@trunk.example.net>":                    "Reply-To: \"example.com\" <sip:a@trunk.example.net>",
	} {
		name, _, _ := strings.Cut(in, ":")
		out := k.outward(t, strings.Replace(refer, line(refer, name), in, 1), leg())
		if got := line(out, name); got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", in, got, want)
		}
	}
}

// contactsOpen wants each Contact of out, which is m as it left, to stand for that of m.
func contactsOpen(t *testing.T, k *Mask, m, out *sip.Message) {
	t.Helper()
	inside, outside := contacts(m), contacts(out)
	for i, uri := range outside {
		if len(outside) != len(inside) { // one that can't be read, or a star, took others with it
			return
		}
		u, err := sip.ParseURI(uri, sip.Span{End: uint32(len(uri))})
		if err != nil {
			t.Fatalf("Contact %q: %v", uri, err)
		}
		if got, err := k.Target(nil, u.User.Of(uri), epoch); err != nil || !bytes.Equal(got, inside[i]) {
			t.Fatalf("Contact %q left as %q, which stands for %q: %v", inside[i], uri, got, err)
		}
	}
}

// contacts are the URIs in the Contacts of m, as far as they can be read.
func contacts(m *sip.Message) (uris [][]byte) {
	for i := m.Find(sip.FieldContact); i >= 0; i = m.Next(sip.FieldContact, i) {
		for rest := m.Fields[i].Value; rest.Present(); {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil || a.Star {
				return nil
			}
			uris, rest = append(uris, a.URI.Of(m.Raw)), after
		}
	}
	return uris
}

// noMark wants no mark in the Call-ID and the URIs of Contacts of m, which left.
func noMark(t *testing.T, k *Mask, m *sip.Message) {
	t.Helper()
	look := func(s sip.Span) {
		if at, end := k.cfg.Marks.Find(s.Of(m.Raw), 0); end > 0 {
			t.Fatalf("%q leaves in %q", s.Of(m.Raw)[at:end], m.Raw)
		}
	}
	look(m.CallID)
	for i := m.Find(sip.FieldContact); i >= 0; i = m.Next(sip.FieldContact, i) {
		for rest := m.Fields[i].Value; rest.Present(); {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil {
				break
			}
			look(a.URI)
			rest = after
		}
	}
}

// sameFound wants Find to give what a look at each byte gives.
func sameFound(t *testing.T, m *Marks, text []byte) {
	t.Helper()
	x := m.now.Load()
	for from, n := 0, 0; n < 100; n++ {
		at, end := m.Find(text, from)
		if wantAt, wantEnd := x.findAny(text, from); at != wantAt || end != wantEnd {
			t.Fatalf("from %d of %q: %d to %d, not %d to %d", from, text, at, end, wantAt, wantEnd)
		}
		if from = end; end == 0 {
			return
		}
	}
}

// dottedMarks are such as only dots tell of; what a number may begin, too, if numbers.
func dottedMarks(numbers bool) *Marks {
	names := []string{"pbx.inside.example", "b-1.", "x._y"}
	if numbers {
		names = append(names, "7.inside.example")
	}
	return NewMarks([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("192.168.77.5/32"), netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("129.7.200.0/22")}, names, []netip.Addr{netip.MustParseAddr("10.0.0.9")}, nil, nil)
}

// TestFindNumbers: whatever address is looked at, in usual notation and with zeros before its numbers, at each place of a text.
func TestFindNumbers(t *testing.T) {
	m := dottedMarks(false)
	for i := range uint32(1 << 18) {
		four := i>>2<<16 | [...]uint32{0x0007, 0x4d05, 0xc801, i * 7919 & 0xffff}[i&3]
		for _, form := range []string{"<sip:%d.%d.%d.%d>", "%d.%03d.%02d.%d", "SIP/2.0 %03d.%02d.%d.%d", "\x80./.%d.%d.%d.%d./"} {
			sameFound(t, m, fmt.Appendf(nil, form, four>>24, four>>16&0xff, four>>8&0xff, four&0xff))
		}
	}
	text := []byte("sip:a@PBX.Inside.Example, 10.0.0.7.x, b-1.; x._Y")
	for n := range 20 {
		sameFound(t, m, append(make([]byte, n), text...))
	}
}

// FuzzFind looks for marks in anything: what is found is one, and of what stands alone between blanks nothing is missed.
func FuzzFind(f *testing.F) {
	for _, text := range []string{"10.0.0.7", "a@10.0.0.7:5060;x", "[2001:db8:7::1]:5060", "pbx.inside.example", "::10.0.0.1", "1.10.0.0.7", "2001:db8:7:::1"} {
		f.Add([]byte(text))
	}
	m := marks()
	x := m.now.Load()
	dotted, numbered := dottedMarks(false), dottedMarks(true)
	f.Fuzz(func(t *testing.T, text []byte) {
		sameFound(t, dotted, text)
		sameFound(t, numbered, text)
		for at, end := m.Find(text, 0); end > 0; at, end = m.Find(text, end) {
			mark := text[at:end]
			if a, err := netip.ParseAddr(string(mark)); err == nil && !x.marks(a.Unmap()) || err != nil && !sip.Spells(mark, strings.ToLower(string(mark))) {
				t.Fatalf("%q in %q is no mark", mark, text)
			}
			if end <= at {
				t.Fatalf("%d to %d", at, end)
			}
		}
		a, err := netip.ParseAddr(string(text))
		if err == nil && a.Zone() == "" && x.marks(a.Unmap()) || x.knows(text) {
			if _, end := m.Find(append(append([]byte("x "), text...), " y"...), 0); end == 0 {
				t.Fatalf("%q is missed", text)
			}
		}
	})
}

// TestEvent: one dialog that somebody watches.
func TestEvent(t *testing.T) {
	k := newMask(t)
	for _, event := range []string{`dialog;call-id="mark@10.0.0.1";from-tag=1`, "dialog ; from-tag=1; CALL-ID=mark@10.0.0.1", "dialog", "dialog;", "dialog;id=7"} {
		text := strings.Replace(refer, "\r\nContent-Length:", "\r\nEvent: "+event+"\r\nContent-Length:", 1)
		out := k.outward(t, text, leg())
		if strings.Contains(line(out, "Event"), "mark") || strings.Count(line(out, "Event"), `"`) != strings.Count(event, `"`) {
			t.Errorf("%s leaves as %s", event, line(out, "Event"))
		}
		if got := line(k.inward(t, out, leg()), "Event"); got != "Event: "+event {
			t.Errorf("%s comes back as %s", event, got)
		}
	}
}

// TestDialogParams: what names a dialog names nothing else.
func TestDialogParams(t *testing.T) {
	k := newMask(t)
	text := strings.Replace(refer, "Replaces: abc@10.0.0.11;to-tag=1;from-tag=2", "Replaces: abc@10.0.0.11 ; to-tag = 1;x=pbx;from-tag=2;pbx;early-only", 1)
	out := line(k.outward(t, text, leg()), "Replaces")
	if id, params, _ := strings.Cut(out, ";"); params != "to-tag = 1;from-tag=2;early-only" || strings.Contains(id, "abc") {
		t.Errorf("%s", out)
	}
}

// TestNoDialog: a field that is to name a dialog, and does not, ends here.
func TestNoDialog(t *testing.T) {
	k := newMask(t)
	for _, field := range []string{"Replaces:", "Replaces: ;to-tag=1;from-tag=2", "Join:", "Target-Dialog: ;local-tag=10.0.0.1"} {
		out := k.outward(t, strings.Replace(refer, "Replaces: abc@10.0.0.11;to-tag=1;from-tag=2\r\nTarget-Dialog: abc@10.0.0.11 ;local-tag=1;remote-tag=2", field, 1), leg())
		if name, _, _ := strings.Cut(field, ":"); strings.Contains(out, "\r\n"+name+":") {
			t.Errorf("%q leaves:\n%s", field, out)
		}
		k.inward(t, strings.Replace(out, "Content-Length: 0", field+"\r\nContent-Length: 0", 1), leg()) // comes to an end
	}
}
