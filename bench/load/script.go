package load

import (
	"fmt"
	"net/netip"
	"strconv"
)

// A script writes the messages of call number n: all of them are a function of n and of what the other end said.
type script struct {
	salt      uint32 // of this generator, so that two of them never share a Call-ID or tag
	domain    string
	callers   []netip.AddrPort
	hosts     []string // callers as text, "127.1.0.1:5066"
	platform  string   // the platform's address as text
	users     uint32   // how many addresses-of-record register
	scanner   string   // User-Agent of flood
	inviteSDP []byte
	answerSDP []byte
}

func newScript(salt uint32, cfg Config, callers []netip.AddrPort, platform netip.AddrPort) *script {
	s := &script{salt: salt, domain: cfg.Domain, callers: callers, platform: platform.String(), users: uint32(cfg.Users), scanner: "friendly-scanner"}
	for _, c := range callers {
		s.hosts = append(s.hosts, c.String())
	}
	s.inviteSDP = sdp(cfg.First.String(), 40000)
	s.answerSDP = sdp(cfg.Media.String(), 30000)
	return s
}

// sdp is a session description of the size a desk phone sends.
func sdp(host string, port int) []byte {
	return fmt.Appendf(nil, "v=0\r\no=bench 2890844526 2890842807 IN IP4 %s\r\ns=Example Phone call\r\nc=IN IP4 %s\r\nt=0 0\r\n"+
		"m=audio %d RTP/AVP 9 8 0 18 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\n"+
		"a=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:150\r\n"+
		"a=sendrecv\r\na=rtcp:%d IN IP4 %s\r\na=ssrc:314159 cname:alice@example.net\r\n", host, host, port, port+1, host)
}

// caller is the index of the caller that makes call n.
func (s *script) caller(n uint32) int { return int(n % uint32(len(s.callers))) }

// appendID appends the sixteen hexadecimal digits that name call n everywhere.
func (s *script) appendID(b []byte, n uint32) []byte { return appendHex(appendHex(b, s.salt), n) }

func appendHex(b []byte, v uint32) []byte {
	const digits = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, digits[v>>shift&15])
	}
	return b
}

// callOf reads the call number out of a From value that a script wrote.
func (s *script) callOf(from []byte) (n uint32, ok bool) {
	tag, found := param(from, "tag")
	if !found || len(tag) != 17 || tag[0] != 'f' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(tag[1:]), 16, 64)
	return uint32(v), err == nil && uint32(v>>32) == s.salt
}

// appendVia appends the Via line of a transaction of call n; kind makes its branch differ from the others of the call.
func (s *script) appendVia(b []byte, n uint32, kind byte) []byte {
	b = append(b, "Via: SIP/2.0/UDP "...)
	b = append(b, s.hosts[s.caller(n)]...)
	b = append(b, ";branch=z9hG4bKc"...)
	b = append(s.appendID(b, n), kind)
	return append(b, ";rport\r\nMax-Forwards: 70\r\n"...)
}

// appendParties appends From of call n, To with toTag if that is not empty, and Call-ID number callID.
func (s *script) appendParties(b []byte, n uint32, to string, toTag []byte, callID uint32) []byte {
	b = append(b, "From: \"Alice Example\" <sip:alice@"...)
	b = append(b, s.domain...)
	b = append(b, ">;tag=f"...)
	b = s.appendID(b, n)
	b = append(b, "\r\nTo: <sip:"...)
	b = append(b, to...)
	b = append(b, '@')
	b = append(b, s.domain...)
	b = append(b, '>')
	if len(toTag) > 0 {
		b = append(b, ";tag="...)
		b = append(b, toTag...)
	}
	b = append(b, "\r\nCall-ID: "...)
	b = s.appendID(b, callID)
	return append(b, "@caller.example.net\r\n"...)
}

// appendInvite appends the INVITE of call n: about 1.1 KB, 16 header fields, SDP.
func (s *script) appendInvite(b []byte, n uint32) []byte {
	b = append(b, "INVITE sip:bob@"...)
	b = append(b, s.domain...)
	b = append(b, " SIP/2.0\r\n"...)
	b = s.appendVia(b, n, 'i')
	b = s.appendParties(b, n, "bob", nil, n)
	b = append(b, "CSeq: 1 INVITE\r\nContact: <sip:alice@"...)
	b = append(b, s.hosts[s.caller(n)]...)
	b = append(b, ">\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY, SUBSCRIBE, MESSAGE\r\n"+
		"Supported: replaces, timer, 100rel\r\nUser-Agent: Example Phone 7.2.1\r\nAllow-Events: talk, hold, conference\r\n"+
		"Accept: application/sdp, application/dtmf-relay\r\nSession-Expires: 1800\r\nMin-SE: 90\r\n"+
		"Content-Type: application/sdp\r\n"...)
	return appendBody(b, s.inviteSDP)
}

