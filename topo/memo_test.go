package topo

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestMemo: with a memo that messages hand on to each other Contacts become what they become without one, whatever changes between them.
func TestMemo(t *testing.T) {
	k, known := newMask(t), 0
	const text = "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@b>;tag=2\r\nCall-ID: x\r\n" +
		"CSeq: 1 INVITE\r\nContact: CONTACT\r\nContent-Length: 0\r\n\r\n"
	rapid.Check(t, func(r *rapid.T) {
		l, memo := leg(), Memo{}
		for range rapid.IntRange(2, 12).Draw(r, "messages") {
			switch rapid.IntRange(0, 30).Draw(r, "change") {
			case 0, 1, 2:
				l.Tag = []byte(rapid.SampledFrom([]string{"", "1", "12", "c"}).Draw(r, "tag"))
			case 3, 4, 5:
				l.CallID = []byte(rapid.SampledFrom([]string{"a", "2a", "ab", strings.Repeat("a", mostMemo)}).Draw(r, "id"))
			case 6, 7, 8:
				l.Salt = rapid.Uint32Range(0, 1).Draw(r, "salt")
			case 9, 10, 11:
				l.At = l.At.Add(week)
			case 12:
				if err := k.keys.Rotate(epoch.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			contact := rapid.SampledFrom([]string{"<sip:b@10.0.0.10>", "<sip:b@10.0.0.10>", "<sips:b@10.0.0.10>", "<sip:bb@10.0.0.1>", "<sip:b@10.0.0.10>;x=1, sip:c@10.0.0.7"}).Draw(r, "contact")
			was, message := string(memo), strings.Replace(text, "CONTACT", contact, 1)
			l.Memo = &memo
			got := k.outward(t, message, l)
			if was != "" && was == string(memo) {
				known++
			}
			l.Memo = nil
			if want := k.outward(t, message, l); got != want {
				r.Fatalf("%s\ninstead of\n%s", got, want)
			}
		}
	})
	if known == 0 {
		t.Error("no memo was of use")
	}
}
