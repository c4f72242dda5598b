package e2e

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/siptest"
)

// P13 and P14 look at the Via that the platform gets and the phone gets back.
func p13(r *rig) {
	phone := r.phone("alice")
	r.via(phone, "10.255.255.1:9;rport", true)
}

func p14(r *rig) {
	phone := r.phone("alice")
	r.via(phone, "10.255.255.1:9", false)
}

// via sends an INVITE with this sent-by and wants received (and rport if asked) with the true source in it, and the reply
// at the source all the same.
func (r *rig) via(phone *siptest.UA, by string, rport bool) {
	branch := siptest.NewBranch()
	_, got := r.invite(phone, set("Via", "SIP/2.0/"+strings.ToUpper(r.way.out)+" "+by+";branch="+branch))
	source := phone.Addr
	if r.stream() {
		source = netip.MustParseAddrPort(phone.Connection(r.edge.Outside).LocalAddr().String())
	}
	r.platform.Reply(got, 180)
	reply := phone.Expect("180")
	for _, via := range []string{got.All("Via")[1], reply.All("Via")[0]} {
		received, _ := siptest.Param(via, "received")
		port, has := siptest.Param(via, "rport")
		if received != source.Addr().String() || has != rport || rport && port != portOf(source) {
			r.Errorf("Via %q, want the source %v in it", via, source)
		}
	}
	if b := siptest.Branch(reply.Message); b != branch {
		r.Errorf("branch %q came back as %q", branch, b)
	}
}

func portOf(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }

// P57: what comes in compact leaves in long form.
func p57(r *rig) {
	phone := r.phone("alice")
	sent := phone.Request("INVITE", "sip:bob@example.com").Add("Supported", "timer").Add("Subject", "hello")
	short := map[string]string{"Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Contact": "m", "Content-Type": "c",
		"Supported": "k", "Subject": "s"}
	wire := sent.Clone()
	for i, f := range wire.Fields {
		if name, ok := short[f.Name]; ok {
			wire.Fields[i].Name = name
		}
	}
	phone.SendTo(r.edge.Outside, r.way.out, strings.Replace(wire.String(), "Content-Length", "l", 1))
	got := r.platform.Expect("INVITE")
	for _, f := range got.Fields {
		if len(f.Name) == 1 {
			r.Errorf("compact name left the edge: %s: %s", f.Name, f.Value)
		}
	}
	for _, name := range []string{"From", "To", "Call-ID", "Contact", "Content-Type", "Supported", "Subject"} {
		r.equal(name, sent, got)
	}
	if got.Body != sent.Body {
		r.Errorf("body changed:\n%s", got.Raw)
	}
	r.platform.Reply(got, 486)
	phone.Expect("486")
}

// P69: RFC 2543 clients, with a branch without the cookie and with none.
func p69(r *rig) {
	for _, param := range []string{";branch=1", ""} {
		phone := r.phone("alice")
		via := "SIP/2.0/" + strings.ToUpper(r.way.out) + " " + phone.Addr.String() + param
		sent, got := r.invite(phone, set("Via", via))
		if b := siptest.Branch(got.Message); !strings.HasPrefix(b, "z9hG4bK") || b == "z9hG4bK" {
			r.Errorf("our branch is %q", b)
		}
		phone.Send(sent)
		r.platform.Silence(hush, "INVITE")
		r.platform.Reply(got, 180)
		phone.Expect("180")
		phone.Send(siptest.CancelOf(sent))
		phone.Expect("200 CANCEL")
		r.cancelled(phone, sent, got) // its 487 is ACKed by the phone
		r.platform.Silence(hush, "ACK", "INVITE")
		if r.stream() {
			continue
		}
		phone.Silence(700*1e6, "487") // no retransmission (Timer G): the ACK was matched
	}
}
