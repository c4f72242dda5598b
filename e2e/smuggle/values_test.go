package smuggle

import (
	"fmt"
	"strings"
)

// Rows S18 to S22 and S25: start line and values.

// s18: what stands once stands once, however it is spelled and whatever it says.
func s18() (all []trial) {
	short := map[int]string{lineFrom: "f", lineTo: "t", lineCallID: "i", lineType: "c", lineSubject: "s"}
	other := map[int]string{lineFrom: "<sip:evil@example.com>;tag=e", lineTo: "<sip:evil@example.com>", lineCallID: "evil", lineCSeq: "8 INVITE", lineMaxForwards: "7",
		lineType: "application/sdp", lineSubject: "evil"}
	for i, evilValue := range other {
		name, value, _ := strings.Cut(honest().lines[i], ": ")
		status := 400
		if i == lineFrom || i == lineTo || i == lineCallID || i == lineCSeq { // which of them to put into an answer?
			status = 0
		}
		spellings := []string{name, strings.ToLower(name), strings.ToUpper(name), name + " "}
		if s := short[i]; s != "" {
			spellings = append(spellings, s, strings.ToUpper(s), s+"\t")
		}
		for _, spelling := range spellings {
			for what, v := range map[string]string{"equal": value, "other": evilValue, "empty": ""} {
				model := trial{name: fmt.Sprintf("%s and %s, %s", name, spelling, what), status: status}
				all = append(all, everywhere(model, spelling+": "+v+"\r\n")...)
			}
			if s := short[i]; s != "" {
				raw := honest().set(i, s+": "+value).insert(lineEnd, spelling+": "+evilValue+"\r\n")
				all = append(all, trial{name: fmt.Sprintf("%s and %s", s, spelling), raw: raw, status: status})
			}
		}
	}
	for _, line := range []string{"Expires: 60", "Event: a", "o: a", "Refer-To: <sip:a@example.com>", "r: <sip:a@example.com>", "Referred-By: <sip:a@example.com>", "b: <sip:a@example.com>", "Session-Expires: 90",
		"x: 90", "Min-SE: 90", "RAck: 1 1 INVITE", "Replaces: a;to-tag=b;from-tag=c", "Content-Disposition: render", "User-Agent: a", "Date: Sat, 13 Nov 2010 23:29:00 GMT", "Max-Breadth: 5"} {
		all = append(all, trial{name: line + " twice", raw: honest().insert(lineSubject, line+"\r\n"+line+"\r\n"), status: 400})
	}
	return all
}

// badAddresses are no From and no To.
var badAddresses = []string{
	"<sip:a@b>;tag=1, <sip:c@d>;tag=2", "sip:a@b, sip:c@d", "<sip:a@b>;tag=1;tag=2", "<sip:a@b>;tag=1;TAG=2", "<sip:a@b>;tag=1;x=y;Tag=1", "<sip:a@b>;tag=1;tag", "sip:a@b;tag=1;tag=2",
	"\"a <sip:a@b>;tag=1", "\"a\\\" <sip:a@b>;tag=1", "\"a\\", "\"a\" \"b\" <sip:a@b>", "\"a\\\\\"b\" <sip:a@b>", "<sip:a@b<sip:c@d>>;tag=1", "<<sip:a@b>>;tag=1", "<sip:a@b>>;tag=1", "<sip:a@b> <sip:c@d>",
	"<sip:a@b", "sip:a@b>;tag=1", "a\"b\" <sip:a@b>", "\"a\"b <sip:a@b>", "<sip:a@b>;tag", "<sip:a@b>;tag=", "<sip:a@b>;tag=\"1\"", "<sip:a@b>;tag=1 x", "<sip:a@b>tag=1", "", "*", "<>", "< >", "\"\"",
	"\"a\\\xc3\xa9\" <sip:a@b>", "<sip:a@b>;tag=1,", ",<sip:a@b>", "<sip:a%@b>", "<sip:a%0@b>", "<sip:a%0g@b>", "<sip:a b@c>", "sip:a@b?X-Internal=evil", "<sip:@b>", "<sip:a@>", "<sip:a@b@c>", "<sip:a@b:>",
	"<sip:a@b:70000>", "<sip:a@[::1>", "<sip:a@::1>", "<sip:>", "<sip>", "sip", "<b>", "a b c", "<sip:a@b>;;tag=1", "<sip:a@b>;=1", "<sip:a@b>; ;tag=1", "\"a\x80\" <sip:a@b>,",
}

