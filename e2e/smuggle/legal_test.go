package smuggle

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// What RFC 3261 allows and honest phones send must pass, and unharmed.

// legal are families of oddities, all of which must pass where access is for everybody.
var legal = []struct {
	name   string
	trials func() []trial
}{
	{"folds", legalFolds}, {"quoted", legalQuoted}, {"methods", legalMethods}, {"fields", legalFields}, {"compact", legalCompact}, {"tel", legalTel}, {"ipv6", legalIPv6}, {"names", legalNames},
}

func TestLegal(t *testing.T) {
	lanes := []lane{}
	for _, s := range []*site{newSite(t, "udp", "", monitor), newSite(t, "tcp", ";transport=tcp", monitor)} {
		for _, way := range []string{"udp", "tcp", "tls", "ws"} {
			lanes = append(lanes, lane{s, way})
		}
	}
	for _, family := range legal {
		trials := family.trials()
		for i := range trials {
			trials[i].fate = pass
		}
		t.Run(family.name, func(t *testing.T) {
			t.Logf("%d trials", len(trials))
			for _, l := range lanes {
				t.Run(l.name(), func(t *testing.T) {
					t.Parallel()
					runAll(newStation(t, l.site, l.way), trials)
				})
			}
		})
	}
}

// legalFolds: values over many lines, with any white space.
func legalFolds() (all []trial) {
	for _, n := range []int{1, 2, 10, 200} {
		for _, fold := range []string{"\r\n ", "\r\n\t", " \t\r\n \t  "} {
			value := strings.TrimSuffix(strings.Repeat("word ", n+1), " ")
			all = append(all, everywhere(trial{name: fmt.Sprintf("%d times %q", n, fold), fields: []field{{"Other", value}}}, "Other:"+fold+strings.ReplaceAll(value, " ", fold)+"\r\n")...)
		}
	}
	from := `"A" <sip:a@example.com> ;tag=1 ;x=y`
	all = append(all, trial{name: "From at each blank", raw: honest().set(lineFrom, "From:\r\n "+strings.ReplaceAll(from, " ", "\r\n\t")).String(), fields: []field{{"From", from}}})
	via := "SIP / 2.0 / " + transport + " " + address + " ; branch = z9hG4bK" + caseID + " ; rport"
	return append(all, trial{name: "Via at each blank", raw: honest().set(lineVia, "Via:\r\n  "+strings.ReplaceAll(via, " ", " \r\n ")).String()},
		trial{name: "Via with blanks", raw: honest().set(lineVia, "v : "+via).String()})
}

// legalQuoted: every printable byte and every quoted-pair in quoted strings.
func legalQuoted() (all []trial) {
	var printable, pairs strings.Builder
	for c := byte(' '); c < 0x7f; c++ {
		if c == '"' || c == '\\' {
			printable.WriteByte('\\')
		}
		printable.WriteByte(c)
	}
	for c := range byte(0x80) {
		if c != '\r' && c != '\n' {
			pairs.WriteString("\\" + string(rune(c)))
		}
	}
	quotes := map[string]string{"nothing": "", "every printable byte": printable.String(), "every pair": pairs.String(), "HTAB": "a\tb", "only backslashes": `\\\\\\`, "only quotes": `\"\"\"`, "a backslash at the end": `a\\`,
		"a message": `INVITE sip:a SIP/2.0`, "an address": `<sip:evil@example.com>;tag=1, <sip:b>`, "UTF-8": "Zoë 雷电 🎧 ünï", "blanks": "   "}
	for name, q := range quotes {
		for field0, i := range map[string]int{"From": lineFrom, "To": lineTo, "Contact": lineContact} {
			value := `"` + q + `" <sip:a@example.com>`
			if i == lineFrom {
				value += ";tag=1"
			}
			all = append(all, trial{name: name + " in " + field0, raw: honest().set(i, field0+": "+value).String(), fields: []field{{field0, value}}})
			value += `;x="` + q + `"`
			all = append(all, trial{name: name + " in a parameter of " + field0, raw: honest().set(i, field0+": "+value).String(), fields: []field{{field0, value}}})
		}
		if name != "every pair" { // control bytes pass in fields that are read only
			value := `Digest username="` + q + `", realm="r", nonce="n", uri="sip:a", response="x", opaque="` + q + `"`
			all = append(all, trial{name: name + " in credentials", raw: honest().insert(lineTo, "Authorization: "+value+"\r\nWarning: 399 a \""+q+"\"\r\n"),
				fields: []field{{"Authorization", value}, {"Warning", "399 a \"" + q + "\""}}})
		}
	}
	return all
}

