package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// mediaRows are rows of the requirements about media, and what else a relay has to stand.
var mediaRows = []struct {
	name string
	run  func(*rig)
}{
	{"P47 delayed offer", lateOffer},
	{"P47 hold and resume", holdAndResume},
	{"P47 T38", faxed},
	{"P56 early media", earlyMedia},
	{"P56 reliable early media", reliable},
	{"F14 forks", forkedMedia},
	{"F19 control bytes", controlBytes},
	{"F20 words of RTCP", wordsOfRTCP},
	{"F21 addresses", forbiddenAddresses},
	{"F22 hijack", hijack},
	{"F24 either end moves", moves},
	{"F24 teardown", teardown},
	{"F24 unusable answer", unusable},
	{"F24 unusable answer in a call", unusableLater},
	{"refused re-INVITE", rolledBack},
	{"glare", glare},
	{"UPDATE", updated},
	{"lines come and go", linesComeAndGo},
	{"multipart", multipart},
	{"odd types", oddTypes},
	{"strays", strays},
	{"candidates", candidates},
	{"restart", restarted},
}

// TestMedia runs the rows about media, with the platform hidden: nothing of it is in any description that leaves.
func TestMedia(t *testing.T) {
	t.Parallel()
	for _, row := range mediaRows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, udp, concealed(relaying))
			row.run(r)
		})
	}
}

// TestMediaWays runs some of the rows on other ways: streams, TLS, WebSocket, and both versions of IP.
func TestMediaWays(t *testing.T) {
	t.Parallel()
	ways := append([]way{tcp, across[0], across[1]}, secures[2], webs[2])
	for i, row := range []struct {
		name string
		run  func(*rig)
	}{{"delayed offer", lateOffer}, {"T38", faxed}, {"reliable early media", reliable}, {"forks", forkedMedia}, {"either end moves", moves}} {
		w := ways[i]
		t.Run(row.name+" "+w.name, func(t *testing.T) {
			t.Parallel()
			row.run(newRig(t, w, concealed(relaying)))
		})
	}
}

func lateOffer(r *rig) {
	phone := r.phone("alice")
	c := &chat{r: r, near: newMouth(phone, r.T), far: newMouth(r.platform, r.T)}
	sent, got := r.invite(phone, with(""))
	answer := r.platform.Reply(got, 200, with(c.far.sdp()))
	ok := phone.Expect("200 INVITE")
	c.call = &call{phone.NewCallerDialog(sent, ok), r.platform.NewCalleeDialog(got, answer), sent, got}
	ack := c.call.phone.Request("ACK")
	with(c.near.sdp())(ack)
	phone.Send(ack)
	c.toward, c.towardFar = wanted(r.T, r.platform.Expect("ACK").Body, 0), wanted(r.T, ok.Body, 0)
	c.talk()
	phone.Send(ack) // again, as for a repeated 200
	if again := wanted(r.T, r.platform.Expect("ACK").Body, 0); again != c.toward {
		r.Errorf("the repeated ACK names %v, not %v", again, c.toward)
	}
	c.talk()
	r.bye(c.call.phone, c.platform)
	r.streams(0)
}

func holdAndResume(r *rig) {
	c := r.chat(r.phone("alice"))
	for _, held := range []string{c.near.sdp("a=sendonly"), c.near.sdp("a=inactive"), strings.Replace(c.near.sdp(), "c=IN IP4 "+c.near.addr().Addr().String(), "c=IN IP4 0.0.0.0", 1)} {
		got, _ := c.reoffer("INVITE", c.call.phone, c.platform, held, c.far.sdp("a=recvonly"))
		if at := wanted(r.T, got.Body, 0); at.Port() != c.toward.Port() {
			r.Errorf("hold moved our port from %v to %v", c.toward, at)
		}
		c.reoffer("INVITE", c.call.phone, c.platform, c.near.sdp(), c.far.sdp())
		c.talk()
	}
	c.reoffer("INVITE", c.platform, c.call.phone, c.far.sdp("a=inactive"), c.near.sdp("a=inactive"))
	c.reoffer("INVITE", c.platform, c.call.phone, c.far.sdp(), c.near.sdp())
	c.talk()
	r.bye(c.platform, c.call.phone)
	r.streams(0)
	r.edge.WaitLog(`detail="audio: caller packets=5 bytes=130 lost=0`)
}

