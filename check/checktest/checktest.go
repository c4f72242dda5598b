// Package checktest makes the messages that tests of checks look at.
package checktest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// Start is when tests begin.
var Start = time.Unix(1_700_000_000, 0)

// Key is the key of tests.
var Key = meter.NewKey([16]byte{1, 2, 3})

// Request is a request of a phone. A line of fields replaces the field of its name, or is added.
func Request(method, uri string, fields ...string) string {
	lines := []string{method + " " + uri + " SIP/2.0", "Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK524287",
		"From: <sip:1001@example.com>;tag=a73kszlfl", "To: <" + uri + ">", "Call-ID: 1j9FpLxk3uxtm8tn", "CSeq: 1 " + method,
		"Contact: <sip:1001@192.168.1.20:5060>", "User-Agent: ExamplePhone 4.0", "Content-Length: 0"}
	for _, f := range fields {
		name, _, _ := strings.Cut(f, ":")
		found := false
		for i, l := range lines[1:] {
			if strings.HasPrefix(l, name+":") {
				lines[i+1], found = f, true
			}
		}
		if !found {
			lines = append(lines, f)
		}
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// Response is a response with that status to a request that Request made.
func Response(status int, fields ...string) string {
	return fmt.Sprintf("SIP/2.0 %d X\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK524287\r\nFrom: <sip:1001@example.com>;tag=a\r\n"+
		"To: <sip:1001@example.com>;tag=b\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n%sContent-Length: 0\r\n\r\n", status, strings.Join(append(fields, ""), "\r\n"))
}

// Exchange is the message text from an unknown source outside, over UDP, received at Start. What the judge would have found out is left to the test.
func Exchange(t testing.TB, text string) *edge.Exchange {
	t.Helper()
	m := new(sip.Message)
	if err := m.Parse([]byte(text), true); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	from := edge.Flow{Remote: netip.MustParseAddrPort("198.51.100.7:5060")}
	return &edge.Exchange{Msg: m, From: from, At: Start, Asked: edge.Asked{From: from, Method: m.Method, Source: Key.Addr(from.Remote.Addr()),
		Port: Key.AddrPort(from.Remote), User: 1001, Target: 2002}}
}

// Opinion is what a check said, the zero Verdict where that was nothing.
func Opinion(v *edge.Verdict) edge.Verdict {
	if v == nil {
		return edge.Verdict{}
	}
	return *v
}

// Reply makes x the exchange of a response with that status to what x was.
func Reply(t testing.TB, x *edge.Exchange, status int, fields ...string) *edge.Exchange {
	t.Helper()
	r := Exchange(t, Response(status, fields...))
	r.Asked, r.At, r.Match = x.Asked, x.At, edge.MatchReply
	return r
}
