package proxy

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
)

// A leg is a dialog as its end outside knows it.
type leg struct {
	b                      *bench
	target, from, to, call string
	routes                 []string
}

// legs counts requests in dialogs: each has a branch of its own.
var legs int

// picksUp lets a stranger call; the platform answers with status, Contact, and Record-Routes before ours.
func (b *bench) picksUp(n int, status, contact, recorded string) *leg {
	b.t.Helper()
	b.send(b.outside, newRequest("INVITE", n))
	invite := b.expect(b.platform, "INVITE")
	b.send(b.inside, pickUp(invite, status, contact, recorded))
	return b.learnt(b.expect(b.caller, "SIP/2.0 "+status[:3]))
}

// pickUp is a response to invite.
func pickUp(invite, status, contact, recorded string) []byte {
	reply := string(answerOf(invite, status, "Contact: "+contact+"\r\n"))
	return []byte(strings.Replace(reply, "Record-Route: ", "Record-Route: "+recorded, 1))
}

// learnt is the dialog that a response makes for who called (RFC 3261 §12.1.2).
func (b *bench) learnt(msg string) *leg {
	g := &leg{b: b, target: contactURI(field(b.t, msg, "Contact")), from: field(b.t, msg, "From"), to: field(b.t, msg, "To"), call: field(b.t, msg, "Call-ID")}
	for line := range strings.SplitSeq(msg, "\r\n") {
		if value, ok := strings.CutPrefix(line, "Record-Route: "); ok {
			for route := range strings.SplitSeq(value, ", ") {
				g.routes = append([]string{route}, g.routes...)
			}
		}
	}
	return g
}

// contactURI is the URI in a Contact.
func contactURI(contact string) string {
	if strings.Contains(contact, "<") {
		return target(contact)
	}
	uri, _, _ := strings.Cut(contact, ";")
	return uri
}

// asked is learnt for who was called (RFC 3261 §12.1.1).
func (b *bench) asked(msg string) *leg {
	g := b.learnt(msg)
	g.from, g.to = g.to+";tag=b", g.from
	for i, j := 0, len(g.routes)-1; i < j; i, j = i+1, j-1 {
		g.routes[i], g.routes[j] = g.routes[j], g.routes[i]
	}
	return g
}

