package siptest

import (
	"fmt"
	"slices"
	"strings"
)

// A Dialog is one end of a dialog (RFC 3261 §12): it knows the route set and the remote target and writes requests that
// follow them.
type Dialog struct {
	UA            *UA
	CallID        string
	Local, Remote string   // From and To of the requests it sends, with their tags
	Target        string   // remote target: the URI of the far end's Contact
	Routes        []string // route set
	CSeq          int      // number of the last request sent
}

// NewCallerDialog is the dialog of the UA that sent request sent and got reply, a 101 to 299 (RFC 3261 §12.1.2: the route
// set is Record-Route in reverse).
func (ua *UA) NewCallerDialog(sent *Message, reply *Received) *Dialog {
	routes := reply.All("Record-Route")
	slices.Reverse(routes)
	n, _ := sent.CSeq()
	return &Dialog{UA: ua, CallID: reply.Get("Call-ID"), Local: reply.Get("From"), Remote: reply.Get("To"),
		Target: URI(reply.Get("Contact")), Routes: routes, CSeq: n}
}

// NewCalleeDialog is the dialog of the UA that got request and answered with reply (RFC 3261 §12.1.1: the route set is
// Record-Route in order).
func (ua *UA) NewCalleeDialog(request *Received, reply *Message) *Dialog {
	return &Dialog{UA: ua, CallID: request.Get("Call-ID"), Local: reply.Get("To"), Remote: request.Get("From"),
		Target: URI(request.Get("Contact")), Routes: request.All("Record-Route")}
}

// Request makes a request in the dialog (RFC 3261 §12.2.1.1): to the remote target with the route set, or, if the first
// route is a strict router, to that with the remote target as the last route. ACK keeps the number of the last INVITE.
func (d *Dialog) Request(method string) *Message {
	if method != "ACK" && method != "CANCEL" {
		d.CSeq++
	}
	uri, routes := d.Target, d.Routes
	if len(routes) > 0 {
		if _, loose := Param(URI(routes[0]), "lr"); !loose {
			uri = URI(routes[0])
			routes = append(slices.Clone(routes[1:]), "<"+d.Target+">")
		}
	}
	m := &Message{Start: method + " " + uri + " SIP/2.0"}
	m.Add("Via", d.UA.via(d.transport()))
	for _, route := range routes {
		m.Add("Route", route)
	}
	m.Add("Max-Forwards", "70").Add("From", d.Local).Add("To", d.Remote).Add("Call-ID", d.CallID)
	m.Add("CSeq", fmt.Sprint(d.CSeq, " ", method))
	if !slices.Contains([]string{"ACK", "BYE", "PRACK", "MESSAGE"}, method) {
		m.Add("Contact", d.UA.Contact())
	}
	return m
}

// transport is what the first hop of the dialog asks for.
func (d *Dialog) transport() string {
	if len(d.Routes) > 0 {
		if _, transport, ok := Hop(URI(d.Routes[0])); ok {
			return transport
		}
	}
	return d.UA.Transport
}

// Send makes a request in the dialog and sends it.
func (d *Dialog) Send(method string) *Message {
	d.UA.t.Helper()
	return d.UA.Send(d.Request(method))
}

// WithTag is the dialog as the far end's other fork sees it: the same with another remote tag.
func (d *Dialog) WithTag(tag string) *Dialog {
	c := *d
	remote, _, _ := strings.Cut(c.Remote, ";tag=")
	c.Remote = remote + ";tag=" + tag
	return &c
}