// s19: From and To that can be read in two ways, or in none.
func s19() (all []trial) {
	for _, v := range badAddresses {
		for name, i := range map[string]int{"From": lineFrom, "f": lineFrom, "To": lineTo, "t": lineTo} {
			all = append(all, trial{name: fmt.Sprintf("%s: %q", name, v), raw: honest().set(i, name+": "+v).String(), fate: none})
		}
	}
	for name, i := range map[string]int{"From": lineFrom, "To": lineTo} {
		for _, v := range []string{"\"a\r\nb\" <sip:a@b>;tag=1", "\"a\\\r\n b\" <sip:a@b>;tag=1", "\"a\r\n" + internal + ": evil\r\n\" <sip:a@b>;tag=1", "\"a\\\r\n\" <sip:a@b>", "\"\r\n\r\n\" <sip:a@b>"} {
			all = append(all, trial{name: fmt.Sprintf("%s: %q", name, v), raw: honest().set(i, name+": "+v).String(), gone: []string{internal}})
		}
	}
	return all
}

// s20: CSeq.
func s20() (all []trial) {
	with := func(v string) string { return honest().set(lineCSeq, "CSeq: "+v).String() }
	for _, v := range []string{"2147483648 INVITE", "4294967303 INVITE", "18446744073709551623 INVITE", strings.Repeat("9", 300) + " INVITE", "-1 INVITE", "+7 INVITE", "0x7 INVITE", "7.0 INVITE", "7", "INVITE", "7INVITE", "INVITE 7",
		"7 INVITE x", "7 7 INVITE", "7,INVITE", "7 INVITE,8 INVITE", "7;INVITE", "", "7 INV ITE", "7 \"INVITE\"", "７ INVITE"} {
		all = append(all, trial{name: fmt.Sprintf("%.30q", v), raw: with(v), status: 0})
	}
	for _, method := range []string{"invite", "Invite", "INVITe", "ACK", "BYE", "REGISTER", "OPTIONS", "INVITEE", "INVIT", "EVIL"} {
		all = append(all, trial{name: "method " + method, raw: with("7 " + method), status: 400})
	}
	for _, method := range []string{"invite", "Invite", "INVITE "} {
		all = append(all, trial{name: "request method " + method, raw: honest().begin(strings.Replace(startLine, "INVITE", method, 1)).String()})
	}
	for _, v := range []string{"2147483647 INVITE", "0 INVITE", "00000000000000000007 INVITE", "7   INVITE", "7\tINVITE"} {
		all = append(all, trial{name: fmt.Sprintf("%q", v), raw: with(v), fate: pass})
	}
	return all
}

// s21: Max-Forwards.
func s21() (all []trial) {
	for i, name := range []string{"Max-Forwards", "max-forwards", "MAX-FORWARDS "} {
		with := func(v string) string { return honest().set(lineMaxForwards, name+": "+v).String() }
		for _, v := range []string{"0", "00", "0000000000000000000000000"} {
			all = append(all, trial{name: fmt.Sprintf("%s %s", name, v), raw: with(v), status: 483})
		}
		for _, v := range []string{"-1", "-0", "4294967305", "4294967296", "18446744073709551616", "256", "300", "999999999999999999999999", "", "7 0", "70;a", "+7", "0x7", "7.0", "70, 70", "seventy", "\"70\"", "７０"} {
			all = append(all, trial{name: fmt.Sprintf("%s %q", name, v), raw: with(v), status: 400})
		}
		for n := 1 + i; n < 256; n += 1 + 40*i {
			all = append(all, trial{name: fmt.Sprintf("%s %d", name, n), raw: with(fmt.Sprint(n)), fate: pass, hops: fmt.Sprint(n - 1)})
		}
		all = append(all, trial{name: name + " 0070", raw: with("0070"), fate: pass, hops: "69"})
	}
	return append(all, trial{name: "missing", raw: honest().set(lineMaxForwards, "").String(), fate: pass, hops: "70"})
}

