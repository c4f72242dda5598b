package siptest

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// SDP is a session description for tests. Address and port lead nowhere.
const SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"

// ID is a fresh random token, fit for tags, Call-IDs and, behind the magic cookie, branches.
func ID() string { return rand.Text()[:16] }

// NewBranch is a fresh branch with the magic cookie (RFC 3261 §8.1.1.7).
func NewBranch() string { return "z9hG4bK" + ID() }

// AOR is the UA's address of record.
func (ua *UA) AOR() string { return "sip:" + ua.User + "@" + ua.Domain }

// Contact is the UA's Contact value.
func (ua *UA) Contact() string {
	scheme := "sip"
	if ua.Sips {
		scheme = "sips"
	}
	return fmt.Sprintf("<%s:%s@%s%s>", scheme, ua.User, ua.sentBy(), ua.transportParam())
}

// via is a fresh topmost Via of the UA for a transport.
func (ua *UA) via(transport string) string {
	if ua.Transport == "wss" && transport == "ws" { // what URIs say of both (RFC 7118 §5.2)
		transport = "wss"
	}
	return fmt.Sprintf("SIP/2.0/%s %s;rport;branch=%s", strings.ToUpper(transport), ua.sentBy(), NewBranch())
}

// sentBy is what the UA calls its own place: a WebSocket client does not know any and makes up a name (RFC 7118 §5).
func (ua *UA) sentBy() string {
	if ua.Transport == "ws" || ua.Transport == "wss" {
		return ua.User + "-" + strconv.Itoa(int(ua.Addr.Port())) + ".invalid"
	}
	return ua.Addr.String()
}

// template is a request as a phone writes it: start line, Via, From with its tag, To, Call-ID, CSeq, Contact.
const template = "%s %s SIP/2.0\r\n" +
	"Via: %s\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: \"%s\" <%s>;tag=%s\r\n" +
	"To: <%s>\r\n" +
	"Call-ID: %s\r\n" +
	"CSeq: 1 %s\r\n" +
	"Contact: %s\r\n" +
	"Content-Length: 0\r\n\r\n"

// Request makes a request outside a dialog to uri with everything that RFC 3261 §8.1.1 asks for; an INVITE carries SDP.
// Change it with the methods of Message.
func (ua *UA) Request(method, uri string) *Message {
	ua.t.Helper()
	m, err := Parse(fmt.Sprintf(template, method, uri, ua.via(ua.Transport), ua.User, ua.AOR(), ID(), uri, ID(), method, ua.Contact()))
	if err != nil {
		ua.t.Fatalf("siptest: template: %v", err)
	}
	if method == "INVITE" {
		m.WithBody("application/sdp", SDP)
	}
	return m
}

// Register makes a REGISTER of the UA for its own address of record, for an hour.
func (ua *UA) Register() *Message {
	ua.t.Helper()
	return ua.Request("REGISTER", "sip:"+ua.Domain).Set("To", "<"+ua.AOR()+">").Set("Expires", "3600")
}

// Again is m as a new request of the same sender: a fresh branch and the next CSeq number (RFC 3261 §22.2, §10.2.4).
func Again(m *Message) *Message {
	n, method := m.CSeq()
	return newBranch(m.Clone()).Set("CSeq", fmt.Sprint(n+1, " ", method))
}

// newBranch gives the topmost Via of m, which must stand in a line of its own, a fresh branch. It returns m.
func newBranch(m *Message) *Message {
	via := m.Get("Via")
	old, _ := Param(via, "branch")
	m.Fields[m.index("Via")].Value = strings.Replace(via, old, NewBranch(), 1)
	return m
}

// index is that of the first field of that name, -1 if there is none.
func (m *Message) index(name string) int {
	for i, f := range m.Fields {
		if canonical(f.Name) == canonical(name) {
			return i
		}
	}
	return -1
}

// CancelOf makes the CANCEL of a request as it was sent (RFC 3261 §9.1).
func CancelOf(sent *Message) *Message { return hopRequest(sent, "CANCEL", sent.Get("To")) }

// AckOf makes the ACK of a final response of 300 and more to an INVITE as it was sent (RFC 3261 §17.1.1.3).
func AckOf(sent *Message, final *Received) *Message { return hopRequest(sent, "ACK", final.Get("To")) }

// hopRequest makes a request that belongs to the transaction of sent.
func hopRequest(sent *Message, method, to string) *Message {
	n, _ := sent.CSeq()
	m := &Message{Start: method + " " + sent.RequestURI() + " SIP/2.0"}
	m.Add("Via", sent.All("Via")[0]).Add("Max-Forwards", "70").Add("From", sent.Get("From")).Add("To", to)
	m.Add("Call-ID", sent.Get("Call-ID")).Add("CSeq", fmt.Sprint(n, " ", method))
	for _, route := range sent.All("Route") {
		m.Add("Route", route)
	}
	return m
}