// legalMethods: methods of any token up to 64 bytes.
func legalMethods() (all []trial) {
	for _, method := range []string{"X", "FOO", "foo", "invite", "!interesting-Method0123456789_*+`.%indeed'~", "SIP", "INVITE2", "%49NVITE", strings.Repeat("M", 64), "MESSAGE", "PUBLISH", "SUBSCRIBE", "NOTIFY", "INFO", "PRACK", "UPDATE",
		"REFER", "OPTIONS", "BYE"} {
		all = append(all, trial{name: method, raw: honest().begin(strings.Replace(startLine, "INVITE", method, 1)).set(lineCSeq, "CSeq: 7 "+method).String()})
	}
	return all
}

// legalFields: unknown fields with any name, and with any bytes but control bytes in their values.
func legalFields() (all []trial) {
	var bytes strings.Builder
	for c := range 256 {
		if c >= ' ' && c != 0x7f {
			bytes.WriteByte(byte(c))
		}
	}
	values := map[string]string{"nothing": "", "every byte": "a" + bytes.String() + "z", "colons": ":::", "UTF-8": "Grüße, 世界", "quotes that are open": "\"a", "a comma": ",", "tabs": "a\t\tb", "16 kB": strings.Repeat("v", 16384)}
	for name, v := range values {
		for _, n := range []string{"XX", "ex-y", "-", "!%*_+`'~.0", "From2", "L2", "Content-Length-X", "Vi", strings.Repeat("N", 256), "Organization"} {
			all = append(all, trial{name: fmt.Sprintf("%s in %.20s", name, n), raw: honest().insert(lineTo, n+": "+v+"\r\n"), fields: []field{{n, v}}})
		}
	}
	return append(all, trial{name: "240 fields", raw: honest().insert(lineTo, list(240, "Ex-#: #", "\r\n")+"\r\n"), fields: []field{{"Ex-0", "0"}, {"Ex-239", "239"}}})
}

// legalCompact: compact and oddly spelled names, tight and wide colons.
func legalCompact() (all []trial) {
	for _, colon := range []string{":", ": ", " :", "\t:\t", ":     "} {
		d := honest()
		fields := []field{}
		for name, i := range map[string]int{"v": lineVia, "f": lineFrom, "t": lineTo, "i": lineCallID, "m": lineContact, "s": lineSubject, "c": lineType, "l": lineLength} {
			full, value, _ := strings.Cut(d.lines[i], ": ")
			d = d.set(i, name+colon+value)
			if i != lineVia && i != lineLength {
				fields = append(fields, field{full, value})
			}
		}
		all = append(all, trial{name: fmt.Sprintf("all, %q", colon), raw: d.String(), fields: fields})
	}
	for short, name := range map[string]string{"k": "Supported", "e": "Content-Encoding", "r": "Refer-To", "b": "Referred-By", "o": "Event", "x": "Session-Expires", "a": "Accept-Contact", "j": "Reject-Contact", "d": "Request-Disposition", "u": "Allow-Events"} {
		value := map[string]string{"r": "<sip:a@example.com>", "b": "<sip:a@example.com>", "x": "90", "a": "*", "j": "*;audio"}[short]
		if value == "" {
			value = "any"
		}
		all = append(all, trial{name: short, raw: honest().insert(lineTo, short+": "+value+"\r\n"), fields: []field{{name, value}}},
			trial{name: strings.ToUpper(name), raw: honest().insert(lineTo, strings.ToUpper(name)+":"+value+"\r\n"), fields: []field{{name, value}}})
	}
	return all
}

// legalTel: tel URIs wherever a URI stands.
func legalTel() (all []trial) {
	for _, uri := range []string{"tel:+15550100", "tel:5550100;phone-context=example.com", "tel:+1(555)01.00-1", "tel:*21*5550100#;phone-context=+1", "TEL:+1-555-0100;ext=22;isub=1", "tel:911;phone-context=+1;x=%20"} {
		all = append(all, trial{name: uri + " as Request-URI", raw: honest().begin("INVITE " + strings.ReplaceAll(uri, "#", "") + " SIP/2.0").String()})
		for name, i := range map[string]int{"From": lineFrom, "To": lineTo, "Contact": lineContact} {
			value := "\"T\" <" + strings.ReplaceAll(uri, "#", "") + ">"
			all = append(all, trial{name: uri + " in " + name, raw: honest().set(i, name+": "+value).String(), fields: []field{{name, value}}})
		}
	}
	return all
}