// wordsOfRTCP: the platform names its machine in RTCP's SDES, which RFC 3550 §6.5.1 even asks for. The phone gets it with other words.
func wordsOfRTCP(r *rig) {
	c := r.chat(r.phone("alice"))
	name := "asterisk@" + r.platform.Addr.Addr().String()
	for len(name)%4 != 1 { // the items end on a whole word
		name += "x"
	}
	cname := fmt.Sprintf("\x81\xca\x00%c\x01\x02\x03\x04\x01%c%s\x00", (8+2+len(name)+1)/4-1, len(name), name)
	c.far.udp.WriteToUDPAddrPort([]byte(cname), c.toward)
	got := make([]byte, 100)
	c.near.udp.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := c.near.udp.Read(got)
	if err != nil || n != len(cname) || string(got[:10]) != cname[:10] || strings.Contains(string(got), name[:8]) {
		r.Errorf("the phone got %q (%v) of %q", got[:n], err, cname)
	}
	c.near.udp.WriteToUDPAddrPort([]byte(cname), c.towardFar)
	c.far.hear(name + "\x00") // inside, names of the outside are nobody's secret
	r.bye(c.call.phone, c.platform)
}

func faxed(r *rig) {
	c := r.chat(r.phone("alice"))
	near, far := newMouth(c.call.phone.UA, r.T), newMouth(r.platform, r.T)
	got, answer := c.reoffer("INVITE", c.platform, c.call.phone, far.described("image %d udptl t38", "a=T38FaxVersion:0"), near.described("image %d udptl t38"))
	to, from := wanted(r.T, got.Body, 0), wanted(r.T, answer.Body, 0)
	near.udp.WriteToUDPAddrPort([]byte{0, 1, 2, 'f', 'a', 'x'}, to)
	far.hear("fax")
	far.udp.WriteToUDPAddrPort([]byte{0, 1, 2, 'f', 'a', 'x'}, from)
	near.hear("fax")
	r.streams(1)
	r.bye(c.call.phone, c.platform)
	r.streams(0)
}

func earlyMedia(r *rig) {
	phone, _ := r.registered("alice")
	near, far := newMouth(phone, r.T), newMouth(r.platform, r.T)
	sent, got := r.invite(phone, with(near.sdp()))
	r.platform.Reply(got, 183, with(far.sdp()))
	early := phone.Expect("183")
	toward, towardFar := wanted(r.T, got.Body, 0), wanted(r.T, early.Body, 0)
	near.say(towardFar, "hello?") // opens the way: the phone has proven nothing yet
	far.hear("hello?")
	far.say(toward, "ringing")
	near.hear("ringing")
	r.platform.Reply(got, 183, with(far.sdp())) // several
	if again := wanted(r.T, phone.Expect("183").Body, 0); again != towardFar {
		r.Errorf("the second 183 names %v, not %v", again, towardFar)
	}
	answer := r.platform.Reply(got, 200, with(far.sdp()))
	ok := phone.Expect("200 INVITE")
	dialog := phone.NewCallerDialog(sent, ok)
	dialog.Send("ACK")
	r.platform.Expect("ACK")
	far.say(toward, "hello")
	near.hear("hello")
	r.bye(dialog, r.platform.NewCalleeDialog(got, answer))
	r.streams(0)
}

// reliable: the answer comes in a 183 that PRACK acknowledges; the 200 has none. Then the offer comes in it, and the answer in PRACK.
func reliable(r *rig) {
	phone := r.phone("alice")
	near, far := newMouth(phone, r.T), newMouth(r.platform, r.T)
	for _, delayed := range []bool{false, true} {
		offer, ack := near.sdp(), ""
		if delayed {
			offer, ack = "", near.sdp()
		}
		sent, got := r.invite(phone, with(offer))
		early := r.platform.Reply(got, 183, with(far.sdp()), func(m *siptest.Message) { m.Add("Require", "100rel").Add("RSeq", "7") })
		progress := phone.Expect("183")
		a, b := phone.NewCallerDialog(sent, progress), r.platform.NewCalleeDialog(got, early)
		prack := a.Request("PRACK").Add("RAck", "7 1 INVITE")
		with(ack)(prack)
		phone.Send(prack)
		acked := r.platform.Expect("PRACK")
		r.platform.Reply(acked, 200)
		phone.Expect("200 PRACK")
		toward := acked.Body
		if !delayed {
			toward = got.Body
		}
		near.say(wanted(r.T, progress.Body, 0), "early")
		far.hear("early")
		far.say(wanted(r.T, toward, 0), "early, too")
		near.hear("early, too")
		r.platform.Reply(got, 200, with(""))
		phone.Expect("200 INVITE")
		a.Send("ACK")
		r.platform.Expect("ACK")
		far.say(wanted(r.T, toward, 0), "up")
		near.hear("up")
		r.bye(b, a)
		r.streams(0)
	}
}

