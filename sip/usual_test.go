package sip

import (
	"bytes"
	"reflect"
	"testing"
)

// checkUsual asserts that the decoder of usual lines says what that of the whole grammar does: it knows no name in lower case, so
// that the same message with its names spelled so is decoded by the other one.
func checkUsual(t *testing.T, m *Message, err error, datagram bool) {
	t.Helper()
	var lower Message
	lowerErr := lower.Parse(lowerNames(m.Raw), datagram)
	if err != lowerErr || m.errAt != lower.errAt || len(m.Fields) != len(lower.Fields) {
		t.Fatalf("%v at %d, in lower case %v at %d\n%q", err, m.errAt, lowerErr, lower.errAt, m.Raw)
	}
	for i := range m.Fields {
		a, b := m.Fields[i], lower.Fields[i]
		a.Canonical, b.Canonical = false, false
		if a != b {
			t.Fatalf("field %d: %+v, in lower case %+v\n%q", i, a, b, m.Raw)
		}
	}
	if a, b := decoded(m), decoded(&lower); a != b {
		t.Fatalf("%+v\nin lower case %+v\n%q", a, b, m.Raw)
	}
	checkStart(t, m.Raw, int(m.p.start))
	if err == nil {
		checkURIs(t, m)
	}
}

// checkStart asserts that a start line that is decoded at once means what the parser of any start line says.
func checkStart(t *testing.T, raw []byte, i int) (usual bool) {
	t.Helper()
	a, b := Message{Raw: raw}, Message{Raw: raw}
	next := a.usualStart(raw, i)
	if next > 0 {
		if end, e := b.oddStart(i); e != errNone || end != next || b.errAt != 0 {
			t.Fatalf("%d, and %v at %d or %d\n%q", next, e, end, b.errAt, raw)
		}
	}
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("%+v\n%+v\n%q", a, b, raw)
	}
	return next > 0
}

// TestUsualStart: start lines as nearly all are, and what is nearly one.
func TestUsualStart(t *testing.T) {
	for line, usual := range map[string]bool{
		"SIP/2.0 200 OK": true, "SIP/2.0 699 Refused": true, "SIP/2.0 100 Trying, \xff": true,
		"SIP/2.0 099 x": false, "SIP/2.0 700 x": false, "SIP/2.0 2000 x": false, "SIP/2.0 20x x": false, "SIP/2.0 200": false, "SIP/2.0  200 OK": false,
		"SIP/2.0 200 a\tb": false, "SIP/2.0 200 a\x00b": false, "sip/2.0 200 OK": false,
		"INVITE sip:bob@example.com SIP/2.0": true, "REGISTER sip:example.com SIP/2.0": true, "ACK sip:a;b?c@[2001:db8::1]:5060;lr SIP/2.0": true,
		"BYE sip:192.0.2.1;transport=udp SIP/2.0": true, "BYE sip:192.0.2.1:5060 SIP/2.0": false, "BYE sip:[2001:db8::1]:5060;transport=udp SIP/2.0": true,
		"SUBSCRIBE sip:a SIP/2.0": false, "OTHER sip:a@b SIP/2.0": false, "INVITE  sip:a@b SIP/2.0": false, "INVITE sip:a@b  SIP/2.0": false,
		"INVITE sip:@b SIP/2.0": false, "INVITE sip:a@ SIP/2.0": false, "INVITE sip:a@-b SIP/2.0": false, "INVITE sip:a:p@b SIP/2.0": false,
		"INVITE sip:a%41@b SIP/2.0": false, "INVITE sip:a@b?x=y SIP/2.0": false, "INVITE sip:a@b;x;x SIP/2.0": false, "INVITE sip:a@b:0 SIP/2.0": false,
		"INVITE SIP:a@b SIP/2.0": false, "INVITE sips:a@b SIP/2.0": false, "INVITE sip:a@b SIP/3.0": false, "INVITE sip:a@b sip/2.0": false,
		"INVITE sip:a@b SIP/2.0 ": false, "INVITE sip:a@192.0.2.300 SIP/2.0": false, "invite sip:a@b SIP/2.0": false,
	} {
		for _, end := range []string{"\r\n", "\r\nVia: SIP/2.0/UDP a.example\r\n"} {
			raw := []byte("\r\n" + line + end)
			if got := checkStart(t, raw, 2); got != usual {
				t.Errorf("%q: %v", raw, got)
			}
			for n := range raw {
				checkStart(t, raw[:n], min(2, n))
				checkStart(t, bytes.Replace(raw, raw[n:n+1], []byte("\n"), 1), 2)
			}
		}
	}
}

