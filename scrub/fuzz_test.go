package scrub

import (
	"bytes"
	"testing"

	"github.com/ringwall/ringwall/sip"
)

// FuzzOutward scrubs any message: what leaves can be read, has no field that its receiver may not see, and one face, and scrubbing it once
// more changes nothing.
func FuzzOutward(f *testing.F) {
	f.Add([]byte(reply), false)
	f.Add([]byte(reply), true)
	f.Add([]byte("NOTIFY sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\nt: <sip:b@b>;tag=2\r\ni: x\r\nCSeq: 1 NOTIFY\r\n"+
		"Subscription-State: active;expires=1;x;;\r\nSession-Expires: 90;refresher=uas;y\r\nPrivacy: id ; x\r\nAccept-Language: en ;q=1, x.y\r\nk: timer, x-mark\r\nu: dialog\r\nAccept: a/b, c/x-d\r\nAllow-Events: x, dialog\r\nWWW-Authenticate: Digest realm=\"a,b\", x=\"\\\"\", qop=\"auth\"\r\n\r\n"), false)
	p := New(Config{Server: "phone system", Allow: []string{"x-ticket"}})
	f.Fuzz(func(t *testing.T, b []byte, peer bool) {
		var m, out sip.Message
		if m.Parse(b, true) != nil {
			return
		}
		var e sip.Edit
		e.Reset(&m)
		p.Outward(&e, &m, peer)
		text := e.AppendTo(nil)
		if len(text) > 60_000 {
			return
		}
		if err := out.Parse(text, true); err != nil {
			t.Fatalf("%v at %d\n%q\n%q", err, out.ErrorAt(), b, text)
		}
		faces := 0
		for i := range out.Fields {
			f := &out.Fields[i]
			who := p.known[f.ID]
			if f.ID == sip.FieldOther {
				who = p.otherField(f.Name.Of(text))
			}
			if f.ID == face(&out) && string(f.Value.Of(text)) == "phone system" {
				faces++
			} else if who == nobody || (who == peers || who == peersTrimmed) && !peer {
				t.Fatalf("%q leaves: %q", f.Name.Of(text), text)
			}
		}
		if faces != 1 {
			t.Fatalf("%d faces: %q", faces, text)
		}
		e.Reset(&out)
		p.Outward(&e, &out, peer)
		if again := e.AppendTo(nil); !bytes.Equal(again, text) {
			t.Fatalf("scrubbed again it is another one:\n%q\n%q", text, again)
		}
	})
}
