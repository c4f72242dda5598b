package challenge

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// TestMimic: nonces that are made up have the form of those of known platforms, with the time of the day where those have it, and never come twice.
func TestMimic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	drawn := func(n int, from string) string {
		var b strings.Builder
		for range n {
			b.WriteByte(from[r.IntN(len(from))])
		}
		return b.String()
	}
	const hexes = "0123456789abcdef"
	later := now.Add(20 * time.Minute)
	for name, c := range map[string]struct {
		make func(at time.Time) string
		want string
	}{
		"eight digits":  {func(time.Time) string { return drawn(8, hexes) }, `^[0-9a-f]{8}$`},
		"time and hash": {func(at time.Time) string { return fmt.Sprintf("%d/%s", at.Unix(), drawn(32, hexes)) }, fmt.Sprintf(`^%d/[0-9a-f]{32}$`, later.Unix())},
		"UUID": {func(time.Time) string {
			return drawn(8, hexes) + "-" + drawn(4, hexes) + "-4" + drawn(3, hexes) + "-a" + drawn(3, hexes) + "-" + drawn(12, hexes)
		},
			`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$`},
		"expiry in hexadecimal": {func(at time.Time) string { return fmt.Sprintf("%x%s", at.Unix()+300, drawn(32, hexes)) }, fmt.Sprintf(`^%x[0-9a-f]{32}$`, later.Unix()+300)},
		"base64":                {func(time.Time) string { return drawn(22, decimal+small+capital+"+/") + "==" }, `^[0-9A-Za-z+/]{22}==$`},
		"upper case":            {func(time.Time) string { return drawn(32, "0123456789ABCDEF") }, `^[0-9A-F]{32}$`},
		"a node's name":         {func(time.Time) string { return "pbx7." + drawn(20, decimal+small) }, `^pbx7\.[0-9a-z]{20}$`},
	} {
		var s samples
		for i := range 6 {
			at := now.Add(time.Duration(i) * time.Second)
			s.add([]byte(c.make(at)), at)
		}
		seen := map[string]bool{}
		for i := range 50 {
			one := string(s.append(nil, testKey, uint64(i), later))
			if !regexp.MustCompile(c.want).MatchString(one) || seen[one] {
				t.Errorf("%s: %s is none of its kind (%s), or came before", name, one, c.want)
				break
			}
			seen[one] = true
		}
	}
}

// TestOneSample: from a single one the form is guessed.
func TestOneSample(t *testing.T) {
	var s samples
	s.add([]byte("ab12-34cd.ef567890"), now)
	if one := string(s.append(nil, testKey, 1, now)); len(one) != 18 || one[9] != '.' || one == "ab12-34cd.ef567890" {
		t.Errorf("%s", one)
	}
	var none samples
	if one := none.append(nil, testKey, 1, now); len(one) != minSample {
		t.Errorf("%s", one)
	}
	none.add([]byte(strings.Repeat("x", maxSample+1)), now)
	if none.n != 0 {
		t.Error("a sample that is too long is kept")
	}
}

// TestPace: answers of one kind wait until they have taken as long as those of the other, and never for long.
func TestPace(t *testing.T) {
	var p Pace
	if wait := p.Wait(true, time.Millisecond, 0); wait != 0 {
		t.Errorf("waits %v for what nobody has seen", wait)
	}
	for i := range 40 {
		if wait := p.Wait(false, 30*time.Millisecond+time.Duration(i)*time.Millisecond, 0); wait != 0 {
			t.Errorf("the slower kind waits %v", wait)
		}
	}
	least, most := time.Hour, time.Duration(0)
	for i := range uint64(64) {
		wait := p.Wait(true, 2*time.Millisecond, i)
		least, most = min(least, wait), max(most, wait)
	}
	if least < 48*time.Millisecond || most > 69*time.Millisecond || least == most {
		t.Errorf("waits %v to %v", least, most)
	}
	var slow Pace
	slow.Wait(false, time.Minute, 0)
	if wait := slow.Wait(true, 0, 0); wait != longHold {
		t.Errorf("waits %v", wait)
	}
}

// FuzzShape: whatever a platform sends, what is written stays a challenge that can be read, with our nonce and, if asked for, one stale=true.
func FuzzShape(f *testing.F) {
	f.Add(`Digest realm="pbx", nonce="abc", qop="auth", stale=true`, "pbx", true)
	f.Add(`Digest stale=true,nonce="",opaque="a",realm="pbx"`, "PBX", false)
	f.Add(`Digest realm="a\",b", nonce="x,y", STALE="TRUE" , qop=auth`, "a", true)
	f.Add(`Digest  stale = true , nonce = "1"`, "", true)
	f.Fuzz(func(t *testing.T, value, host string, stale bool) {
		var m sip.Message
		text := "SIP/2.0 401 X\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=a\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\nWWW-Authenticate: " +
			value + "\r\nContent-Length: 0\r\n\r\n"
		if _, err := netip.ParseAddr(host); strings.ContainsAny(value, "\r\n") || err != nil && !regexp.MustCompile(`^[a-zA-Z0-9.-]*$`).MatchString(host) || m.Parse([]byte(text), true) != nil {
			return
		}
		i := m.Find(sip.FieldWWWAuthenticate)
		if i < 0 {
			return
		}
		given, ok, err := sip.ParseDigest(m.Raw, m.Fields[i].Value)
		if !ok || err != nil || !given.Nonce.Present() {
			return
		}
		d := NewBook(nil, "", testKey, nil).For(nil)
		d.Learn(&m, []byte("other"), now)
		d.Learn(&m, []byte(host), now)
		var w Written
		for _, form := range []Form{{}, {Plain: true}, {Brief: true}, {Nonce: []byte("OURS")}} {
			form.Method, form.Host, form.At, form.Stale = sip.REGISTER, []byte(host), now, stale
			d.Write(&w, form)
			out := w.Fields[0].Value
			got, ok, err := sip.ParseDigest(out, sip.Span{End: uint32(len(out))})
			if !ok || err != nil || stale && !sip.Spells(got.Stale.Of(out), "true") || form.Nonce != nil && string(got.Nonce.Of(out)) != "OURS" {
				t.Fatalf("%q became %q (%v)", value, out, err)
			}
			if !stale && sip.Spells(got.Stale.Of(out), "true") {
				t.Fatalf("%q became %q", value, out)
			}
		}
	})
}