// checkURIs asserts that what Parse says of the URIs in To and Contact is what there is to read in them.
func checkURIs(t *testing.T, m *Message) {
	t.Helper()
	if u, err := ParseURI(m.Raw, m.To.URI); err != nil || u != m.ToURI {
		t.Fatalf("To: %+v, read again %+v, %v\n%q", m.ToURI, u, err, m.Raw)
	}
	c := m.Contact()
	if c == nil {
		return
	}
	if i := m.Find(FieldContact); i != c.Field || m.Next(FieldContact, i) >= 0 {
		t.Fatalf("the only Contact is in field %d, and there is one in field %d and perhaps another\n%q", c.Field, i, m.Raw)
	}
	a, after, err := NextAddress(m.Raw, m.Fields[c.Field].Value)
	if err != nil || after.Present() || a != c.Address {
		t.Fatalf("Contact: %+v, read again %+v, %v\n%q", c.Address, a, err, m.Raw)
	}
	if expires, ok := a.Param(m.Raw, "expires"); c.Expires.Present() && (!ok || expires != c.Expires || !all(expires.Of(m.Raw), cDigit)) || ok && !c.Expires.Present() {
		t.Fatalf("expires: %+v, read again %+v\n%q", c.Expires, expires, m.Raw)
	}
	if _, _, _, rest := NextParam(m.Raw, a.Params); rest.Present() {
		t.Fatalf("a Contact with more than one parameter\n%q", m.Raw)
	}
	if u, err := ParseURI(m.Raw, a.URI); err != nil || u != c.Decoded {
		t.Fatalf("Contact: %+v, read again %+v, %v\n%q", c.Decoded, u, err, m.Raw)
	}
}

// A decoding is what Parse has decoded of the fields.
type decoding struct {
	via            Via
	from, to       Address
	fromTag, toTag Span
	callID, body   Span
	cseq           CSeq
	forwards       int32
	length         int32
	toURI          URI
	defects        Defects
	first          [fieldIDs]uint16
	again          uint64
	reply          bool
	p              progress
}

func decoded(m *Message) decoding {
	return decoding{m.Via, m.From, m.To, m.FromTag, m.ToTag, m.CallID, m.Body, m.CSeq, m.MaxForwards, m.ContentLength, m.ToURI,
		m.Defects &^ DefectSpelling, m.first, m.again, m.reply, m.p}
}

// lowerNames returns raw with its field names in lower case.
func lowerNames(raw []byte) []byte {
	lines := bytes.SplitAfter(bytes.Clone(raw), []byte("\n"))
	first := true
	for _, line := range lines {
		colon := bytes.IndexByte(line, ':')
		if blank := len(bytes.Trim(line, "\r\n")) == 0; blank && !first {
			break
		} else if !first && colon > 0 {
			AppendLower(line[:0], line[:colon])
		} else if !blank {
			first = false
		}
	}
	return bytes.Join(lines, nil)
}