// forkedMedia: two phones behind one INVITE answer early; media follows the one that takes the call, though the other spoke last.
func forkedMedia(r *rig) {
	phone := r.phone("alice")
	near := newMouth(phone, r.T)
	sent, got := r.invite(phone, with(near.sdp()))
	forks := []*mouth{newMouth(r.platform, r.T), newMouth(r.platform, r.T)}
	toward := wanted(r.T, got.Body, 0)
	for i, f := range forks {
		r.platform.Reply(got, 183, with(f.sdp()), forkedAs(i))
		near.say(wanted(r.T, phone.Expect("183").Body, 0), fmt.Sprintf("to fork %d", i))
		f.hear(fmt.Sprintf("to fork %d", i))
	}
	answer := r.platform.Reply(got, 200, with(forks[0].sdp()), forkedAs(0))
	ok := phone.Expect("200 INVITE")
	a := phone.NewCallerDialog(sent, ok)
	a.Send("ACK")
	r.platform.Expect("ACK")
	for range 3 { // copies change nothing (F14)
		r.platform.Reply(got, 200, with(forks[0].sdp()), forkedAs(0))
		phone.Expect("200 INVITE")
	}
	r.platform.Reply(got, 183, with(forks[1].sdp()), forkedAs(1)) // late, of the loser
	forks[1].say(toward, "from the loser, who is first")
	near.deaf()
	near.say(wanted(r.T, ok.Body, 0), "to the winner")
	forks[0].hear("to the winner")
	forks[0].say(toward, "from the winner")
	near.hear("from the winner")
	forks[1].say(toward, "from the loser")
	near.deaf()
	r.streams(1)
	r.bye(a, r.platform.NewCalleeDialog(got, answer))
	r.streams(0)
}

// forkedAs lets a response come from another phone behind one INVITE for each i.
func forkedAs(i int) func(*siptest.Message) {
	return func(m *siptest.Message) {
		m.Set("To", strings.Split(m.Get("To"), ";tag=")[0]+fmt.Sprintf(";tag=fork-%d-of-this-call", i))
	}
}

// controlBytes: what would be another line, or end a string, for some reader is refused or never leaves.
func controlBytes(r *rig) {
	phone := r.phone("alice")
	near := newMouth(phone, r.T)
	for _, bad := range []string{"a=fmtp:0 x\ry=z", "a=x:\x00", "i=\x01", "a=rtpmap:0 PCMU/8000\nc=IN IP4 192.0.2.1"} {
		m := phone.Request("INVITE", "sip:bob@example.com")
		with(near.sdp(bad))(m)
		phone.Send(m)
		r.platform.Silence(hush, "INVITE")
	}
	if n := r.edge.Counted(4, "ringwall_refused_total", `reason="sdp.`); n < 4 {
		r.Errorf("%v descriptions were refused, want 4", n)
	}
	r.streams(0)
}

// forbiddenAddresses: nothing is sent to an address that only a description names, if it is ours or inside.
func forbiddenAddresses(r *rig) {
	phone := r.phone("alice")
	near := newMouth(phone, r.T)
	victim := newMouth(r.platform, r.T) // of the platform
	own := newMouthAt(r.T, r.edge.Outside.Addr())
	for _, aim := range []netip.AddrPort{victim.addr(), own.addr(), r.edge.Inside} {
		offer := strings.Replace(near.sdp(), "m=audio "+fmt.Sprint(near.addr().Port()), "m=audio "+fmt.Sprint(aim.Port()), 1)
		offer = strings.Replace(offer, "c=IN IP4 "+near.addr().Addr().String(), "c=IN IP4 "+aim.Addr().String(), 1)
		far := newMouth(r.platform, r.T)
		sent, got := r.invite(phone, with(offer))
		answer := r.platform.Reply(got, 200, with(far.sdp()))
		dialog := phone.NewCallerDialog(sent, phone.Expect("200 INVITE"))
		dialog.Send("ACK")
		r.platform.Expect("ACK")
		far.say(wanted(r.T, got.Body, 0), "to the victim")
		victim.deaf()
		own.deaf()
		r.bye(dialog, r.platform.NewCalleeDialog(got, answer))
	}
}