// request is a request in the dialog to uri, "" for its target, by Routes, nil for its own.
func (g *leg) request(method, uri string, routes []string) []byte {
	if legs++; uri == "" {
		uri = g.target
	}
	if routes == nil {
		routes = g.routes
	}
	return fmt.Appendf(nil, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bKleg%d;rport\r\nRoute: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\n"+
		"CSeq: %d %s\r\nContact: <sip:alice@192.168.1.9:5060>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		method, uri, legs, strings.Join(routes, ", "), g.from, g.to, g.call, 10+legs, method)
}

// arrives sends a request to uri and wants it at the platform with the Request-URI want.
func (g *leg) arrives(uri, want string) string {
	g.b.t.Helper()
	g.b.send(g.b.outside, g.request("INFO", uri, nil))
	return g.b.expect(g.b.platform, "INFO "+want+" ")
}

// refused sends a request by routes to uri and wants it refused.
func (g *leg) refused(uri string, routes []string) {
	g.b.t.Helper()
	g.b.send(g.b.outside, g.request("INVITE", uri, routes))
	got := g.b.expect(g.b.caller, "SIP/2.0 403")
	if to := field(g.b.t, got, "To"); to != g.to {
		g.b.t.Errorf("To %s", to)
	}
	g.b.silence(g.b.platform)
}

const premium = "sip:0900123456@198.51.100.66"

// TestTargetOfShown: what the platform names as the target of a dialog is reached, whatever of it phones lose or write otherwise, and nothing else is.
func TestTargetOfShown(t *testing.T) {
	for contact, written := range map[string][]string{
		"<sip:desk@198.51.100.7:5060>":            {"sip:desk@198.51.100.7", "sip:desk@198.51.100.7:5060;transport=udp", "sip:d%65sk@198.51.100.7", "sips:desk@198.51.100.7:5060"},
		"<sip:desk@Desk.example.net>":             {"sip:desk@desk.EXAMPLE.net;ob", "sip:desk@desk.example.net:5060"},
		"<sip:desk@[2001:db8::7]:5070;lr;x=y>":    {"sip:desk@[2001:DB8:0::7]:5070"},
		"sip:198.51.100.7;q=1":                    {"sip:198.51.100.7"},
		"\"Desk\" <sip:de%20sk@198.51.100.7;a=b>": {"sip:de%20sk@198.51.100.7"},
	} {
		b := newBench(t, nil)
		g := b.picksUp(1, "180 Ringing", contact, "")
		g.arrives("", g.target)
		for i, uri := range written {
			if strings.HasPrefix(uri, "sips:") { // over UDP it is refused as ever
				continue
			}
			t.Log(i, uri)
			g.arrives(uri, uri)
		}
		for _, uri := range []string{premium, "sip:desk@198.51.100.66", "sip:0900123456@198.51.100.7", "sip:desk@198.51.100.7:5099", g.target + ";maddr=198.51.100.66",
			"tel:+900123456", "sip:0900123456@" + b.p.faces[1].host} {
			g.refused(uri, nil)
		}
	}
}

// TestTargetByName: besides the target a phone may write what it called, or a name of ours, as some do.
func TestTargetByName(t *testing.T) {
	for _, hide := range []bool{false, true} {
		b := newBench(t, func(c *Config) { c.Hide = hide })
		g := b.picksUp(1, "180 Ringing", "<sip:desk@198.51.100.7:5060>", "")
		ours := "sip:anybody@" + b.p.faces[0].host
		g.arrives("sip:echo@example.com", "sip:echo@example.com") // what was called
		g.arrives("sip:echo@EXAMPLE.com:5060", "sip:echo@EXAMPLE.com:5060")
		g.arrives(ours, ours)
		g.refused("sip:0900123456@example.com", nil) // it may be any domain
		g.refused("sip:echo@example.net", nil)
		b = newBench(t, func(c *Config) { c.Hide, c.Domains = hide, []string{"example.com"} })
		g = b.picksUp(1, "180 Ringing", "<sip:desk@198.51.100.7:5060>", "")
		g.arrives("sip:desk@example.com", "sip:desk@example.com") // the platform's
		g.refused("sip:echo@example.net", nil)
		server := "sip:desk@" + b.inside.Remote.String()
		if hide {
			g.refused(server, nil) // nobody finds out by trying where it is
		} else {
			g.arrives(server, server)
		}
	}
}

// TestTargetOfHidden: tokens of one dialog lead nowhere in another, not even those of the same caller.
func TestTargetOfHidden(t *testing.T) {
	b := newHidden(t)
	desk, other := "sip:desk@"+b.inside.Remote.String(), "sip:other@"+b.inside.Remote.String()
	one := b.picksUp(1, "180 Ringing", "<"+desk+">", "")
	two := b.picksUp(2, "180 Ringing", "<"+other+">", "")
	one.arrives("", desk)
	two.arrives("", other)
	one.refused(two.target, nil)
	one.refused(premium, nil)
	one.refused(desk, nil)
	b.send(b.outside, one.request("INFO", "", append(one.routes[:1:1], "<"+premium+";lr>")))
	if got := b.expect(b.platform, "INFO "+desk+" "); strings.Contains(got, "Route:") {
		t.Error(got)
	}
}

// TestRoutesOfShown: the proxies that the platform recorded are passed, all of them as it wrote them, and no other.
func TestRoutesOfShown(t *testing.T) {
	b := newBench(t, nil)
	recorded := "<sip:10.77.0.3;lr=on;ftag=a>, <sip:in@" + b.inside.Remote.String() + ";lr;r2=on>, "
	g := b.picksUp(1, "200 OK", "<sip:desk@198.51.100.7:5060>", recorded)
	if len(g.routes) != 3 {
		t.Fatal(g.routes)
	}
	g.arrives("", g.target)
	other := strings.Replace(g.routes[2], ";lr=on", ";lr", 1)
	b.send(b.outside, g.request("INFO", "", []string{g.routes[0], g.routes[1], other}))
	b.expect(b.platform, "INFO")
	b.send(b.outside, g.request("INFO", "", g.routes[:1])) // a phone that knows the first only
	b.expect(b.platform, "INFO")
	server := "sip:0900@" + b.inside.Remote.String()
	for _, routes := range [][]string{
		append(g.routes[:3:3], "<"+premium+";lr>"),
		{g.routes[0], g.routes[2], g.routes[2]},
		{g.routes[0], g.routes[1], "<" + premium + ";lr>", g.routes[2]},
		{g.routes[0], "<" + premium + ";lr>"},
		{strings.Replace(g.routes[0], string(marksBegin), "~", 1), g.routes[1], g.routes[2]},
	} {
		if strings.Contains(routes[0], "~") {
			b.send(b.outside, g.request("INVITE", "", routes))
			b.expect(b.caller, "SIP/2.0 481")
			continue
		}
		g.refused("", routes)
		g.refused(server, routes)
	}
	bare, _ := cutMarks([]byte(g.routes[0]))
	g.refused("", []string{string(bare) + g.routes[0][strings.IndexByte(g.routes[0], '@'):]}) // the token alone, which who is called sees
}

// TestMarksAreOfOneDialog: marks of one dialog are worth nothing in another, nor those of the one end to the other.
func TestMarksAreOfOneDialog(t *testing.T) {
	b := newBench(t, nil)
	one := b.picksUp(1, "180 Ringing", "<sip:desk@198.51.100.7>", "")
	two := b.picksUp(2, "180 Ringing", "<"+premium+">", "")
	at, _, _ := strings.Cut(one.routes[0], string(marksBegin))
	_, marks, _ := strings.Cut(two.routes[0], string(marksBegin))
	one.refused(premium, []string{at + string(marksBegin) + marks})
	two.arrives("", premium) // there the platform said so
}

// moved is the target that msg tells the far end of.
func moved(t *testing.T, msg string) string {
	t.Helper()
	return contactURI(field(t, msg, "Contact"))
}

// TestTargetMoves: the platform changes its target in the answer, in a re-INVITE or UPDATE of either side, and the far end follows, a new process
// with the same keys, too; to where it was it may go on as well.
func TestTargetMoves(t *testing.T) {
	for _, form := range []string{"<sip:new@198.51.100.8:5062;x=y>", "sip:new@198.51.100.8:5062", "<sip:new@198.51.100.8:5062;rw=abc>", "<sip:new@[2001:db8::8]>"} {
		plain := strings.Trim(form, "<>")
		b := newBench(t, nil)
		g := b.picksUp(1, "180 Ringing", "<sip:desk@198.51.100.7:5060>", "")
		first := g.target
		g.refused(plain, nil)
		invite := "INVITE" // of the caller, answered with another Contact
		b.send(b.outside, g.request(invite, "", nil))
		got := b.expect(b.platform, invite)
		b.send(b.inside, answerOf(got, "200 OK", "Contact: "+form+"\r\n"))
		g.target = moved(t, b.expect(b.caller, "SIP/2.0 200"))
		g.arrives("", plain)
		g.arrives(first, first)
		g.refused(strings.Replace(g.target, "new@", "0900@", 1), nil)
		g.refused("sip:0900@198.51.100.8:5062;rw=aaaaaaaaaa", nil)
		restarted(t, b, g)
		g.arrives("", plain)
	}
}

// restarted has the dialog go on at a node that has but the key.
func restarted(t *testing.T, b *bench, g *leg) {
	t.Helper()
	keys, err := seal.Open(filepath.Join(b.dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	b.p.keys = keys
}

// TestTargetMovesFromInside: the same in a re-INVITE and an UPDATE of the platform, in a dialog that either side began.
func TestTargetMovesFromInside(t *testing.T) {
	for _, method := range []string{"INVITE", "UPDATE"} {
		b := newBench(t, nil)
		b.send(b.outside, newRequest("INVITE", 1))
		invite := b.expect(b.platform, "INVITE")
		b.send(b.inside, pickUp(invite, "200 OK", "<sip:desk@198.51.100.7:5060>", ""))
		g := b.learnt(b.expect(b.caller, "SIP/2.0 200"))
		in := "%s sip:alice@192.168.1.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKmove\r\nRoute: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: c1\r\n" +
			"CSeq: 2 %s\r\nContact: <sip:new@198.51.100.8>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
		b.send(b.inside, fmt.Appendf(nil, in, method, field(t, invite, "Record-Route"), g.to, g.from, method))
		g.target = moved(t, b.expect(b.caller, method))
		g.arrives("", "sip:new@198.51.100.8")

		b.send(b.inside, fmt.Appendf(nil, usualInvite, addrOf(b.caller), b.inside.Remote, len(usualSDP), usualSDP))
		out := b.expect(b.caller, "INVITE")
		g = b.asked(out)
		b.send(b.outside, answerOf(out, "200 OK", "Contact: <sip:bob@198.51.100.9>\r\n"))
		b.expect(b.platform, "SIP/2.0 200")
		g.arrives("", "sip:alice@10.77.0.2:5080")
		g.arrives("sip:alice@10.77.0.2", "sip:alice@10.77.0.2") // who called
		g.refused(premium, nil)
		g.refused("", append(g.routes[:2:2], "<"+premium+";lr>"))
	}
}

// TestTargetMovesWhileRinging: a phone that keeps the Record-Route of the first answer (RFC 3261 §13.2.2.4 would have it take the last) follows all the same.
func TestTargetMovesWhileRinging(t *testing.T) {
	for _, hide := range []bool{false, true} {
		b := newBench(t, func(c *Config) { c.Hide = hide })
		b.movesWhileRinging(t)
	}
}

func (b *bench) movesWhileRinging(t *testing.T) {
	b.send(b.outside, newRequest("INVITE", 1))
	invite := b.expect(b.platform, "INVITE")
	b.send(b.inside, pickUp(invite, "180 Ringing", "<sip:desk@198.51.100.7>", ""))
	g := b.learnt(b.expect(b.caller, "SIP/2.0 180"))
	if strings.Contains(g.target, "rw=") {
		t.Errorf("the first answer comes with the mark of a second in its Contact: %s", g.target)
	}
	b.send(b.inside, pickUp(invite, "183 Again", "<sip:desk@198.51.100.7>", ""))
	if again := moved(t, b.expect(b.caller, "SIP/2.0 183")); again != g.target {
		t.Errorf("Contact is %s, was %s", again, g.target)
	}
	for range 3 { // the others are copies
		b.send(b.inside, pickUp(invite, "200 OK", "<sip:voicemail@198.51.100.8>", ""))
		g.target = moved(t, b.expect(b.caller, "SIP/2.0 200"))
		g.arrives("", "sip:voicemail@198.51.100.8")
	}
}

// TestForksHaveTargets: each fork has its own.
func TestForksHaveTargets(t *testing.T) {
	for _, hide := range []bool{false, true} {
		b := newBench(t, func(c *Config) { c.Hide = hide })
		b.send(b.outside, newRequest("INVITE", 1))
		invite := b.expect(b.platform, "INVITE")
		for i := range 3 {
			contact := fmt.Sprintf("sip:fork%d@198.51.100.%d", i, i)
			reply := strings.Replace(string(pickUp(invite, "180 Ringing", "<"+contact+">", "")), ";tag=b", fmt.Sprint(";tag=fork", i), 1)
			b.send(b.inside, []byte(reply))
			b.learnt(b.expect(b.caller, "SIP/2.0 180")).arrives("", contact)
		}
	}
}

// TestPeersGoWhereTheyLike: a peer may begin anything, and its dialogs are its own affair.
func TestPeersGoWhereTheyLike(t *testing.T) {
	b, _, _ := newTrunk(t, nil)
	g := b.picksUp(1, "180 Ringing", "<sip:desk@198.51.100.7>", "")
	if strings.Contains(g.routes[0], string(marksBegin)+"a") || strings.Contains(g.target, "rw=") {
		t.Errorf("a peer gets marks: %s %s", g.routes[0], g.target)
	}
	g.arrives("sip:other@198.51.100.9", "sip:other@198.51.100.9")
}

// TestMonitorTellsOfTargets: in mode monitor it is said, and the request goes on.
func TestMonitorTellsOfTargets(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Monitor = true })
	g := b.picksUp(1, "180 Ringing", "<sip:desk@198.51.100.7>", "")
	g.arrives(premium, premium)
	if told := b.told(); told["noted dialog.target would be answered"] != 1 {
		t.Errorf("told %v", told)
	}
}

// FuzzMarks: whatever stands in a Contact, what phones send back of it comes as the platform wrote it.
func FuzzMarks(f *testing.F) {
	for _, contact := range []string{"<sip:a@b>", "sip:a@b", "<sip:a@b;rw=x;y>", "\"x\" <sip:a@[::1]:5;rw>;q=1", "<sip:a:p@b;rw=aaaaaaaaaa.bbbbbbbbbb>", "<sip:b?x=y>"} {
		f.Add(contact)
	}
	b := newBench(f, nil)
	f.Fuzz(func(t *testing.T, contact string) {
		raw := "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContact: " + contact +
			"\r\nContent-Length: 0\r\n\r\n"
		var m, back sip.Message
		if m.Parse([]byte(raw), false) != nil || strings.ContainsAny(contact, "\r\n") {
			return
		}
		uri, err := sip.ParseURI(m.Raw, firstURI(&m, sip.FieldContact))
		theirs, bare := uri.Param(m.Raw, markParam)
		if err != nil || uri.Scheme != sip.SIP || uri.Headers.Present() || bare && !theirs.Present() {
			return
		}
		b.l.edit.Reset(&m)
		b.l.markContact(&m, m.ToTag)
		if err := back.Parse(b.l.edit.AppendTo(nil), false); err != nil {
			t.Fatalf("%v: %s", err, back.Raw)
		}
		request := "INFO " + string(firstURI(&back, sip.FieldContact).Of(back.Raw)) + " SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n" +
			"Call-ID: 1\r\nCSeq: 1 INFO\r\nContent-Length: 0\r\n\r\n"
		if err := m.Parse([]byte(request), false); err != nil {
			return // a longer URI than may be
		}
		b.l.own = belongings{callID: m.CallID.Of(m.Raw)}
		b.l.ownMark(&edge.Exchange{Msg: &m})
		if want := string(uri.Whole.Of([]byte(raw))); string(b.l.own.marked) != want {
			t.Errorf("%q came back as %q, not %q", m.RequestURI.Of(m.Raw), b.l.own.marked, want)
		}
	})
}
