package e2e

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/siptest"
)

// leaks are header fields in which platforms tell of themselves, each with a mark of its own: those through which other edges let marks pass.
var leaks = []siptest.Field{
	{Name: "Server", Value: "mark-server/1.0"},
	{Name: "User-Agent", Value: "mark-agent/1.0"},
	{Name: "Warning", Value: `399 mark-warner "mark-warning"`},
	{Name: "Reason", Value: `Q.850;cause=16;text="mark-reason", SIP;cause=200;text="mark-reason-2", mark-pbx;cause=3`},
	{Name: "Organization", Value: "mark-organization"},
	{Name: "Subject", Value: "mark-subject"},
	{Name: "Session-ID", Value: "f81d4fae7dec11d0a76500a0c91e6bf6;mark-session=1"},
	{Name: "User-to-User", Value: "mark-uui;encoding=hex"},
	{Name: "X-Mark", Value: "mark-x"},
	{Name: "P-Mark", Value: "mark-p"},
	{Name: "Mark-Unheard-Of", Value: "unheard of, at 10.77.0.6"},
	{Name: "Referred-By", Value: `<sip:desk@mark-referrer.example:5080;maddr=10.77.0.6>;cid="mark-cid@10.77.0.6"`},
	{Name: "Reply-To", Value: "<sip:desk@mark-reply.example;maddr=10.77.0.6>"},
	{Name: "Call-Info", Value: "<http://mark-info.example/card>;purpose=card"},
	{Name: "Alert-Info", Value: "<http://mark-alert.example/ring.wav>"},
	{Name: "Error-Info", Value: "<sip:mark-error@10.77.0.6>"},
	{Name: "Geolocation", Value: "<cid:mark-place@10.77.0.6>"},
	{Name: "History-Info", Value: "<sip:desk@mark-history.example?Reason=SIP%3Bcause%3D302>;index=1"},
	{Name: "Diversion", Value: "<sip:desk@mark-diversion.example>;reason=unconditional"},
	{Name: "P-Asserted-Identity", Value: `"Desk" <sip:desk@mark-asserted.example;maddr=10.77.0.6>`},
	{Name: "P-Preferred-Identity", Value: "<sip:desk@mark-preferred.example>"},
	{Name: "Remote-Party-ID", Value: "<sip:desk@mark-rpid.example>;party=calling;screen=yes"},
	{Name: "P-Called-Party-ID", Value: "<sip:desk@mark-called.example>"},
	{Name: "P-Served-User", Value: "<sip:desk@mark-served.example>"},
	{Name: "P-Associated-URI", Value: "<sip:mark-associated@10.77.0.6>"},
	{Name: "P-Charging-Vector", Value: "icid-value=mark-icid@10.77.0.6;icid-generated-at=10.77.0.6;orig-ioi=example.com"},
	{Name: "P-Charging-Function-Addresses", Value: "ccf=10.77.0.6"},
	{Name: "P-Access-Network-Info", Value: "IEEE-802.3;mark-network=1"},
	{Name: "P-Visited-Network-ID", Value: "mark-visited"},
	{Name: "Feature-Caps", Value: "*;+g.3gpp.mark-feature"},
	{Name: "Accept-Contact", Value: "*;mark-accept"},
	{Name: "Reject-Contact", Value: "*;mark-reject"},
	{Name: "Identity", Value: "mark-passport;info=<https://mark-identity.example/cert>;alg=ES256"},
	{Name: "Path", Value: "<sip:mark-path@10.77.0.6;lr>"},
	{Name: "Service-Route", Value: "<sip:mark-service@10.77.0.6;lr>"},
	{Name: "In-Reply-To", Value: "mark-earlier@10.77.0.6, mark-earliest@10.77.0.6"},
	{Name: "Target-Dialog", Value: "mark-dialog@10.77.0.6;local-tag=1;remote-tag=2"},
	{Name: "Content-ID", Value: "<mark-content@10.77.0.6>"},
	{Name: "Retry-After", Value: "18 (mark-retry);duration=3600"},
	{Name: "Allow-Events", Value: "dialog, refer, x-mark-package"},
	{Name: "Supported", Value: "timer, x-mark-option"},
	{Name: "Authentication-Info", Value: `nextnonce="abc", mark-info="10.77.0.6"`},
	{Name: "Timestamp", Value: "10.770"},
	{Name: "Accept", Value: "application/sdp, application/x-mark-status"},
	{Name: "Accept-Encoding", Value: "identity, mark-coding"},
	{Name: "Accept-Language", Value: "en;q=0.5, x-mark.example"},
	{Name: "Answer-Mode", Value: "Manual;mark-answer"},
	{Name: "Content-Disposition", Value: "session;handling=optional;mark-disposition"},
	{Name: "Content-Language", Value: "en, mark.example"},
	{Name: "Flow-Timer", Value: "120;mark-timer"},
	{Name: "Identity-Info", Value: "<https://mark-certificates.example/cert>;alg=rsa-sha1"},
	{Name: "Info-Package", Value: "dtmf;x=mark-package"},
	{Name: "Min-Expires", Value: "60;mark-min"},
	{Name: "Min-SE", Value: "90;mark-min"},
	{Name: "P-Early-Media", Value: "supported, mark-media"},
	{Name: "Priority", Value: "mark-priority"},
	{Name: "Privacy", Value: "critical;mark-privacy"},
	{Name: "Recv-Info", Value: "dtmf, x-mark-package"},
	{Name: "Request-Disposition", Value: "no-fork, mark-disposition"},
	{Name: "Subscription-State", Value: "active;expires=60;reason=mark-reason;mark-state"},
}

