package challenge

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func parsed(t testing.TB, text string) *sip.Message {
	t.Helper()
	m := new(sip.Message)
	if err := m.Parse([]byte(text), true); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return m
}

// message is a request, or with a status a response to it.
func message(t testing.TB, start, method, user string, lines ...string) *sip.Message {
	t.Helper()
	return parsed(t, start+"\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:"+user+"@example.com>;tag=a\r\nTo: <sip:"+user+
		"@example.com>\r\nCall-ID: c\r\nCSeq: 1 "+method+"\r\n"+strings.Join(append(lines, ""), "\r\n")+"Content-Length: 0\r\n\r\n")
}

func register(t testing.TB, user string, lines ...string) *sip.Message {
	return message(t, "REGISTER sip:example.com SIP/2.0", "REGISTER", user, lines...)
}

func newKeys(t testing.TB, path string) *seal.Keys {
	t.Helper()
	keys, err := seal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func flow(addr string, transport edge.Transport) edge.Flow {
	return edge.Flow{Remote: netip.MustParseAddrPort(addr), Transport: transport}
}

// TestNonces (B11): a nonce proves its own flow for five minutes, over a restart, and nothing else.
func TestNonces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	n, m := NewNonces(newKeys(t, path)), register(t, "100")
	home := flow("198.51.100.7:5060", edge.UDP)
	nonce := n.Append(nil, home, now)
	if again := n.Append(nil, home, now.Add(999*time.Millisecond)); string(again) != string(nonce) {
		t.Errorf("within a second %s and %s", nonce, again)
	}
	if len(nonce) != 40 || strings.ContainsAny(string(nonce), "\"\\ ,") {
		t.Errorf("%q", nonce)
	}
	restarted := NewNonces(newKeys(t, path))
	stranger := NewNonces(newKeys(t, filepath.Join(t.TempDir(), "other")))
	altered := []byte(string(nonce))
	altered[20] ^= 1
	for _, c := range []struct {
		what  string
		n     *Nonces
		nonce string
		from  edge.Flow
		after time.Duration
		want  edge.Answer
	}{
		{"at once", n, string(nonce), home, 0, edge.AnswerFresh},
		{"after 5 minutes", n, string(nonce), home, Life, edge.AnswerFresh},
		{"later", n, string(nonce), home, Life + time.Second, edge.AnswerVoid},
		{"before it was made", n, string(nonce), home, -time.Minute, edge.AnswerVoid},
		{"from another address", n, string(nonce), flow("198.51.100.8:5060", edge.UDP), 0, edge.AnswerVoid},
		{"from another port", n, string(nonce), flow("198.51.100.7:5061", edge.UDP), 0, edge.AnswerVoid},
		{"over a stream", n, string(nonce), flow("198.51.100.7:5060", edge.TCP), 0, edge.AnswerVoid},
		{"after a restart", restarted, string(nonce), home, time.Minute, edge.AnswerFresh},
		{"of others", stranger, string(nonce), home, 0, edge.AnswerNone},
		{"altered", n, string(altered), home, 0, edge.AnswerNone},
		{"the platform's", n, "1700000000/0123456789abcdef0123456789abcdef", home, 0, edge.AnswerNone},
		{"of our length", n, strings.Repeat("a", 40), home, 0, edge.AnswerNone},
		{"none", n, "", home, 0, edge.AnswerNone},
		{"of a stream", n, string(n.Append(nil, flow("198.51.100.7:40000", edge.TCP), now)), flow("198.51.100.7:40001", edge.TLS), 0, edge.AnswerFresh},
		{"of a stream, elsewhere", n, string(n.Append(nil, flow("198.51.100.7:40000", edge.TCP), now)), flow("198.51.100.9:40000", edge.TCP), 0, edge.AnswerVoid},
	} {
		if got := c.n.Open([]byte(c.nonce), m, c.from, now.Add(c.after)); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// TestSteadyNonces: for five minutes the same one for a user from one place, so that equal passwords give equal answers, or for a day for a user from one
// address, whatever the port and the transport, where an answer proves nothing; no other user's, no other's, and not for ever.
func TestSteadyNonces(t *testing.T) {
	n := NewNonces(newKeys(t, filepath.Join(t.TempDir(), "key")))
	home, m := flow("198.51.100.7:5060", edge.UDP), register(t, "100")
	for _, c := range []struct {
		what    string
		add     func([]byte, *sip.Message, edge.Flow, time.Time) []byte
		from    edge.Flow // who asks for it; home answers
		life    time.Duration
		want    edge.Answer
		another edge.Flow // whose it is not
	}{
		{"fixed", n.AppendFixed, home, Life, edge.AnswerFixed, flow("198.51.100.7:5061", edge.UDP)},
		{"daily", n.AppendDaily, flow("198.51.100.7:5061", edge.TCP), day, edge.AnswerDay, flow("198.51.100.8:5060", edge.UDP)},
	} {
		first := string(c.add(nil, m, home, now))
		last, changes := first, 0
		for i := range 48 {
			at := now.Add(time.Duration(i) * c.life / 24)
			one := string(c.add(nil, m, c.from, at))
			if one != last {
				changes++
			}
			last = one
			if got := n.Open([]byte(one), m, home, at.Add(20*time.Second)); got != c.want {
				t.Errorf("%s, 20 s later: %v", c.what, got)
			}
		}
		if changes != 2 && changes != 1 {
			t.Errorf("%s: %d nonces in two lives", c.what, changes+1)
		}
		for what, got := range map[string]edge.Answer{
			"another user":  n.Open([]byte(first), register(t, "101"), home, now),
			"another place": n.Open([]byte(first), m, c.another, now),
			"too late":      n.Open([]byte(first), m, home, now.Add(c.life+grace+time.Second)),
		} {
			if got != edge.AnswerVoid {
				t.Errorf("%s, %s: %v", c.what, what, got)
			}
		}
	}
}

// TestAnswers: credentials for our own nonces are found among others.
func TestAnswers(t *testing.T) {
	n := NewNonces(newKeys(t, filepath.Join(t.TempDir(), "key")))
	home := flow("198.51.100.7:5060", edge.UDP)
	own := fmt.Sprintf(`Authorization: Digest username="100", realm="r", nonce="%s", uri="sip:x", response="0"`, n.Append(nil, home, now))
	loose := strings.Replace(own, ` nonce="`, `NONCE = "`, 1)
	other := `Proxy-Authorization: Digest username="100", realm="r", nonce="0123456789abcdef0123456789abcdef01234567", response="0"`
	for _, c := range []struct {
		lines  []string
		want   edge.Answer
		fields int
	}{
		{nil, edge.AnswerNone, 0},
		{[]string{other}, edge.AnswerNone, 0},
		{[]string{own}, edge.AnswerFresh, 1},
		{[]string{loose}, edge.AnswerFresh, 1},
		{[]string{other, own}, edge.AnswerFresh, 1},
		{[]string{own, own, other}, edge.AnswerFresh, 2},
		{[]string{"Authorization: Basic abc", "Authorization: Digest nonce"}, edge.AnswerNone, 0},
	} {
		m := register(t, "100", c.lines...)
		got, fields := n.Answers(m, home, now)
		count := 0
		for i := range m.Fields {
			if fields>>i&1 == 1 {
				if count++; !strings.Contains(string(m.Fields[i].Value.Of(m.Raw)), "realm=") || m.Fields[i].ID != sip.FieldAuthorization {
					t.Errorf("%v: field %d", c.lines, i)
				}
			}
		}
		if got != c.want || count != c.fields {
			t.Errorf("%v: %v in %d fields", c.lines, got, count)
		}
	}
}

var testKey = meter.NewKey([16]byte{1, 2, 3})

func challenged(t testing.TB, status int, method string, challenges ...string) *sip.Message {
	name := nameFor(status)
	var lines []string
	for _, c := range challenges {
		lines = append(lines, name+": "+c)
	}
	return message(t, fmt.Sprintf("SIP/2.0 %d X", status), method, "100", lines...)
}

// TestShapes: challenges of ours look like the platform's last, of whatever make, and for whatever method.
func TestShapes(t *testing.T) {
	for _, c := range []struct {
		name, challenge, host, want string
		form                        Form
	}{
		{"plain", `Digest realm="pbx", nonce="abc"`, "example.com", `Digest realm="pbx", nonce="N"`, Form{}},
		{"stale", `Digest realm="pbx", nonce="abc", algorithm=MD5, qop="auth"`, "example.com", `Digest realm="pbx", nonce="N", algorithm=MD5, qop="auth", stale=true`, Form{Stale: true}},
		{"stale once", `Digest realm="pbx",stale=TRUE,nonce="abc",algorithm=MD5`, "example.com", `Digest realm="pbx",nonce="N",algorithm=MD5, stale=true`, Form{Stale: true}},
		{"not stale", `Digest stale=true, realm="pbx", nonce="abc"`, "example.com", `Digest realm="pbx", nonce="N"`, Form{}},
		{"stale=false", `Digest realm="pbx", nonce="abc", stale=false, qop="auth"`, "example.com", `Digest realm="pbx", nonce="N", stale=false, qop="auth"`, Form{}},
		{"stale=false stale", `Digest realm="pbx", nonce="abc", stale=false, qop="auth"`, "example.com", `Digest realm="pbx", nonce="N", qop="auth", stale=true`, Form{Stale: true}},
		{"without qop", `Digest qop="auth,auth-int", realm="a,b", nonce="abc"`, "example.com", `Digest realm="a,b", nonce="N"`, Form{Plain: true}},
		{"SHA-256", `Digest realm="pbx", nonce="abc", algorithm=SHA-256, opaque="", qop="auth"`, "example.com", `Digest realm="pbx", nonce="N", algorithm=SHA-256, opaque="", qop="auth"`, Form{}},
		{"brief", `Digest realm="pbx", nonce="abc", algorithm=SHA-256, opaque="x", qop="auth"`, "example.com", `Digest realm="pbx", nonce="N", algorithm=SHA-256`, Form{Brief: true}},
		{"brief MD5", `Digest realm="pbx", domain="sip:x", nonce="abc", algorithm=MD5`, "example.com", `Digest realm="pbx", nonce="N", stale=true`, Form{Brief: true, Stale: true}},
		{"quoted commas", `Digest realm="a, stale=true", nonce="abc"`, "example.com", `Digest realm="a, stale=true", nonce="N", stale=true`, Form{Stale: true}},
	} {
		for _, method := range []string{"REGISTER", "INVITE"} {
			d := NewBook(nil, "", testKey, nil).For([]byte(c.host))
			m := challenged(t, 401, method, c.challenge)
			d.Learn(m, []byte(c.host), now)
			d.Learn(m, []byte(c.host), now)
			var w Written
			form := c.form
			form.Method, form.Host, form.Nonce, form.At = m.CSeq.Method, []byte(c.host), []byte("N"), now
			d.Write(&w, form)
			if len(w.Fields) != 1 || w.Status != 401 || w.Fields[0].Name != "WWW-Authenticate" || string(w.Fields[0].Value) != c.want {
				t.Errorf("%s: %d %s, want %s", c.name, w.Status, w.Fields, c.want)
			}
		}
	}
}

// TestUnseen: before any challenge was seen, and of methods that were not challenged yet.
func TestUnseen(t *testing.T) {
	var w Written
	form := Form{Method: sip.REGISTER, Host: []byte("example.com"), Nonce: []byte("N"), At: now}
	write := func(b *Book, method sip.Method) string {
		form.Method = method
		b.For(form.Host).Write(&w, form)
		return fmt.Sprint(w.Status, " ", w.Fields[0].Name, " ", string(w.Fields[0].Value))
	}
	b := NewBook(nil, "", testKey, nil)
	if got := write(b, sip.REGISTER); got != `401 WWW-Authenticate Digest realm="example.com", nonce="N", algorithm=MD5, qop="auth"` {
		t.Error(got)
	}
	b = NewBook([]string{"example.com"}, "pbx", testKey, b)
	if got := write(b, sip.INVITE); got != `407 Proxy-Authenticate Digest realm="pbx", nonce="N", algorithm=MD5, qop="auth"` {
		t.Error(got)
	}
	b.For([]byte("EXAMPLE.com")).Learn(challenged(t, 401, "REGISTER", `Digest nonce="0123456789abcdef", realm="real"`), form.Host, now)
	if got := write(b, sip.INVITE); got != `407 Proxy-Authenticate Digest nonce="N", realm="real"` {
		t.Error(got)
	}
	b = NewBook([]string{"other.com", "example.com"}, "x", testKey, b)
	if got := write(b, sip.REGISTER); got != `401 WWW-Authenticate Digest nonce="N", realm="real"` {
		t.Error("a reload forgets: " + got)
	}
	form.Host = []byte("other.com")
	if got := write(b, sip.REGISTER); !strings.Contains(got, `realm="x"`) {
		t.Error("domains are not kept apart: " + got)
	}
}

// TestRealm: one that is the host which was asked for is not learned from a stranger who asks for any host.
func TestRealm(t *testing.T) {
	for name, c := range map[string]struct {
		hosts, realms []string
		want          string
	}{
		"one realm":                     {[]string{"example.com", "203.0.113.5", "example.com"}, []string{"example.com", "example.com", "example.com"}, "example.com"},
		"a realm of its own":            {[]string{"example.com", "evil"}, []string{"pbx", "pbx"}, "pbx"},
		"the realm of who is asked for": {[]string{"example.com", "evil"}, []string{"example.com", "evil"}, "asked"},
	} {
		d := NewBook(nil, "", testKey, nil).For(nil)
		for i, h := range c.hosts {
			d.Learn(challenged(t, 401, "REGISTER", `Digest realm="`+c.realms[i]+`", nonce="0123456789abcdef"`), []byte(h), now)
		}
		var w Written
		for _, brief := range []bool{false, true} {
			d.Write(&w, Form{Method: sip.REGISTER, Host: []byte("asked"), At: now, Nonce: []byte("N"), Brief: brief})
			if got := string(w.Fields[0].Value); !strings.Contains(got, `realm="`+c.want+`"`) {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}

// TestSeveralChallenges (RFC 8760): one for each algorithm, in the platform's order; where there is no room for them, the last.
func TestSeveralChallenges(t *testing.T) {
	d := NewBook(nil, "", testKey, nil).For(nil)
	m := challenged(t, 407, "INVITE", `Digest realm="pbx", nonce="0123456789abcdef", algorithm=SHA-256, qop="auth"`, `Bearer realm="pbx"`,
		`Digest realm="pbx", nonce="0123456789abcdef", algorithm=MD5, qop="auth"`)
	d.Learn(m, nil, now)
	var w Written
	d.Write(&w, Form{Method: sip.INVITE, Seed: 7, At: now})
	if len(w.Fields) != 2 || w.Status != 407 || !strings.Contains(string(w.Fields[0].Value), "SHA-256") || !strings.Contains(string(w.Fields[1].Value), "MD5") {
		t.Fatalf("%d %s", w.Status, w.Fields)
	}
	nonce := func(i int) string {
		_, rest, _ := strings.Cut(string(w.Fields[i].Value), `nonce="`)
		rest, _, _ = strings.Cut(rest, `"`)
		return rest
	}
	if nonce(0) != nonce(1) {
		t.Errorf("%s and %s, where the platform has one nonce for all", nonce(0), nonce(1))
	}
	d.Write(&w, Form{Method: sip.INVITE, Nonce: []byte("N"), Brief: true, At: now})
	if len(w.Fields) != 1 || string(w.Fields[0].Value) != `Digest realm="pbx", nonce="N"` {
		t.Errorf("%s", w.Fields)
	}
	w.Repeat(m, true)
	if len(w.Fields) != 3 || string(w.Fields[1].Value) != `Bearer realm="pbx"` || !strings.HasSuffix(string(w.Fields[2].Value), `qop="auth", stale=true`) {
		t.Errorf("%s", w.Fields)
	}
}