// TestUsual: every line that phones send as a rule is decoded at once, and everything that is nearly one of them is not.
func TestUsual(t *testing.T) {
	for _, c := range []struct {
		line  string
		usual bool
	}{
		{"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport", true},
		{"Via: SIP/2.0/TLS a.example;rport=5060;received=192.0.2.1;branch=z9hG4bK1", true},
		{"Via: SIP/2.0/UDP [2001:db8::1]", true},
		{"Via: SIP/2.0/UDP a;branch=z9hG4bK", false},
		{"Via: SIP/2.0/UDP a;rport;rport", false},
		{"Via: SIP/2.0/UDP a;rport=", false},
		{"Via: SIP/2.0/UDP a;rports", false},
		{"Via: SIP/2.0/UDP a;received=192.0.2.256", false},
		{"Via: SIP/2.0/UDP a;received=192.0.2.1x", false},
		{"Via: SIP/2.0/UDP a:0;branch=z9hG4bK1", false},
		{"Via: SIP/2.0/UDP a:65535;branch=z9hG4bK1", true},
		{"Via: SIP/2.0/UDP a:65536;branch=z9hG4bK1", false},
		{"Via: SIP/2.0/UDP a:005060;branch=z9hG4bK1", false},
		{"Via: SIP/2.0/UDP 1.2.3.4.5", false},
		{"Via: SIP/2.0/UDP 192.0.2.300", false},
		{"Via: SIP/2.0/UDP 192.0.2.01", false},
		{"Via: SIP/2.0/U P a", false},
		{"Via: SIP/2.0/UDP a, SIP/2.0/UDP b", false},
		{"Via: SIP/2.0/UDP  a", false},
		{"Via:  SIP/2.0/UDP a", false},
		{"From: <sip:a@example.com>;tag=1", true},
		{"From: \"A B\" <sip:a@example.com:5060;transport=udp>;tag=1", true},
		{"To: <sip:a@example.com>", true},
		{"To: <sip:a@example.com>;tag=", false},
		{"To: <sip:a@example.com>;tag=1;tag=2", false},
		{"To: <sip:a@example.com>, <sip:b@example.com>", false},
		{"To: <sip:a@-example.com>", false},
		{"To: <sip:a@example.com;x;x>", false},
		{"To: \"A\\\"\" <sip:a@example.com>", false},
		{"To: \"A, B\" <sip:a@example.com>", false},
		{"To: \"A\"  <sip:a@example.com>", false},
		{"To: <SIP:a@example.com>", false},
		{"To: <sip:a@example.com> ", false},
		{"To: <sip:a@example.com>\r\n ", false},
		{"Contact: <sip:a@192.0.2.1:5060>", true},
		{"Contact: <sip:a@192.0.2.1:5060>;expires=3600", true},
		{"Contact: <sip:a@192.0.2.1:5060>;expires=", false},
		{"Contact: <sip:a@192.0.2.1:5060>;expires=60 ", false},
		{"Contact: <sip:a@192.0.2.1:5060>;expires=1x", false},
		{"Contact: <sip:a@192.0.2.1:5060>;expires=60;q=1", false},
		{"Contact: <sip:a@192.0.2.1:5060>, <sip:b@192.0.2.1>", false},
		{"Contact: *", false},
		{"Route: <sip:a@192.0.2.1;lr>", true},
		{"Record-Route: <sip:a@192.0.2.1;lr>,<sip:b@192.0.2.1;lr>", false},
		{"Call-ID: a", true},
		{"Call-ID: a@b", true},
		{"Call-ID: a@b@c", false},
		{"Call-ID: a@", false},
		{"CSeq: 1 OPTIONS", true},
		{"CSeq: 1 INVITE", false},
		{"CSeq: 2147483648 OPTIONS", false},
		{"Max-Forwards: 255", true},
		{"Max-Forwards: 256", false},
		{"Content-Length: 65535", true},
		{"Content-Length: 65536", false},
		{"Content-Length: 00", false},
		{"X-Other: a", false},
	} {
		m := Message{Raw: []byte(c.line + "\r\nX: a long line that follows\r\n\r\n"), Method: OPTIONS, MethodName: Span{}}
		m.Raw = append(m.Raw, "OPTIONS"...)
		m.MethodName = span(len(m.Raw)-len("OPTIONS"), len(m.Raw))
		next := m.usual(0, mostFields)
		if (next > 0) != c.usual || c.usual && next != len(c.line)+2 {
			t.Errorf("%q: %d of %d", c.line, next, len(c.line))
		}
	}
}

// TestSameHost: a host that begins like one that the message has shown already is that one only where it ends there.
func TestSameHost(t *testing.T) {
	hosts := []string{"example.com", "example.co", "example.com.", "example.com-", "example.com.1", "example.com_", "example.com%41", "EXAMPLE.com",
		"192.0.2.1", "192.0.2.10", "192.0.2.1.", "192.0.2.1a", "192.0.2.", "[2001:db8::1]", "[2001:db8::1]a", "[2001:db8::1", "1.example.com", "a", "-a"}
	for _, one := range hosts {
		for _, other := range hosts {
			raw := []byte("REGISTER sip:" + one + " SIP/2.0\r\nVia: SIP/2.0/UDP " + one + ";branch=z9hG4bK1\r\nMax-Forwards: 70\r\n" +
				"From: <sip:a@" + other + ">;tag=1\r\nTo: <sip:b@" + other + ":5060>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n" +
				"Contact: <sip:a@" + other + ";transport=udp>;expires=60\r\nContent-Length: 0\r\n\r\n")
			var m Message
			err := m.Parse(raw, true)
			checkUsual(t, &m, err, true)
			_, oneErr := ParseURI([]byte("sip:"+one), Span{0, uint32(4 + len(one))})
			_, otherErr := ParseURI([]byte("sip:"+other), Span{0, uint32(4 + len(other))})
			if (err == nil) != (oneErr == nil && otherErr == nil) {
				t.Errorf("%s, then %s: %v; alone %v, %v", one, other, err, oneErr, otherErr)
			}
		}
	}
}
