package topo

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/sip"
)

// marks are those of the tests: a network, a server in another one, and names.
func marks() *Marks {
	return NewMarks([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("2001:db8:7::/64")},
		[]string{"pbx.inside.example", "asterisk"}, []netip.Addr{netip.MustParseAddr("10.0.0.99")}, []string{"example.com"}, nil)
}

func newBodyMask(t testing.TB) *Mask {
	k := newMask(t)
	k.Veil = New(k.keys, Config{CallID: true, Domain: "example.com", Shown: []string{"trunk.example.net"}, Marks: marks(),
		Bodies: []string{"application/x-ours"}})
	return k
}

func notify(contentType, body string) string {
	return fmt.Sprintf("NOTIFY sip:bob@198.51.100.7 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@example.com>;tag=a\r\n"+
		"To: <sip:b@example.com>;tag=b\r\nCall-ID: %s\r\nCSeq: 1 NOTIFY\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", callID, contentType, len(body), body)
}

// bodyOut is text as its body leaves, and whether the body may.
func (k *Mask) bodyOut(t testing.TB, text string) (string, bool) {
	m := parse(t, text)
	var e sip.Edit
	e.Reset(m)
	l := leg()
	ok := k.BodyOut(&e, m, &l)
	return string(e.AppendTo(nil)), ok
}

func (k *Mask) bodyIn(t testing.TB, text string) string {
	m := parse(t, text)
	var e sip.Edit
	e.Reset(m)
	l := leg()
	k.BodyIn(&e, m, &l)
	return string(e.AppendTo(nil))
}

const dialogInfo = `<?xml version="1.0"?>
<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="1" state="full" entity="sip:alice@10.0.0.10:5080">
 <dialog id="1" call-id="a&amp;b@10.0.0.10" local-tag="1" remote-tag="2" direction="recipient">
  <replaces call-id='old@pbx.inside.example' local-tag="x" remote-tag="y"/>
  <local><identity display="A">sip:alice@pbx.inside.example</identity><target uri="sip:alice@10.0.0.10:5080;a=1?x=1&amp;y=2"/></local>
  <remote><identity>sip:carol@trunk.example.net</identity></remote>
 </dialog><!-- written at 10.0.0.10:8080, [2001:db8:7::1]:5060 and asterisk -->
</dialog-info>
`

const fragment = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2\r\nCall-ID: abc@10.0.0.10\r\nContact: <sip:x@10.0.0.10:5080>\r\n" +
	"To: <sip:bob@pbx.inside.example>;tag=2\r\nServer: SecretPBX\r\n"