// appendInDialog appends ACK (kind 'a') or BYE (kind 'b') of call n to target along the route set, given as in
// Record-Route (RFC 3261 §12.1.2: the caller uses it in reverse order).
func (s *script) appendInDialog(b []byte, n uint32, kind byte, target []byte, records [][]byte, toTag []byte) []byte {
	method, cseq := "ACK ", "CSeq: 1 ACK\r\n"
	if kind == 'b' {
		method, cseq = "BYE ", "CSeq: 2 BYE\r\n"
	}
	b = append(b, method...)
	b = append(b, target...)
	b = append(b, " SIP/2.0\r\n"...)
	b = s.appendVia(b, n, kind)
	for i := len(records) - 1; i >= 0; i-- {
		b = append(b, "Route: "...)
		b = append(b, records[i]...)
		b = append(b, "\r\n"...)
	}
	b = s.appendParties(b, n, "bob", toTag, n)
	b = append(b, cseq...)
	b = append(b, "User-Agent: Example Phone 7.2.1\r\n"...)
	return appendBody(b, nil)
}

// appendRegister appends a REGISTER; users take turns, so that every address-of-record is refreshed again and again
// (RFC 3261 §10.2.4: same Call-ID, rising CSeq).
func (s *script) appendRegister(b []byte, n uint32) []byte {
	user := s.user(n)
	b = append(b, "REGISTER sip:"...)
	b = append(b, s.domain...)
	b = append(b, " SIP/2.0\r\n"...)
	b = s.appendVia(b, n, 'r')
	b = s.appendParties(b, n, user, nil, n%s.users)
	b = append(b, "CSeq: "...)
	b = strconv.AppendUint(b, uint64(n/s.users)+1, 10)
	b = append(b, " REGISTER\r\nContact: <"...)
	b = append(b, s.ownContact(n)...)
	b = append(b, ">\r\nExpires: 3600\r\nUser-Agent: Example Phone 7.2.1\r\n"...)
	return appendBody(b, nil)
}

// user is the address-of-record that REGISTER n is for: the same one always comes from the same caller.
func (s *script) user(n uint32) string { return "u" + strconv.Itoa(int(n%s.users)) }

// ownContact is the Contact URI that the phone of REGISTER n uses.
func (s *script) ownContact(n uint32) string {
	return "sip:" + s.user(n) + "@" + s.hosts[int(n%s.users)%len(s.hosts)]
}

func (s *script) appendOptions(b []byte, n uint32) []byte {
	b = append(b, "OPTIONS sip:"...)
	b = append(b, s.domain...)
	b = append(b, " SIP/2.0\r\n"...)
	b = s.appendVia(b, n, 'o')
	b = s.appendParties(b, n, "bob", nil, n)
	b = append(b, "CSeq: 1 OPTIONS\r\nContact: <sip:alice@"...)
	b = append(b, s.hosts[s.caller(n)]...)
	b = append(b, ">\r\nAccept: application/sdp\r\nUser-Agent: Example Phone 7.2.1\r\n"...)
	return appendBody(b, nil)
}

// appendScan appends what a scanner sends: OPTIONS and REGISTER in turn.
func (s *script) appendScan(b []byte, n uint32) []byte {
	method := "OPTIONS"
	if n%2 == 1 {
		method = "REGISTER"
	}
	b = append(b, method...)
	b = append(b, " sip:100@"...)
	b = append(b, s.domain...)
	b = append(b, " SIP/2.0\r\n"...)
	b = s.appendVia(b, n, 's')
	b = s.appendParties(b, n, "100", nil, n)
	b = append(b, "CSeq: 1 "...)
	b = append(b, method...)
	b = append(b, "\r\nContact: <sip:100@"...)
	b = append(b, s.hosts[s.caller(n)]...)
	b = append(b, ">\r\nAccept: application/sdp\r\nUser-Agent: "...)
	b = append(b, s.scanner...)
	b = append(b, "\r\n"...)
	return appendBody(b, nil)
}

// appendAnswer appends the platform's response to req with its Vias, Record-Routes, From, Call-ID and CSeq (RFC 3261
// §8.2.6, §12.1.1). toTag is empty for 100; contact is the Contact value, empty for none.
func (s *script) appendAnswer(b []byte, req *message, line string, toTag, contact, body []byte) []byte {
	b = append(b, line...)
	for _, v := range req.vias {
		b = append(b, "Via: "...)
		b = append(b, v...)
		b = append(b, "\r\n"...)
	}
	for _, r := range req.records {
		b = append(b, "Record-Route: "...)
		b = append(b, r...)
		b = append(b, "\r\n"...)
	}
	b = appendField(b, "From: ", req.from)
	b = append(b, "To: "...)
	b = append(b, req.to...)
	if _, tagged := param(req.to, "tag"); !tagged && len(toTag) > 0 {
		b = append(b, ";tag="...)
		b = append(b, toTag...)
	}
	b = append(b, "\r\n"...)
	b = appendField(b, "Call-ID: ", req.callID)
	b = appendField(b, "CSeq: ", req.cseq)
	if len(contact) > 0 {
		b = appendField(b, "Contact: ", contact)
		b = append(b, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK\r\nSupported: replaces, timer\r\n"...)
	}
	if len(body) > 0 {
		b = append(b, "Content-Type: application/sdp\r\n"...)
	}
	return appendBody(b, body)
}

func appendField(b []byte, name string, value []byte) []byte {
	b = append(b, name...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

func appendBody(b, body []byte) []byte {
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}

// appendTag appends the To tag that the platform gives call n.
func (s *script) appendTag(b []byte, n uint32) []byte { return s.appendID(append(b, 't'), n) }

// contact is the platform's Contact URI.
func (s *script) contact() string { return "sip:bob@" + s.platform }