// legalIPv6: IPv6 references in every place.
func legalIPv6() (all []trial) {
	for _, host := range []string{"[::1]", "[2001:db8::9:1]", "[2001:DB8:0:0:0:0:0:1]", "[::ffff:192.0.2.10]", "[2001:db8::192.0.2.1]", "[::]", "[fe80::1]"} {
		for _, port := range []string{"", ":5060", ":65535"} {
			uri := "sip:a@" + host + port
			add := func(where, raw string, f ...field) {
				all = append(all, trial{name: host + port + " in " + where, raw: raw, fields: f})
			}
			add("the Request-URI", honest().begin("INVITE "+uri+";transport=udp SIP/2.0").String())
			add("From", honest().set(lineFrom, "From: <"+uri+">;tag=1").String())
			add("To", honest().set(lineTo, "To: "+uri).String())
			add("Contact", honest().set(lineContact, "Contact: <"+uri+";maddr="+host+">").String())
			add("Via", honest().set(lineVia, "Via: SIP/2.0/"+transport+" "+host+port+";branch=z9hG4bK"+caseID+";rport").String())
			add("Vias", honest().insert(1, "Via: SIP/2.0/UDP "+host+port+";branch=z9hG4bKx"+caseID+";received="+host+";maddr="+host+"\r\n"))
			add("received without brackets", honest().insert(1, "Via: SIP/2.0/UDP "+host+port+";branch=z9hG4bKx"+caseID+";received="+strings.Trim(host, "[]")+"\r\n"))
			add("Call-ID", honest().set(lineCallID, "Call-ID: "+caseID+"@"+host+port).String())
			add("an unknown field", honest().insert(lineTo, "Other: "+uri+"\r\n"), field{"Other", uri})
			add("a body", honest().carrying("v=0\r\no=- 1 1 IN IP6 "+strings.Trim(host, "[]")+"\r\ns=-\r\n").String())
		}
	}
	return all
}

// legalNames: display names, URIs and bodies of people who do not write English.
func legalNames() (all []trial) {
	for _, display := range []string{"\"Ünïcödé\" ", "\"李雷\" ", "\"Ивано́в\" ", "\"\xf0\x9f\x93\x9e\" ", "a b c ", "a.b-c!%*_+`'~ ", "a\t b ", "\"\\é\" ", "", "x", "caller"} {
		for name, i := range map[string]int{"From": lineFrom, "To": lineTo, "Contact": lineContact} {
			value := display + "<sip:%e6%9d%8e;x=y;?/:p&=+$,@example.com;a;b=c;d=%00>;q=0.5;e=f"
			if display == "\"\\é\" " {
				continue // a quoted-pair is of ASCII
			}
			all = append(all, trial{name: display + " in " + name, raw: honest().set(i, name+": "+value).String(), fields: []field{{name, value}}})
		}
	}
	for _, uri := range []string{"sip:example.com", "sip:EXAMPLE.com.", "sip:a:b@example.com", "sip:a;b=c@example.com", "sip:1_2-3.4!~*'()&=+$,;?/@h", "sip:a@192.0.2.1:5060;transport=tcp;lr;ttl=1;user=phone;method=INVITE;maddr=192.0.2.9", "SIP:a@b", "sip:a@b;x", "sip:a@xn--bcher-kva.example", "sip:%41@b;%41=%42"} {
		all = append(all, trial{name: uri, raw: honest().begin("INVITE " + uri + " SIP/2.0").String()})
	}
	return all
}

// TestLargest: 64 KiB pass over TCP, to the byte.
func TestLargest(t *testing.T) {
	s := newStation(t, newSite(t, "largest", ";transport=tcp", monitor), "tcp")
	for _, size := range []int{60_000, 65_535, 65_536} {
		body := strings.Repeat("0123456789abcdef", size/16+1)
		d := honest().carrying(body)
		n := len(body) - (len(s.fill(d.String(), newID())) - size)
		s.run(trial{name: fmt.Sprint(size), raw: honest().carrying(body[:n]).String(), fate: pass})
	}
	s.run(trial{name: "beyond", raw: honest().carrying(strings.Repeat("x", 65_535)).String(), status: 413, closes: true})
}

// TestReasonPhrases: any reason phrase of the platform reaches the caller, an empty one too.
func TestReasonPhrases(t *testing.T) {
	site := newSite(t, "phrases", "", siptest.Keys{"mode": "monitor", "access": "{unknown: any}", "topology": "{hide: false}"}) // hidden, they are the standard's
	for _, way := range []string{"udp", "tcp"} {
		s := newStation(t, site, way)
		for _, phrase := range []string{"", " ", "OK", "So  what?", "with\ttab", "Überlastet 过载", "\"quoted", "100 SIP/2.0", strings.Repeat("long ", 200), "a:b;c=d,<e>"} {
			id := newID()
			site.platform.answerWith(id, func(a *arrival) string {
				return strings.Replace(a.reply(200), "SIP/2.0 200 So", "SIP/2.0 299 "+phrase, 1)
			})
			if err := s.wire().send(s.fill(honest().String(), id)); err != nil {
				t.Fatal(err)
			}
			if got := s.final(id); !strings.HasPrefix(got, "SIP/2.0 299 "+phrase+"\r\n") {
				t.Errorf("%s: %q became %.60q", way, phrase, got)
			}
		}
	}
}