// hijack: who knows our port and even the SSRC, before and after the first packet, is heard by nobody and hears nothing.
func hijack(r *rig) {
	phone := r.phone("alice")
	near, far := newMouth(phone, r.T), newMouth(r.platform, r.T)
	thief := newMouthAt(r.T, netip.MustParseAddr(siptest.OwnIP()))
	sent, got := r.invite(phone, with(near.sdp()))
	answer := r.platform.Reply(got, 200, with(far.sdp()))
	ok := phone.Expect("200 INVITE")
	toward, towardFar := wanted(r.T, got.Body, 0), wanted(r.T, ok.Body, 0)
	dialog := phone.NewCallerDialog(sent, ok)
	dialog.Send("ACK")
	r.platform.Expect("ACK")
	spray := func() {
		thief.ssrc, thief.seq = near.ssrc, near.seq
		for range 50 {
			thief.say(towardFar, "thief")
		}
		far.say(toward, "for the phone")
		thief.deaf()
		far.deaf()
	}
	spray()
	near.say(towardFar, "it is me")
	far.hear("it is me")
	spray()
	near.say(towardFar, "still me")
	far.hear("still me")
	far.say(toward, "and me")
	near.hear("and me")
	r.bye(dialog, r.platform.NewCalleeDialog(got, answer))
}

// moves: a re-INVITE of either end moves where it wants its media; the other end sends on to where it did.
func moves(r *rig) {
	c := r.chat(r.phone("alice"))
	c.near = newMouth(c.call.phone.UA, r.T)
	c.reoffer("INVITE", c.call.phone, c.platform, c.near.sdp(), c.far.sdp())
	c.talk()
	c.far = newMouth(r.platform, r.T)
	c.reoffer("INVITE", c.platform, c.call.phone, c.far.sdp(), c.near.sdp())
	c.talk()
	r.bye(c.call.phone, c.platform)
	r.streams(0)
}

// teardown: wherever setting up a call ends, no port stays.
func teardown(r *rig) {
	phone := r.phone("alice")
	near, far := newMouth(phone, r.T), newMouth(r.platform, r.T)
	before := r.edge.Descriptors()
	for _, early := range []bool{false, true} { // cancelled
		sent, got := r.invite(phone, with(near.sdp()))
		phone.Expect("100")
		if early {
			r.platform.Reply(got, 183, with(far.sdp()))
			phone.Expect("183")
		} else {
			r.platform.Reply(got, 180)
			phone.Expect("180")
		}
		phone.Send(siptest.CancelOf(sent))
		r.platform.Reply(r.platform.Expect("CANCEL"), 200)
		r.platform.Reply(got, 487)
		phone.Send(siptest.AckOf(sent, phone.Expect("487")))
		r.streams(0)
	}
	for _, status := range []int{401, 404, 486, 503, 603} { // refused
		sent, got := r.invite(phone, with(near.sdp()))
		r.platform.Reply(got, status)
		phone.Send(siptest.AckOf(sent, phone.Expect(fmt.Sprint(status))))
		r.streams(0)
	}
	c := r.chat(phone)
	c.platform.UA.Mute(true) // the BYE is answered by nobody
	c.call.phone.Send("BYE")
	c.platform.UA.Mute(false)
	r.platform.Reply(r.platform.Expect("BYE"), 481)
	r.streams(0)
	if !siptest.Eventually(func() bool { return r.edge.Descriptors() <= before }) {
		r.Errorf("%d descriptors, %d before", r.edge.Descriptors(), before)
	}
}

// unusable: a 2xx whose description can't be read is acknowledged and hung up; the caller gets 500 and nothing more.
func unusable(r *rig) {
	phone, contact := r.registered("alice")
	for _, ends := range [][2]*siptest.UA{{phone, r.platform}, {r.platform, phone}} {
		from, to := ends[0], ends[1]
		m := from.Request("INVITE", "sip:bob@example.com")
		if from == r.platform {
			m = from.Request("INVITE", contact)
		}
		with(newMouth(from, r.T).sdp())(m)
		from.Send(m)
		got := to.Expect("INVITE")
		to.Reply(got, 200, with("v=0\r\nthis is none\r\n"))
		from.Send(siptest.AckOf(m, from.Expect("500 INVITE")))
		to.Expect("ACK")
		to.Reply(to.Expect("BYE"), 200)
		from.Silence(hush, "200", "ACK", "BYE")
		to.Reply(got, 200, with("v=0\r\nthis is none\r\n")) // its ACK was lost
		to.Expect("ACK")
		from.Silence(hush, "200", "ACK", "BYE")
		r.streams(0)
	}
}

