package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// answeredAs lets a caller call with a Call-ID and a From tag of his choice, as in every call before, and the platform answer with that Contact. It
// returns the INVITE as the platform got it and the 200 as the caller did.
func (b *bench) answeredAs(n int, contact string) (invite, ok string) {
	b.t.Helper()
	msg := strings.Replace(string(newRequest("INVITE", n)), fmt.Sprintf("Call-ID: c%d\r\n", n), "Call-ID: again\r\n", 1)
	b.send(b.outside, []byte(msg))
	invite = b.expect(b.platform, "INVITE")
	b.send(b.inside, answerOf(invite, "200 OK", "Contact: <"+contact+">\r\n"))
	return invite, b.expect(b.caller, "SIP/2.0 200")
}

// TestCallIDIsRepeated: a caller chooses Call-ID and tag, and may let the platform relay a URI that he only guesses. If equal URIs gave equal tokens
// in two such dialogs, he could count servers, know them again, and find out addresses by trying.
func TestCallIDIsRepeated(t *testing.T) {
	b := newHidden(t)
	_, first := b.answeredAs(1, "sip:10.77.0.9:5060")
	_, second := b.answeredAs(2, "sip:10.77.0.9:5060")
	for _, name := range []string{"Contact", "Record-Route"} {
		one, other := userIn(field(t, first, name)), userIn(field(t, second, name))
		if name == "Record-Route" { // behind the tokens are hashes of what the caller wrote
			one, _, _ = strings.Cut(one, string(marksBegin))
			other, _, _ = strings.Cut(other, string(marksBegin))
		}
		if shared := common(one[2:], other[2:]); shared > 6 {
			t.Errorf("%s %s and %s share %d characters", name, one, other, shared)
		}
	}
}

// TestForksAreUnlinked: two who answer one INVITE are told apart by their tags, so one can't find out about the other either.
func TestForksAreUnlinked(t *testing.T) {
	b := newHidden(t)
	b.send(b.outside, newRequest("INVITE", 1))
	invite := b.expect(b.platform, "INVITE")
	var contacts []string
	for i, tag := range []string{"b", "b", "c"} {
		status := fmt.Sprintf("%d Ringing", 180+i)
		reply := answerOf(invite, status, "Contact: <sip:10.77.0.9:5060>\r\n")
		b.send(b.inside, []byte(strings.Replace(string(reply), ";tag=b", ";tag="+tag, 1)))
		contacts = append(contacts, userIn(field(t, b.expect(b.caller, "SIP/2.0 18"), "Contact")))
	}
	if contacts[0] != contacts[1] || common(contacts[0][2:], contacts[2][2:]) > 6 {
		t.Errorf("Contacts %q", contacts)
	}
}

// TestDialogShowsOneContact: from the first ringing to requests of either side, whoever began it.
func TestDialogShowsOneContact(t *testing.T) {
	b := newHidden(t)
	contact := fmt.Sprintf("Contact: <sip:%s>\r\n", b.inside.Remote)
	b.send(b.outside, newRequest("INVITE", 1))
	invite := b.expect(b.platform, "INVITE")
	b.send(b.inside, answerOf(invite, "180 Ringing", contact))
	ringing := b.expect(b.caller, "SIP/2.0 180")
	b.send(b.inside, answerOf(invite, "200 OK", contact))
	ok := b.expect(b.caller, "SIP/2.0 200")
	b.inDialog(b.outside, "UPDATE", target(field(t, ok, "Contact")), []string{field(t, ok, "Record-Route")}, field(t, ok, "From"), field(t, ok, "To"), "c1")
	b.send(b.inside, answerOf(b.expect(b.platform, "UPDATE"), "200 OK", contact))
	updated := b.expect(b.caller, "SIP/2.0 200")
	own, _, _ := strings.Cut(field(t, invite, "Record-Route"), ", ")
	request := fmt.Sprintf("UPDATE sip:alice@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKu;rport\r\nRoute: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: c1\r\n"+
		"CSeq: 7 UPDATE\r\n%sContent-Length: 0\r\n\r\n", addrOf(b.caller), b.inside.Remote, own, field(t, ok, "To"), field(t, ok, "From"), contact)
	b.send(b.inside, []byte(request))
	update := b.expect(b.caller, "UPDATE")
	for _, msg := range []string{ok, updated, update} {
		if field(t, msg, "Contact") != field(t, ringing, "Contact") {
			t.Errorf("another Contact than %s in\n%s", field(t, ringing, "Contact"), msg)
		}
	}
}

// TestDialogOfInsideShowsOneContact is that for a dialog that began inside.
func TestDialogOfInsideShowsOneContact(t *testing.T) {
	b := newHidden(t)
	contact := fmt.Sprintf("Contact: <sip:%s>\r\n", b.inside.Remote)
	request := "%[1]s sip:bob@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[1]s;rport\r\n%[4]sFrom: <sip:alice@pbx.mark>;tag=a1\r\nTo: <sip:bob@10.77.0.9>%[5]s\r\n" +
		"Call-ID: id\r\nCSeq: 1 %[1]s\r\nRecord-Route: <sip:%[3]s;lr>\r\n%[6]sContent-Length: 0\r\n\r\n"
	b.send(b.inside, fmt.Appendf(nil, request, "INVITE", addrOf(b.caller), b.inside.Remote, "", "", contact))
	invite := b.expect(b.caller, "INVITE")
	b.send(b.outside, answerOf(invite, "200 OK", "Contact: <sip:bob@198.51.100.9>\r\n"))
	own, _, _ := strings.Cut(field(t, b.expect(b.platform, "SIP/2.0 200"), "Record-Route"), ", ")
	b.send(b.inside, fmt.Appendf(nil, request, "UPDATE", addrOf(b.caller), b.inside.Remote, "Route: "+own+"\r\n", ";tag=b", contact))
	if update := b.expect(b.caller, "UPDATE"); field(t, update, "Contact") != field(t, invite, "Contact") {
		t.Errorf("another Contact than %s in\n%s", field(t, invite, "Contact"), update)
	}
	b.inDialog(b.outside, "INFO", target(field(t, invite, "Contact")), []string{field(t, invite, "Record-Route")}, "<sip:bob@example.com>;tag=b",
		field(t, invite, "From"), field(t, invite, "Call-ID"))
	b.send(b.inside, answerOf(b.expect(b.platform, "INFO"), "200 OK", contact))
	if ok := b.expect(b.caller, "SIP/2.0 200"); field(t, ok, "Contact") != field(t, invite, "Contact") {
		t.Errorf("another Contact than %s in\n%s", field(t, invite, "Contact"), ok)
	}
}

// userIn is the user part of the URI in value.
func userIn(value string) string {
	_, user, _ := strings.Cut(value, ":")
	user, _, _ = strings.Cut(user, "@")
	return user
}

// common is the length of the longest text that a and b share.
func common(a, b string) (n int) {
	for i := range a {
		for i+n < len(a) && strings.Contains(b, a[i:i+n+1]) {
			n++
		}
	}
	return n
}
