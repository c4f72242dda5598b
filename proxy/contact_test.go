package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

func TestContactToken(t *testing.T) {
	b := newBench(t, nil)
	long := "sip:" + strings.Repeat("x", maxContact-4)
	for _, server := range []string{"10.0.0.10:5060", "[2001:db8::1]:65535"} {
		for by := edge.UDP; by <= edge.TLS; by++ {
			for _, uri := range []string{"sip:trunk@10.0.0.10:5060;ob", "sip:a", "sips:[2001:db8::1]", long} {
				to := edge.Flow{Remote: netip.MustParseAddrPort(server), Transport: by, Side: edge.Inside}
				token := appendContactToken(nil, b.p.keys, to, []byte(uri))
				if again := appendContactToken(nil, b.p.keys, to, []byte(uri)); string(again) != string(token) {
					t.Errorf("%s at %s: not the same token twice", uri, server)
				}
				got, home, ok := openContactToken(nil, b.p.keys, token)
				if !ok || string(got) != uri || home != to {
					t.Errorf("%s at %v became %q at %v (%v)", uri, to, got, home, ok)
				}
				for i := range token {
					bad := append([]byte(nil), token...)
					bad[i] ^= 1
					if _, _, ok := openContactToken(nil, b.p.keys, bad); ok {
						t.Errorf("%s opens with byte %d altered", token, i)
					}
				}
			}
		}
	}
}

// TestOtherTokensAreNoContacts: a token of another kind, with the first character of this one.
func TestOtherTokensAreNoContacts(t *testing.T) {
	b := newBench(t, nil)
	r := route{Outside: b.outside, Inside: b.inside}
	var plain [usualRoute]byte
	path := b.p.keys.Seal([]byte{contactToken}, r.appendPlain(plain[:0], pathToken), pathAD, nil)
	kind := b.p.keys.Seal([]byte{contactToken}, r.appendPlain(plain[:0], pathToken), contactAD, nil)
	for _, token := range []string{string(path), string(kind), "carol", "c", "", strings.Repeat("c", 200)} {
		if _, _, ok := openContactToken(nil, b.p.keys, []byte(token)); ok {
			t.Errorf("%s opens", token)
		}
	}
}

func TestRegisterAtPeer(t *testing.T) {
	b, first, _ := newTrunk(t, nil)
	register := b.to(carrier, "REGISTER", 1)
	own := "<sip:alice@" + b.inside.Remote.String() + ">"
	contacts := "Contact: \"Trunk\" " + own + ";expires=60;reg-id=1;q=0.5, <tel:+15551234>\r\nSupported: path, outbound"
	register = strings.Replace(register, "Contact: "+own, contacts, 1)
	b.send(b.inside, []byte(register))
	got := b.expect(first, "REGISTER")
	token, rest, _ := strings.Cut(strings.TrimPrefix(field(t, got, "Contact"), "<sip:"), "@")
	if rest != b.p.faces[0].host+">;expires=60;q=0.5, <tel:+15551234>" || field(t, got, "Supported") != "path" {
		t.Fatalf("%s", got)
	}
	reply := string(replyTo(got, "200 OK"))
	reply = strings.Replace(reply, "\r\nContact: ", "\r\nContact: <sip:other@192.0.2.3>, \"T\" ", 1)
	reply = strings.Replace(reply, "\r\nContact", "\r\nContact: <sip:foreign@192.0.2.4>\r\nContact", 1)
	b.send(b.at(first), []byte(reply))
	if ok := b.expect(b.platform, "SIP/2.0 200"); field(t, ok, "Contact") != own+";expires=60;q=0.5" || strings.Count(ok, "Contact:") != 1 {
		t.Errorf("%s", ok)
	}

	invite := func(user string, n int) string {
		return strings.Replace(string(newRequest("INVITE", n)), "sip:echo@example.com SIP", "sip:"+user+"@"+b.p.faces[0].host+" SIP", 1)
	}
	b.send(b.outside, []byte(invite(token, 2)))
	b.expect(b.platform, "INVITE sip:alice@"+b.inside.Remote.String()+" SIP/2.0")
	b.send(b.outside, []byte(invite("c"+token[1:60], 3))) // an ordinary user, of whom the platform knows nothing
	b.expect(b.platform, "INVITE sip:c"+token[1:60]+"@")
	b.reasons()
	b.send(b.outside, []byte(invite(token[:60], 5)))
	b.only("topology.token")
	b.send(b.outside, []byte(invite(string(appendEarlierContact(b, "sip:alice@10.0.0.10")), 6)))
	b.expect(b.platform, "INVITE sip:alice@10.0.0.10 SIP/2.0")
	stranger := b.outside
	stranger.Remote = netip.MustParseAddrPort("127.0.1.1:5060")
	b.send(stranger, []byte(invite(token, 4)))
	b.silence(b.platform)
}

// appendEarlierContact is the token of a Contact that was made before 2026-11-23.
func appendEarlierContact(b *bench, uri string) []byte {
	plain, flags := []byte{contactToken, 0}, byte(0)
	plain = appendAddr(plain, b.inside.Remote, &flags, flagContact6)
	return b.p.keys.Seal([]byte{contactToken}, append(plain, uri...), earlierContactAD, nil)
}

// TestRegisterElsewhere: only what goes to a peer is rewritten.
func TestRegisterElsewhere(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.inside, []byte(b.to(addrOf(b.caller).String(), "REGISTER", 1)))
	if got := b.expect(b.caller, "REGISTER"); field(t, got, "Contact") != "<sip:alice@"+b.inside.Remote.String()+">" {
		t.Errorf("%s", got)
	}
}