// unusableLater: a 2xx to a re-INVITE whose description can't be read is acknowledged, each time that it comes; who asked gets 500, and the call
// goes on as it was. That of UPDATE has no ACK.
func unusableLater(r *rig) {
	c := r.chat(r.phone("alice"))
	for _, ends := range [][2]*siptest.Dialog{{c.call.phone, c.platform}, {c.platform, c.call.phone}} {
		from, to := ends[0], ends[1]
		for _, method := range []string{"INVITE", "UPDATE"} {
			m := from.Request(method)
			with(newMouth(from.UA, r.T).sdp("m=video 4000 RTP/AVP 31"))(m)
			from.UA.Send(m)
			got := to.UA.Expect(method)
			if method == "INVITE" {
				to.UA.Reply(got, 183, with(newMouth(to.UA, r.T).sdp())) // moves media for a while
				from.UA.Expect("183")
			}
			to.UA.Reply(got, 200, with("v=0\r\nthis is none\r\n"))
			failed := from.UA.Expect("500 " + method)
			if method == "INVITE" {
				from.UA.Send(siptest.AckOf(m, failed))
				for i := range 2 {
					if i > 0 {
						to.UA.Reply(got, 200, with("v=0\r\nthis is none\r\n"))
					}
					ack := to.UA.Expect("ACK")
					if n, _ := ack.CSeq(); n != from.CSeq || ack.RequestURI() != r.seen(from.Target, to.UA) || siptest.Branch(ack.Message) == siptest.Branch(got.Message) {
						r.Errorf("the ACK is\n%s", ack.Raw)
					}
				}
			}
			from.UA.Silence(hush, "200", "ACK", "BYE")
			to.UA.Silence(hush, "BYE")
			c.talk()
			r.streams(1)
		}
	}
	r.bye(c.call.phone, c.platform)
	r.streams(0)
}

// rolledBack: a re-INVITE that is refused changes nothing.
func rolledBack(r *rig) {
	c := r.chat(r.phone("alice"))
	other := newMouth(c.call.phone.UA, r.T)
	m := c.call.phone.Request("INVITE")
	with(other.sdp("m=video 4000 RTP/AVP 31"))(m)
	c.call.phone.UA.Send(m)
	got := r.platform.Expect("INVITE")
	r.streams(2)
	r.platform.Reply(got, 488)
	c.call.phone.UA.Send(siptest.AckOf(m, c.call.phone.UA.Expect("488")))
	r.streams(1)
	c.talk()
	other.deaf()
	r.bye(c.call.phone, c.platform)
	r.streams(0)
}

// glare: both ends offer at once, and both are refused (RFC 3261 §14.2).
func glare(r *rig) {
	c := r.chat(r.phone("alice"))
	a, b := c.call.phone.Request("INVITE"), c.platform.Request("INVITE")
	with(newMouth(c.call.phone.UA, r.T).sdp())(a)
	with(newMouth(r.platform, r.T).sdp())(b)
	c.call.phone.UA.Send(a)
	r.platform.Send(b)
	atPlatform, atPhone := r.platform.Expect("INVITE"), c.call.phone.UA.Expect("INVITE")
	r.platform.Reply(atPlatform, 491)
	c.call.phone.UA.Reply(atPhone, 491)
	c.call.phone.UA.Send(siptest.AckOf(a, c.call.phone.UA.Expect("491")))
	r.platform.Send(siptest.AckOf(b, r.platform.Expect("491")))
	c.talk()
	r.bye(c.call.phone, c.platform)
	r.streams(0)
}

func updated(r *rig) {
	c := r.chat(r.phone("alice"))
	c.near = newMouth(c.call.phone.UA, r.T)
	c.reoffer("UPDATE", c.call.phone, c.platform, c.near.sdp(), c.far.sdp())
	c.talk()
	r.bye(c.platform, c.call.phone)
	r.streams(0)
}