// s22: the request line.
func s22() (all []trial) {
	const uri = "sip:" + caseID + "@example.com"
	for _, line := range []string{
		"INVITE  URI SIP/2.0", "INVITE URI  SIP/2.0", "INVITE\tURI SIP/2.0", "INVITE URI\tSIP/2.0", "INVITE URI SIP/2.0 ", "INVITE URI SIP/2.0\t", "INVITE URI SIP/2.0 SIP/2.0", "INVITE URI SIP/2.0 x", "INVITE URI sip/2.0",
		"INVITE URI Sip/2.0", "INVITE URI sIP/2.0", "INVITE <URI> SIP/2.0", "INVITE \"URI\" SIP/2.0", "INVITE URI\x00 SIP/2.0", "INVITE \x00URI SIP/2.0", "INVITE URI SIP/2.0\x00", "INVITE URI SIP/2.0\r", " INVITE URI SIP/2.0",
		"\tINVITE URI SIP/2.0", "INVITE URI", "INVITE  SIP/2.0", "INVITE SIP/2.0", "URI SIP/2.0", "INVITE URI SIP/2.00x", "INVITE URI SIP/2", "INVITE URI SIP/", "INVITE URI SIP2.0", "INVITE URI HTTP/1.1", "INVITE URI SIP/2.0;x",
		"INV<ITE URI SIP/2.0", "INVITE: URI SIP/2.0", "INV\x80ITE URI SIP/2.0", "INVITE URI\xa0 SIP/2.0", "INVITE URI:0 SIP/2.0", "INVITE URI:65536 SIP/2.0", "INVITE URI:99999999999 SIP/2.0", "INVITE URI@x SIP/2.0",
		"INVITE URI;x\\y SIP/2.0", "INVITE URI;x=1;x=2 SIP/2.0", "INVITE URI;x=1;X=2 SIP/2.0", "INVITE URI, URI SIP/2.0", "INVITE URI URI SIP/2.0", "INVITE URI SIP/2.0, SIP/2.0", "INVITE URI SIP /2.0", "INVITE URI SIP/ 2.0", "INVITE URI SIP/2. 0",
		"INVITE\xa0URI SIP/2.0", "INVITE\x0bURI SIP/2.0", "INVITE\x0cURI SIP/2.0", "INVITE URI\x0bSIP/2.0", "INVITE URI\r SIP/2.0", "INVITE\rURI SIP/2.0", "INVITE URI SIP/2.0\n", "INVITE \nURI SIP/2.0", "INVITE %s SIP/2.0", "INVITE sip:%0@b SIP/2.0",
		"INVITE sip: SIP/2.0", "INVITE sip:a@ SIP/2.0", "INVITE sip:@b SIP/2.0", "INVITE sip:a b@c SIP/2.0", "INVITE * SIP/2.0", "INVITE / SIP/2.0", "INVITE sip:[::1 SIP/2.0", "INVITE sip:::1 SIP/2.0", "INVITE sip:a@256.1.1.1 SIP/2.0",
	} {
		all = append(all, trial{name: fmt.Sprintf("%q", line), raw: honest().begin(strings.ReplaceAll(line, "URI", uri)).String()})
	}
	for _, v := range []string{"SIP/3.0", "SIP/2.1", "SIP/7.0", "SIP/02.0", "SIP/2.00", "SIP/1.0", "SIP/20.0", "SIP/2.01"} {
		all = append(all, trial{name: v, raw: honest().begin(strings.Replace(startLine, "SIP/2.0", v, 1)).String(), status: 505})
	}
	for _, scheme := range []string{"http://example.com/" + caseID, "nobodyKnowsThisScheme:" + caseID, "mailto:" + caseID + "@example.com", "urn:service:" + caseID} {
		all = append(all, trial{name: scheme, raw: honest().begin("INVITE " + scheme + " SIP/2.0").String(), status: 416})
	}
	return all
}

// s25: escapes are never undone.
func s25() (all []trial) {
	for _, escaped := range []string{"%0d%0aX-Internal:%20evil", "%0D%0A%0D%0A", "%0a", "%0d", "%00", "%22", "%3c%3E", "%20SIP/2.0%0d%0a", "%2520", "%e2%80%a8", "%25%30%64"} {
		uri := "sip:" + caseID + escaped + "@example.com;p=" + escaped
		add := func(where, raw string, f ...field) {
			all = append(all, trial{name: escaped + " in " + where, raw: raw, fate: pass, fields: f})
		}
		add("the Request-URI", honest().begin("INVITE "+uri+" SIP/2.0").String())
		for name, i := range map[string]int{"From": lineFrom, "To": lineTo, "Contact": lineContact} {
			value := "\"" + escaped + "\" <" + uri + ">"
			if i == lineFrom {
				value += ";tag=1;x=" + strings.ReplaceAll(escaped, ":", "")
				value = strings.ReplaceAll(value, "/", "")
			}
			add(name, honest().set(i, name+": "+value).String(), field{name, value})
		}
		add("Call-ID", honest().set(lineCallID, "Call-ID: "+caseID+escaped+"@"+escaped).String())
		add("an unknown field", honest().insert(lineTo, "Other: "+escaped+"\r\n"), field{"Other", escaped})
	}
	return all
}
