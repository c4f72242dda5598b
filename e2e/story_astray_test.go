package e2e

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// A public is Kamailio behind an edge, which lets strangers call who is registered, a phone of its own network that is, and a gateway to the telephone
// network that takes whatever Kamailio sends.
type public struct {
	*rig
	kamailio *kamailio
	desk     *siptest.UA // inside, registered with Kamailio directly
	gateway  *siptest.UA
	veiled   bool // the platform is hidden
}

func newPublic(t *testing.T, hide bool) *public {
	t.Helper()
	k := startKamailio(t, place(t, siptest.OwnIP()), "kamailio.cfg", map[string]string{"OPEN": "1"})
	e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{k.uri("udp")}}, siptest.Keys{"topology": fmt.Sprintf("{hide: %v}", hide)})
	o := &public{veiled: hide, rig: &rig{T: t, edge: e, way: udp}, kamailio: k, desk: siptest.NewPlatform(t, "udp", ""), gateway: siptest.NewPlatform(t, "udp", "")}
	o.desk.User, o.desk.Proxy = "desk", k.addr
	o.registered(o.desk)
	return o
}

// registered registers ua with Kamailio, by its Proxy.
func (o *public) registered(ua *siptest.UA) {
	o.Helper()
	m := ua.Send(ua.Register())
	ua.Send(siptest.Authorize(m, ua.Expect("401"), ua.User, kamailioPassword))
	ua.Expect("200 REGISTER")
}

// rings lets from call to, which rings.
func (o *public) rings(from, to *siptest.UA) (caller *siptest.Dialog, sent *siptest.Message, got *siptest.Received) {
	o.Helper()
	sent = from.Send(from.Request("INVITE", to.AOR()))
	got = to.Expect("INVITE")
	to.Reply(got, 180)
	return from.NewCallerDialog(sent, from.Expect("180")), sent, got
}

// TestAstray: a stranger whose call rings is in a dialog that Kamailio forwards by Request-URI and Route. He reaches who he called and nobody else:
// neither the gateway to the telephone network by its address, nor by a Route.
func TestAstray(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "kamailio")
	for name, hide := range map[string]bool{"hidden": true, "shown": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newPublic(t, hide)
			mallory, bob := o.phone("mallory"), o.phone("bob")
			o.registered(bob)
			for _, callee := range []*siptest.UA{o.desk, bob} {
				caller, sent, got := o.rings(mallory, callee)
				o.astray(caller)
				answer := callee.Reply(got, 200)
				caller = mallory.NewCallerDialog(sent, mallory.Expect("200 INVITE"))
				caller.Send("ACK")
				callee.Expect("ACK")
				o.astray(caller)
				far := callee.NewCalleeDialog(got, answer)
				o.converse(caller, far)
				o.converse(far, caller)
				o.hangsUp(caller, far)
			}
		})
	}
}

// astray tries to reach the gateway in the dialog d: by the Request-URI, by one Route more, by fewer.
func (o *public) astray(d *siptest.Dialog) {
	o.Helper()
	premium := fmt.Sprintf("sip:0900123456@%v", o.gateway.Addr)
	for _, method := range []string{"INVITE", "REFER", "MESSAGE"} {
		foreign, further, behind := *d, *d, *d
		foreign.Target = premium
		further.Routes = append(slices.Clone(d.Routes), "<"+premium+";lr>")
		behind.Target, behind.Routes = premium, d.Routes[:1]
		ways := []*siptest.Dialog{&foreign, &behind}
		if !o.veiled { // else his Routes count for nothing
			ways = append(ways, &further)
		}
		for _, way := range ways {
			d.CSeq += 10
			way.CSeq = d.CSeq
			sent := way.Send(method)
			if final := d.UA.Expect("403 " + method); method == "INVITE" {
				d.UA.Send(siptest.AckOf(sent, final))
			}
		}
	}
	o.gateway.Silence(hush)
	d.UA.Flush()
}

// converse sends requests of every kind in a dialog, and re-INVITEs.
func (o *public) converse(from, to *siptest.Dialog) {
	o.Helper()
	to.UA.Flush()
	for _, method := range []string{"INFO", "UPDATE", "MESSAGE", "OPTIONS"} {
		from.Send(method)
		to.UA.Reply(to.UA.Expect(method), 200)
		from.UA.Expect("200 " + method)
	}
	from.UA.Send(from.Request("INVITE").WithBody("application/sdp", siptest.SDP))
	to.UA.Reply(to.UA.Expect("INVITE"), 200)
	from.Target = siptest.URI(from.UA.Expect("200 INVITE").Get("Contact"))
	from.Send("ACK")
	to.UA.Expect("ACK")
}

// hangsUp ends the call.
func (o *public) hangsUp(from, to *siptest.Dialog) {
	o.Helper()
	from.Send("BYE")
	to.UA.Reply(to.UA.Expect("BYE"), 200)
	from.UA.Expect("200 BYE")
}