// linesComeAndGo: video is added, refused, added, and taken away.
func linesComeAndGo(r *rig) {
	c := r.chat(r.phone("alice"))
	nearV, farV := newMouth(c.call.phone.UA, r.T), newMouth(r.platform, r.T)
	video := func(m *mouth) string { return fmt.Sprintf("m=video %d RTP/AVP 31", m.addr().Port()) }
	_, answer := c.reoffer("INVITE", c.call.phone, c.platform, c.near.sdp(video(nearV)), c.far.sdp("m=video 0 RTP/AVP 31"))
	if wanted(r.T, answer.Body, 1).Port() != 0 {
		r.Errorf("a refused line has a port: %s", answer.Body)
	}
	r.streams(1)
	got, answer := c.reoffer("INVITE", c.call.phone, c.platform, c.near.sdp(video(nearV)), c.far.sdp(video(farV)))
	nearV.say(wanted(r.T, answer.Body, 1), "picture")
	farV.hear("picture")
	farV.say(wanted(r.T, got.Body, 1), "picture, too")
	nearV.hear("picture, too")
	c.talk()
	r.streams(2)
	c.reoffer("INVITE", c.platform, c.call.phone, c.far.sdp("m=video 0 RTP/AVP 31"), c.near.sdp("m=video 0 RTP/AVP 31"))
	c.talk()
	r.streams(1)
	r.bye(c.call.phone, c.platform)
	r.streams(0)
}

// multipart: the description among other parts is written anew, the others are not.
func multipart(r *rig) {
	phone := r.phone("alice")
	near, far := newMouth(phone, r.T), newMouth(r.platform, r.T)
	body := "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/sdp\r\n\r\n" + near.sdp() + "\r\n--b--\r\n"
	sent, got := r.invite(phone, func(m *siptest.Message) { m.Del("Content-Type").WithBody("multipart/mixed;boundary=b", body) })
	if !strings.HasPrefix(got.Body, "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n") || !strings.HasSuffix(got.Body, "--b--\r\n") {
		r.Errorf("the body became %q", got.Body)
	}
	answer := r.platform.Reply(got, 200, with(far.sdp()))
	ok := phone.Expect("200 INVITE")
	near.say(wanted(r.T, ok.Body, 0), "one")
	far.hear("one")
	far.say(wanted(r.T, got.Body, 0), "two")
	near.hear("two")
	dialog := phone.NewCallerDialog(sent, ok)
	dialog.Send("ACK")
	r.platform.Expect("ACK")
	r.bye(dialog, r.platform.NewCalleeDialog(got, answer))
}

// oddTypes: whatever some platform takes for a description is one, and never goes on as it came.
func oddTypes(r *rig) {
	phone := r.phone("alice")
	near, far := newMouth(phone, r.T), newMouth(r.platform, r.T)
	for _, kind := range []string{"", "application / sdp", "APPLICATION/SDP;charset=utf-8", "application/sdp, text/plain"} {
		as := func(m *siptest.Message) {
			if with(m.Body)(m); kind == "" {
				m.Del("Content-Type")
			} else {
				m.Set("Content-Type", kind)
			}
		}
		sent, got := r.invite(phone, with(near.sdp()), as)
		answer := r.platform.Reply(got, 200, with(far.sdp()), as)
		ok := phone.Expect("200 INVITE")
		c := &chat{r: r, near: near, far: far, toward: wanted(r.T, got.Body, 0), towardFar: wanted(r.T, ok.Body, 0)}
		if c.toward.Addr() != r.edge.Inside.Addr() || c.towardFar.Addr() != r.edge.Outside.Addr() {
			r.Errorf("%q: media was told to go to %v and %v", kind, c.toward, c.towardFar)
		}
		c.call = &call{phone.NewCallerDialog(sent, ok), r.platform.NewCalleeDialog(got, answer), sent, got}
		c.call.phone.Send("ACK")
		r.platform.Expect("ACK")
		c.talk()
		r.bye(c.call.phone, c.platform)
	}
	bad := phone.Request("INVITE", "sip:bob@example.com")
	with("not a description")(bad)
	phone.Send(bad.Del("Content-Type"))
	r.platform.Silence(hush, "INVITE")
	r.streams(0)
}