// Send sends a request to its next hop: the topmost Route, else the UA's Proxy, else the Request-URI. It returns m.
func (ua *UA) Send(m *Message) *Message {
	ua.t.Helper()
	addr, transport := ua.Proxy, ua.Transport
	if routes := m.All("Route"); len(routes) > 0 || !addr.IsValid() {
		target := m.RequestURI()
		if len(routes) > 0 {
			target = URI(routes[0])
		}
		var ok bool
		if addr, transport, ok = Hop(target); !ok {
			ua.t.Fatalf("%s: no address to send to in %q:\n%s", ua.User, target, m)
		}
	}
	ua.SendTo(addr, transport, ua.altered(m).String())
	return m
}

// altered is m as it is sent.
func (ua *UA) altered(m *Message) *Message {
	if ua.Alter == nil {
		return m
	}
	m = m.Clone()
	ua.Alter(m)
	return m
}

// SendTo sends bytes to addr over "udp" or a stream transport; on streams over the connection that it has to addr, or a new one.
func (ua *UA) SendTo(addr netip.AddrPort, transport, raw string) {
	ua.t.Helper()
	if err := ua.TrySend(addr, transport, raw); err != nil {
		ua.t.Errorf("%s: send: %v", ua.User, err)
	}
}

// TrySend is SendTo without failing the test.
func (ua *UA) TrySend(addr netip.AddrPort, transport, raw string) (err error) {
	if transport == "udp" {
		if ua.udp == nil {
			return fmt.Errorf("%s speaks streams only, but is to send over UDP to %v", ua.User, addr)
		}
		_, err = ua.udp.WriteToUDPAddrPort([]byte(raw), addr)
		return err
	}
	conn := ua.Connection(addr)
	if conn == nil {
		if conn, err = ua.Dial(addr); err != nil {
			return err
		}
	}
	return conn.send(raw)
}

// Reply answers request r with status: Vias, From, To (with a tag that is the UA's own for the Call-ID), Call-ID and CSeq
// as they came, its Record-Routes and a Contact where a dialog may begin (RFC 3261 §8.2.6, §12.1.1), SDP in a 2xx to
// INVITE. change alters it before it is sent. It returns what was sent.
func (ua *UA) Reply(r *Received, status int, change ...func(*Message)) *Message {
	ua.t.Helper()
	m := ua.Draft(r, status)
	for _, f := range change {
		f(m)
	}
	if err := ua.sendReply(r, ua.altered(m).String()); err != nil && !ua.isClosed() {
		ua.t.Errorf("%s: reply: %v", ua.User, err)
	}
	if status >= 200 && r.transaction() != "" {
		ua.mu.Lock()
		ua.ended[r.transaction()] = true
		ua.mu.Unlock()
	}
	return m
}

// Draft is what Reply would send, not sent.
func (ua *UA) Draft(r *Received, status int) *Message {
	m := &Message{Start: fmt.Sprintf("SIP/2.0 %d %s", status, reason(status))}
	for _, f := range r.Fields {
		if canonical(f.Name) == "via" {
			m.Add("Via", f.Value)
		}
	}
	to := r.Get("To")
	if Tag(to) == "" && status > 100 {
		to += fmt.Sprintf(";tag=%s-%x", ua.User, sha256.Sum256([]byte(r.Get("Call-ID"))))[:len(ua.User)+20]
	}
	m.Add("From", r.Get("From")).Add("To", to).Add("Call-ID", r.Get("Call-ID")).Add("CSeq", r.Get("CSeq"))
	_, method := r.CSeq()
	if status > 100 && status < 300 && method != "REGISTER" && method != "CANCEL" {
		for _, route := range r.All("Record-Route") {
			m.Add("Record-Route", route)
		}
		m.Add("Contact", ua.Contact())
	}
	if method == "INVITE" && status >= 200 && status < 300 {
		m.WithBody("application/sdp", SDP)
	}
	return m
}

// sendReply sends a response where RFC 3261 §18.2.2 and RFC 3581 §4 want it: on the request's connection; to its source if
// the topmost Via has rport; else to the source address and the port of the sent-by.
func (ua *UA) sendReply(r *Received, raw string) error {
	if r.Conn != nil {
		return r.Conn.send(raw)
	}
	to := r.From
	via := r.All("Via")[0]
	if _, ok := Param(via, "rport"); !ok {
		if by, ok := addrPort(sentBy(via)); ok {
			to = netip.AddrPortFrom(to.Addr(), by.Port())
		}
	}
	_, err := ua.udp.WriteToUDPAddrPort([]byte(raw), to)
	return err
}

// Tagged gives a reply another To tag: a second branch of a fork.
func Tagged(tag string) func(*Message) {
	return func(m *Message) {
		to, _, _ := strings.Cut(m.Get("To"), ";tag=")
		m.Set("To", to+";tag="+tag)
	}
}

// With sets a field of a reply.
func With(name, value string) func(*Message) {
	return func(m *Message) { m.Set(name, value) }
}

// reason is a phrase for status. Nothing depends on it.
func reason(status int) string {
	phrases := map[int]string{100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted",
		401: "Unauthorized", 407: "Proxy Authentication Required", 422: "Session Interval Too Small",
		481: "Call/Transaction Does Not Exist", 486: "Busy Here", 487: "Request Terminated", 503: "Service Unavailable"}
	if p, ok := phrases[status]; ok {
		return p
	}
	return "Whatever"
}
