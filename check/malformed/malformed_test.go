package malformed

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

func TestUnreadable(t *testing.T) {
	honest := checktest.Request("INVITE", "sip:1@example.com")
	for name, c := range map[string]struct {
		text  string
		score float64
	}{
		"jaK":                    {"jaK", 0},
		"zeros":                  {strings.Repeat("\x00", 64), 0},
		"STUN":                   {"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl", 0},
		"HTTP":                   {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", serious},
		"TLS on UDP":             {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03ZZZZZZZZZZ", serious},
		"another version":        {strings.Replace(honest, "SIP/2.0", "SIP/7.0", 1), serious},
		"negative length":        {strings.Replace(honest, "Length: 0", "Length: -5", 1), serious},
		"CSeq of another method": {strings.Replace(honest, "1 INVITE", "1 BYE", 1), serious},
		"Max-Forwards":           {strings.Replace(honest, "User-Agent", "Max-Forwards: 99999999999\r\nUser-Agent", 1), mild},
		"no Call-ID":             {strings.Replace(honest, "Call-ID", "X-Call-ID", 1), mild},
	} {
		var m sip.Message
		err := m.Parse([]byte(c.text), true)
		if err == nil {
			t.Fatalf("%s can be parsed", name)
		}
		v := checktest.Opinion(New().Unreadable(&edge.Exchange{Msg: &m, At: checktest.Start}, err.(sip.Error)))
		if v.Score != c.score || c.score > 0 && (v.Most != most || v.Action != edge.Drop) {
			t.Errorf("%s (%v): %+v", name, err, v)
		}
	}
}

func TestOddities(t *testing.T) {
	if v := checktest.Opinion(New().Inspect(checktest.Exchange(t, checktest.Request("INVITE", "sip:1@example.com")))); v.Score != 0 {
		t.Errorf("an honest request: %+v", v)
	}
	if v := checktest.Opinion(New().Inspect(checktest.Exchange(t, checktest.Request("INVITE", "sip:1@example.com", `Subject: "a"`, "Content-Length: 0\r\nContent-Length: 0")))); v.Score != mild {
		t.Errorf("Content-Length twice: %+v", v)
	}
}