// strays: a description that is no offer and no answer does not leave.
func strays(r *rig) {
	phone := r.phone("alice")
	_, got := r.invite(phone, with(newMouth(phone, r.T).sdp()))
	r.platform.Reply(got, 488, with(newMouth(r.platform, r.T).sdp())) // what it could have done (RFC 3261 §21.4.26)
	if answer := phone.Expect("488"); answer.Body != "" || answer.Get("Content-Type") != "" {
		r.Errorf("488 came with %q", answer.Body)
	}
	r.streams(0)
	c := r.chat(phone)
	for _, method := range []string{"OPTIONS", "INFO"} { // what it could do (RFC 3261 §11.2), and what makes no sense
		phone.Send(c.call.phone.Request(method))
		r.platform.Reply(r.platform.Expect(method), 200, with(c.far.sdp()))
		if answer := phone.Expect("200 " + method); answer.Body != "" || answer.Get("Content-Type") != "" {
			r.Errorf("the answer to %s came with %q", method, answer.Body)
		}
	}
	c.talk()
	r.bye(c.call.phone, c.platform)
}

// candidates: ends that do ICE, in offers and answers of either side, early, in a dialog and among other parts, see one candidate for each port: ours.
func candidates(r *rig) {
	phone, contact := r.registered("alice")
	near, far := newMouth(phone, r.T), newMouth(r.platform, r.T)
	ice := func(m *mouth) string {
		return m.sdp("a=ice-ufrag:EsAw", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", fmt.Sprintf("a=candidate:9 1 UDP 2122260223 %v %d typ host", m.addr().Addr(), m.addr().Port()),
			"a=candidate:8 1 UDP 1686052607 10.77.0.9 9 typ srflx raddr 10.77.0.9 rport 9", "a=candidate:7 1 TCP 1518280447 10.77.0.9 9 typ host tcptype active")
	}
	ours := func(got *siptest.Received) {
		r.Helper()
		if n := strings.Count(got.Body, "a=candidate:"); n != 2 || strings.Count(got.Body, "a=ice-ufrag:") != 1 || strings.Contains(got.Body, "EsAw") {
			r.Errorf("%d candidates in\n%s", n, got.Raw)
		}
	}
	sent, got := r.invite(phone, with(ice(near)))
	r.platform.Reply(got, 183, with(ice(far)), siptest.With("Require", "100rel"), siptest.With("RSeq", "1"))
	early := phone.Expect("183")
	ours(early)
	prack := phone.NewCallerDialog(sent, early).Request("PRACK").Set("RAck", "1 1 INVITE")
	phone.Send(prack)
	r.platform.Reply(r.platform.Expect("PRACK"), 200)
	phone.Expect("200 PRACK")
	answer := r.platform.Reply(got, 200, with(ice(far)))
	ok := phone.Expect("200 INVITE")
	ours(ok)
	c := &chat{r: r, call: &call{phone.NewCallerDialog(sent, ok), r.platform.NewCalleeDialog(got, answer), sent, got}}
	c.call.phone.CSeq = 2
	ack := c.call.phone.Request("ACK").Set("CSeq", "1 ACK")
	phone.Send(ack)
	r.platform.Expect("ACK")
	for _, method := range []string{"UPDATE", "INVITE"} {
		asked, _ := c.reoffer(method, c.platform, c.call.phone, ice(far), ice(near))
		ours(asked)
	}
	r.bye(c.platform, c.call.phone)
	in := r.platform.Send(r.platform.Request("INVITE", contact).WithBody("multipart/mixed;boundary=b",
		"--b\r\nContent-Type: application/sdp\r\n\r\n"+ice(far)+"\r\n--b\r\nContent-Type: text/plain\r\n\r\nat "+r.platform.Addr.String()+"\r\n--b--\r\n"))
	got = phone.Expect("INVITE")
	ours(got)
	phone.Reply(got, 486)
	r.platform.Send(siptest.AckOf(in, r.platform.Expect("486")))
	r.streams(0)
}

// restarted: after kill -9 a re-INVITE brings media back, and BYE works.
func restarted(r *rig) {
	c, silent := r.chat(r.phone("alice")), r.chat(r.phone("bob"))
	r.edge.Kill()
	r.edge.Start()
	r.bye(silent.call.phone, silent.platform)
	got, answer := c.reoffer("INVITE", c.platform, c.call.phone, c.far.sdp(), c.near.sdp())
	c.towardFar, c.toward = wanted(r.T, got.Body, 0), wanted(r.T, answer.Body, 0)
	c.talk()
	r.bye(c.call.phone, c.platform)
	r.streams(0)
}