func TestKnownBodiesLeaveRewrittenAndComeBack(t *testing.T) {
	k := newBodyMask(t)
	out, ok := k.bodyOut(t, notify("application/dialog-info+xml", dialogInfo))
	if !ok || strings.Contains(out, "10.0.0") || strings.Contains(out, "inside.example") || strings.Contains(out, "db8:7") || strings.Contains(out, "8080") {
		t.Errorf("%t:\n%s", ok, out)
	}
	for _, want := range []string{`entity="sip:alice@example.com"`, `local-tag="1"`, "sip:carol@trunk.example.net", "example.com, example.com and asterisk",
		"?x=1&amp;y=2\"/>", "</dialog-info>\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	back := k.bodyIn(t, out)
	for _, want := range []string{`call-id="a&amp;b@10.0.0.10"`, `call-id='old@pbx.inside.example'`, `uri="sip:alice@10.0.0.10:5080;a=1?x=1&amp;y=2"`} {
		if !strings.Contains(back, want) {
			t.Errorf("%q did not come back:\n%s", want, back)
		}
	}

	out, ok = k.bodyOut(t, notify("Message/SipFrag;version=2.0", fragment))
	if !ok || strings.Contains(out, "10.0.0") || strings.Contains(out, "inside") || strings.Contains(out, "Secret") || strings.Contains(out, "abc") {
		t.Errorf("%t:\n%s", ok, out)
	}
	back = k.bodyIn(t, out)
	for _, want := range []string{"\r\n\r\nSIP/2.0 200 OK\r\nCall-ID: abc@10.0.0.10\r\n", "\r\nContact: <sip:x@10.0.0.10:5080>\r\nTo: <sip:bob@example.com>;tag=2\r\n"} {
		if !strings.Contains(back, want) {
			t.Errorf("%q did not come back:\n%s", want, back)
		}
	}
}

// TestCallIDsInBodies: wherever a document holds a Call-ID it leaves as the token that stands for it everywhere, and comes back.
func TestCallIDsInBodies(t *testing.T) {
	k := newBodyMask(t)
	const id = "0123456789abcdef-pbx"
	key, _ := k.keys.Active()
	token := string(k.AppendCallID(nil, []byte(id), key))
	for _, c := range [][2]string{
		{"application/conference-info+xml", "<sip>\n<call-id>%s</call-id><from-tag>a</from-tag></sip>"},
		{"application/conference-info+xml", "<ci:call-id a='b'>\n %s </ci:call-id>"},
		{"application/dialog-info+xml", `<dialog id="%[1]s" call-id="%[1]s"/>`},
		{"application/dialog-info+xml", `<d:dialog local-tag="x" id = '%s'/>`},
		{"application/dialog-info+xml", `<dialog id="as7d900as8"/><x id="%.0sanother-id-which-is-long"/>`},
		{"application/reginfo+xml", `<contact callid="%s"/>`},
	} {
		out, ok := k.bodyOut(t, notify(c[0], fmt.Sprintf(c[1], id)))
		if want := fmt.Sprintf(c[1], token); !ok || !strings.HasSuffix(out, "\r\n\r\n"+want) {
			t.Errorf("%t %s\nwant %s", ok, out, want)
		}
		if back := k.bodyIn(t, out); !strings.HasSuffix(back, "\r\n\r\n"+fmt.Sprintf(c[1], id)) {
			t.Errorf("came back as %s", back)
		}
	}
}

// TestTokensAreNotToldInBodies: a token comes back as what it stands for only where one can stand. Elsewhere a proxy of the platform would send the URI
// on to who asks, of which the host alone is hidden.
func TestTokensAreNotToldInBodies(t *testing.T) {
	k, l := newBodyMask(t), leg()
	token := "sip:" + string(k.appendTarget(nil, []byte("sip:node-7@10.0.0.10:5080;x=y"), &l)) + "@203.0.113.5:5060"
	for _, c := range [][2]string{
		{"application/dialog-info+xml", "<identity>%s</identity>"},
		{"application/dialog-info+xml", `<dialog-info entity="%s"/>`},
		{"application/simple-message-summary", "Message-Account: %s\r\n"},
		{"message/sipfrag", "To: <%s>\r\n"},
	} {
		text := fmt.Sprintf(c[1], token)
		if back := k.bodyIn(t, notify(c[0], text)); !strings.HasSuffix(back, "\r\n\r\n"+text) {
			t.Errorf("%s", back)
		}
	}
}

// TestWaysInBodies: what tells of the ways inside, and what people are to read of a refusal, does not leave.
func TestWaysInBodies(t *testing.T) {
	k := newBodyMask(t)
	for _, c := range [][3]string{
		{"application/dialog-info+xml", "<local><d:route-set>\n<hop>sip:h1;lr</hop><hop>sip:h2;lr</hop></d:route-set ><x/></local>", "<local><x/></local>"},
		{"application/dialog-info+xml", "<local><session-description type='application/sdp'>o=x </session-description><route-set/></local>", "<local></local>"},
		{"application/dialog-info+xml", "<local><route-set><hop>sip:h1", "<local>"},
		{"application/dialog-info+xml", "<note>at 10&#46;0.0.&#x31;</note>", ""},
		{"application/dialog-info+xml", "<note>10.0.0.1, M&#252;ller</note>", "<note>example.com, M&#252;ller</note>"},
		{"message/sipfrag", "SIP/2.0 486 Busy Here\r\nReason: Q.850 ; cause=17;text=\"pbx; seven\", SIP;cause=1\r\n folded\r\nCSeq: 1 INVITE\r\n",
			"SIP/2.0 486 Busy Here\r\nReason: Q.850;cause=17\r\nCSeq: 1 INVITE\r\n"},
		{"message/sipfrag", "Reason: SIP;text=x\r\n", "Reason: SIP\r\n"},
		{"message/sipfrag", "CSeq: 1 INVITE\r\nCall-ID:\r\n secret@node9\r\nTo: <sip:a@b>\r\n", "CSeq: 1 INVITE\r\nCall-ID:\r\nTo: <sip:a@example.com>\r\n"},
		{"application/pidf+xml", "<presence entity='pres:a@node9:1'><contact>im:a@node9</contact><note>I'm: a@b</note></presence>",
			"<presence entity='pres:a@example.com'><contact>im:a@example.com</contact><note>I'm: a@b</note></presence>"},
		{"application/dialog-info+xml", "<identity>sip:a@node9;maddr=node8;user=phone</identity><identity><![CDATA[sip:a@node9]]></identity>",
			"<identity>sip:a@example.com;user=phone</identity><identity><![CDATA[sip:a@example.com]]></identity>"},
	} {
		out, ok := k.bodyOut(t, notify(c[0], c[1]))
		if _, body, _ := strings.Cut(out, "\r\n\r\n"); body != c[2] || ok != (c[2] != "") {
			t.Errorf("%t %q, want %q", ok, body, c[2])
		}
	}
}

// TestBodiesByType: what leaves as it is, what leaves without marks, and what does not leave.
func TestBodiesByType(t *testing.T) {
	k := newBodyMask(t)
	for _, c := range []struct{ contentType, body, want string }{ // want "": taken out
		{"application/sdp", "c=IN IP4 10.0.0.10\r\n", "c=IN IP4 10.0.0.10\r\n"},
		{"text/plain;charset=utf-8", "call me at sip:joe@elsewhere.org, not 10.0.0.10:5060!", "call me at sip:joe@elsewhere.org, not example.com!"},
		{"text/plain", "10.0.0.99, 10.0.1.10, 110.0.0.1, 10.0.0.1.5 and x.example.com", "10.0.0.99, 10.0.1.10, 110.0.0.1, 10.0.0.1.5 and x.example.com"},
		{"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "Signal=5\r\nDuration=160\r\n"},
		{"application/simple-message-summary", "Messages-Waiting: yes\r\nMessage-Account: sip:alice@10.0.0.10\r\n", "Messages-Waiting: yes\r\nMessage-Account: sip:alice@example.com\r\n"},
		{"application/x-unknown", "harmless", ""},
		{"application/x-ours", "harmless", "harmless"},
		{"application/x-ours", "at 10.0.0.10", ""},
		{"text/plain", "a\x00b", ""},
		{"text/plain", "10.0.0.pBX.inside.eXAmple", "10.0.0.example.com"},
		{"text/plain", "10.0.0.12001:db8:7::1", ""}, // the domain in the place of one mark leaves another one before it
		{"application/pidf+xml", "<contact>sip:b@trunk.example.net</contact>", "<contact>sip:b@trunk.example.net</contact>"},
		{"multipart/mixed", "no boundary", ""},
		{"multipart/mixed;boundary=10.0.0.1;x=y", "--10.0.0.1\r\n\r\nx\r\n--10.0.0.1--", "--b1\r\n\r\nx\r\n--b1--\r\n"},
		{`multipart/mixed;boundary="b1"`, "preamble\r\n--b1\r\nContent-Type: application/sdp\r\nX-Host: 10.0.0.1\r\n\r\nv=0\r\n\r\n--b1\r\nContent-Type: application/isup\r\n\r\nx\r\n" +
			"--b1 \r\nContent-Type: text/plain\r\nContent-ID: <1@10.0.0.1>\r\n\r\n10.0.0.1\r\n--b1\r\n\r\nplain\r\n--b1--\r\nepilogue",
			"--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b1\r\nContent-Type: text/plain\r\nContent-ID: <1@example.com>\r\n\r\nexample.com\r\n--b1\r\n\r\nplain\r\n--b1--\r\n"},
		{"multipart/mixed;boundary=b", "--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nMTAuMC4wLjE=\r\n--b--", ""},
		{"multipart/mixed;boundary=b", "--b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n--c--\r\n--b--", ""},
		{"multipart/mixed;boundary=b", strings.Repeat("--b\r\n\r\nx\r\n", maxParts+1) + "--b--", ""},
	} {
		out, ok := k.bodyOut(t, notify(c.contentType, c.body))
		head, body, _ := strings.Cut(out, "\r\n\r\n")
		if strings.Contains(head, "\r\nContent-Type: multipart/") {
			head, body = knownBoundary(head, body)
		}
		if ok != (c.want != "") || body != c.want {
			t.Errorf("%s: %t %q\nwant %q", c.contentType, ok, body, c.want)
		}
		if !ok && strings.Contains(head, "Content-Type") || !strings.Contains(head, fmt.Sprintf("\r\nContent-Length: %d", len(body))) {
			t.Errorf("%s", head)
		}
	}
}

// knownBoundary is head and body with "b1" for the boundary that ours is.
func knownBoundary(head, body string) (string, string) {
	_, ours, _ := strings.Cut(head, "boundary=")
	ours = strings.TrimPrefix(ours, `"`)[:8]
	head = strings.Replace(head, fmt.Sprintf("Content-Length: %d", len(body)), fmt.Sprintf("Content-Length: %d", len(body)-6*strings.Count(body, ours)), 1)
	return strings.ReplaceAll(head, ours, "b1"), strings.ReplaceAll(body, ours, "b1")
}

// TestPartsNameNobody: boundaries are made of products, clocks and counts, and parts may say where they come from.
func TestPartsNameNobody(t *testing.T) {
	k := newBodyMask(t)
	for _, boundary := range []string{"sonus-content-delim", `"=_Part.17 1764000000;"`, " mark ; x=y", "sonus-content-delim"} {
		bare := strings.Trim(strings.TrimSuffix(strings.TrimSpace(boundary), " ; x=y"), `"`)
		if strings.Contains(bare, ";") { // which no reader here takes for a boundary: nothing of it leaves
			bare = "=_Part.17 1764000000;"
		}
		out, ok := k.bodyOut(t, notify("multipart/mixed;boundary="+boundary, "--"+bare+"\r\nContent-Type: text/plain\r\nContent-Description: mark\r\nContent-Location: http://mark/\r\n"+
			"Content-Disposition: render\r\n\r\nx\r\n--"+bare+"--"))
		_, body, _ := strings.Cut(out, "\r\n\r\n")
		if strings.Contains(out, bare) || strings.Contains(out, "mark") || ok != (body != "") || ok && !strings.Contains(body, "Content-Disposition: render\r\n\r\nx\r\n") {
			t.Errorf("%s: %t %s", boundary, ok, out)
		}
	}
}

func TestEncodedBodyStays(t *testing.T) {
	k := newBodyMask(t)
	text := strings.Replace(notify("text/plain", "x"), "Content-Type", "MIME-Version: 1.0\r\nContent-Disposition: render\r\nContent-Encoding: gzip\r\nContent-ID: <1@10.0.0.1>\r\nContent-Type", 1)
	if out, ok := k.bodyOut(t, text); ok || strings.Contains(out, "MIME") || strings.Contains(out, "Content-E") || strings.Contains(out, "Content-I") || strings.Contains(out, "Content-D") {
		t.Errorf("%t %s", ok, out)
	}
}

func TestFind(t *testing.T) {
	m := marks()
	for text, want := range map[string]string{
		"x 10.0.0.7;y": "10.0.0.7", "10.0.0.7": "10.0.0.7", "a@10.0.0.7:5060": "10.0.0.7", "v=4.10.0.0.7": "", "10.0.0.256": "", "10.0.0.70.1": "",
		"10.0.0.7.": "10.0.0.7", "310.0.0.7": "", "id-10.0.0.7-x": "10.0.0.7", "10.0.0": "", "10.0.0.": "", "10.0.0.99": "",
		"[2001:db8:7::1]:5060": "2001:db8:7::1", "2001:DB8:7:0:0:0:0:1": "2001:DB8:7:0:0:0:0:1", "2001:db8:8::1": "", "at 2001:db8:7::.": "2001:db8:7::",
		"12:34:56:78": "", "::ffff:10.0.0.7": "::ffff:10.0.0.7", "12:34:56:10.0.0.7": "10.0.0.7", "64:ff9b::10.0.0.7:5060": "10.0.0.7", "1:2:310.0.0.7": "",
		"PBX.Inside.Example": "PBX.Inside.Example", "x.pbx.inside.example": "pbx.inside.example", "pbx.inside.example.org": "", "xpbx.inside.example": "",
		"pbx.inside.example.": "pbx.inside.example", "asterisk": "", "sip:asterisk:5060": "asterisk", "a@asterisk>": "asterisk", "//asterisk/": "asterisk",
		"a%4010.0.0.7": "10.0.0.7", "%2210.0.0.7%22": "10.0.0.7", "%2F10.0.0.7": "10.0.0.7", "%410.0.0.7": "", "%310.0.0.71": "", "22%210.0.0.7": "", "%20pbx.inside.example": "pbx.inside.example",
		"a%40asterisk": "asterisk", "node.10.0.0.7": "10.0.0.7", "4.10.0.0.7": "", ".10.0.0.7": "10.0.0.7",
		"a@asterisks": "", "": "", ":": "", "::": "",
	} {
		at, end := m.Find([]byte(text), 0)
		if got := text[at:end]; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestFindShown: addresses of ours outside are no marks wherever they lie in a network inside, and names may begin with numbers.
func TestFindShown(t *testing.T) {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	m := NewMarks([]netip.Prefix{prefix("10.0.0.9/8"), prefix("10.1.0.0/16"), prefix("11.0.0.0/31"), prefix("255.255.255.255/32")}, []string{"0.7.example", "7.example"},
		[]netip.Addr{addr("10.0.0.0"), addr("10.1.1.1"), addr("10.255.255.255"), addr("11.0.0.0"), addr("::ffff:11.0.0.1")}, nil, nil)
	for text, want := range map[string]string{
		"10.0.0.0": "", "10.0.0.1": "10.0.0.1", "10.1.1.0": "10.1.1.0", "10.1.1.1": "", "10.1.1.2": "10.1.1.2", "10.255.255.254": "10.255.255.254", "10.255.255.255": "",
		"11.0.0.0 11.0.0.1 11.0.0.2 9.255.255.255": "", "255.255.255.255": "255.255.255.255", "0.0.0.0": "",
		"192.0.0.7.example": "0.7.example", "192.0.2.7.example": "7.example", "192.0.2.17.example": "", "192.0.2.1 10.2.3.4": "10.2.3.4",
	} {
		at, end := m.Find([]byte(text), 0)
		if got := text[at:end]; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestLearn(t *testing.T) {
	m := marks()
	for _, host := range []string{"172.17.0.2", "node7.local", "203.0.113.9", "x1.invalid", "single", "[fd00::7]", "10.0.0.99", "Example.com", ""} {
		m.Learn([]byte(host))
	}
	m = NewMarks(nil, nil, nil, nil, m) // what was learnt lives on, what was configured does not
	for text, want := range map[string]bool{"172.17.0.2": true, "NODE7.local": true, "203.0.113.9": false, "a@x1.invalid": false, "a@single": false, "fd00::7": true, "example.com": false,
		"10.0.0.99": false, "10.0.0.7": false, "pbx.inside.example": false} {
		if _, end := m.Find([]byte(text), 0); (end > 0) != want {
			t.Errorf("%s: a mark is %t", text, end > 0)
		}
	}
	for i := range 2 * maxLearnt {
		m.Learn(fmt.Appendf(nil, "host%d.local", i))
	}
	if x := m.now.Load(); len(x.names)+len(x.addrs) != maxLearnt {
		t.Errorf("%d names and %d addresses are learnt", len(x.names), len(x.addrs))
	}
}

// FuzzBody lets any body of each kind out and back in: nothing panics, and no mark leaves.
func FuzzBody(f *testing.F) {
	f.Add("application/dialog-info+xml", dialogInfo)
	f.Add("message/sipfrag", fragment)
	f.Add("text/plain", "10.0.0.1 [2001:db8:7::1]:5060 pbx.inside.example")
	f.Add("multipart/mixed;boundary=b", "--b\r\nContent-Type: text/plain\r\n\r\n10.0.0.1\r\n--b--")
	f.Add("application/x-ours", "x")
	f.Add("text/plain", "10.0.0.pBX.inside.eXAmple")
	f.Add("text/plain", "10.0.0.12001:db8:7::1")
	k := newBodyMask(f)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		var m sip.Message
		text := notify(contentType, body)
		if m.Parse([]byte(text), true) != nil || m.Body.Len() == 0 {
			return
		}
		var e sip.Edit
		e.Reset(&m)
		l := leg()
		k.BodyOut(&e, &m, &l)
		out := e.AppendTo(nil)
		var left sip.Message
		if err := left.Parse(out, true); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		if kind, _ := k.kindOf(left.Value(sip.FieldContentType)); kind == bodyText || kind == bodyOther {
			body := left.Body.Of(out)
			if at, end := k.cfg.Marks.Find(body, 0); end > 0 {
				t.Fatalf("%q leaves in %q", body[at:end], out)
			}
		}
		e.Reset(&left)
		k.BodyIn(&e, &left, &l)
		if err := m.Parse(e.AppendTo(nil), true); err != nil {
			t.Fatalf("back: %v", err)
		}
	})
}

// TestPartsIn: what parts name is put right on the way in, and nothing else is touched, not a byte.
func TestPartsIn(t *testing.T) {
	k := newBodyMask(t)
	part := func(contentType, body string) string {
		return "Content-Type: " + contentType + "\r\nContent-ID: <1@x>\r\n\r\n" + body
	}
	whole := func(parts ...string) string {
		return "preamble\r\n--b \r\n" + strings.Join(parts, "\r\n--b\r\n") + "\r\n--b--\r\nepilogue"
	}
	out, ok := k.bodyOut(t, notify("application/dialog-info+xml", dialogInfo))
	_, hidden, _ := strings.Cut(out, "\r\n\r\n")
	back := k.bodyIn(t, notify("application/dialog-info+xml", hidden))
	_, shown, _ := strings.Cut(back, "\r\n\r\n")
	if !ok || hidden == shown || !strings.Contains(shown, "a&amp;b@10.0.0.10") {
		t.Fatalf("alone it comes back as %s", shown)
	}
	text := part("text/plain", hidden)
	for _, c := range []struct{ name, came, want string }{
		{"first", whole(part("application/dialog-info+xml", hidden), text), whole(part("application/dialog-info+xml", shown), text)},
		{"last", whole(text, text, part("Application/Dialog-Info+XML;x=y", hidden)), whole(text, text, part("Application/Dialog-Info+XML;x=y", shown))},
		{"no preamble", "--b\r\n" + part("application/dialog-info+xml", hidden) + "\r\n--b--", "--b\r\n" + part("application/dialog-info+xml", shown) + "\r\n--b--"},
		{"no end", "--b\r\n" + part("application/dialog-info+xml", hidden), ""},
		{"no such boundary", strings.ReplaceAll(whole(part("application/dialog-info+xml", hidden)), "--b", "--c"), ""},
		{"encoded", whole("Content-Transfer-Encoding: base64\r\n" + part("application/dialog-info+xml", hidden)), ""},
		{"folded", whole("Content-Description: x\r\n y\r\n" + part("application/dialog-info+xml", hidden)), ""},
		{"empty parts", "--b\r\n\r\n--b\r\n--b\r\n\r\n\r\n--b--\r\n", ""},
		{"too many", "--b\r\n" + strings.Repeat("\r\n--b", maxParts) + "\r\n" + part("application/dialog-info+xml", hidden) + "\r\n--b--", ""},
	} {
		if c.want == "" {
			c.want = c.came
		}
		back := k.bodyIn(t, notify("multipart/mixed;boundary=b", c.came))
		if _, got, _ := strings.Cut(back, "\r\n\r\n"); got != c.want {
			t.Errorf("%s: %q\ninstead of %q", c.name, got, c.want)
		}
	}
}