// asking are those of them that only requests have.
var asking = []string{"Referred-By", "Reply-To", "In-Reply-To", "Target-Dialog", "Subject"}

// farProxy records itself behind the one that is at the platform's own address.
const farProxy = "<sip:10.77.0.7;lr;did=mark-did>"

// leaky lets the platform tell of itself in everything it sends: each field of leaks, Vias and Record-Routes of further servers, and a
// Contact full of names.
func (r *rig) leaky() {
	near := "<sip:" + r.platform.Addr.String() + ";lr;did=mark-did>"
	if r.way.in == "tcp" {
		near = strings.Replace(near, ";lr", ";transport=tcp;lr", 1)
	}
	r.recorded = []string{near, farProxy}
	r.platform.Domain = "pbx.mark-domain.example"
	r.platform.Alter = func(m *siptest.Message) {
		for _, f := range leaks {
			if m.Count(f.Name) == 0 && (m.IsRequest() || !slices.Contains(asking, f.Name)) {
				m.Add(f.Name, f.Value)
			}
		}
		if !m.IsRequest() && m.Status() > 100 {
			m.Start += " (mark-phrase)"
		}
		if r.relayed {
			r.leakyDescription(m)
		}
		if m.Method() == "ACK" || m.Method() == "CANCEL" {
			return
		}
		if m.IsRequest() {
			m.Add("Via", "SIP/2.0/UDP mark-via.example:5070;branch=z9hG4bKmark-branch;received=10.77.0.8")
		} else if m.Count("Record-Route") > 0 {
			m.Top("Record-Route", near).Top("Record-Route", farProxy)
		} else {
			m.Add("Record-Route", farProxy)
		}
		r.leakyContact(m)
	}
}

func (r *rig) leakyContact(m *siptest.Message) {
	_, method := m.CSeq()
	switch contact := m.Get("Contact"); {
	case method == "REGISTER" && !m.IsRequest() && m.Status() == 200:
		if at := slices.IndexFunc(m.Fields, func(f siptest.Field) bool { return f.Name == "Contact" }); at >= 0 {
			m.Fields[at].Value += `;received="sip:10.77.0.6:5060";mark-param=1`
		}
		m.Add("Contact", "<sip:mark-other@10.77.0.6>;expires=60")
	case method == "REGISTER" && m.IsRequest():
		m.Set("Contact", contact+`;+sip.instance="<urn:uuid:mark-instance>";reg-id=1;mark-param=1`)
	case contact == fmt.Sprintf("<%s>", siptest.URI(contact)) && method != "REGISTER":
		m.Set("Contact", `"mark-name" `+contact+`;+sip.instance="<urn:uuid:mark-instance>";+g.mark-feature;mark-param;isfocus`)
	}
}
