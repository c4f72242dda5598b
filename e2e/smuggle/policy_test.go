package smuggle

import (
	"fmt"
	"slices"
	"strings"
)

// Rows S24, S26 to S28 and S32: what strangers may say.

// s24: fields hidden in URIs are removed, or the message is refused.
func s24() (all []trial) {
	for _, hidden := range []string{"X-Internal=evil", "x-internal=evil", "X-INTERNAL=evil", "%58-Internal=evil", "X%2dInternal=evil", "X-Internal=", "Subject=a&X-Internal=evil", "X-Internal=evil&X-Internal=again",
		"Route=%3csip:evil@example.com%3e&X-Internal=evil", "body=a%0d%0aX-Internal:%20evil", "Replaces=a%3bto-tag%3db%3bfrom-tag%3dc&X-Internal=evil", "Referred-By=a%0d%0aX-Internal:%20evil"} {
		uri := "sip:" + caseID + "@example.com?" + hidden
		add := func(where, raw string) {
			all = append(all, trial{name: hidden + " in " + where, raw: raw, fate: clean, gone: []string{internal}})
		}
		add("the Request-URI", honest().begin("INVITE "+uri+" SIP/2.0").String())
		add("From", honest().set(lineFrom, "From: <"+uri+">;tag=1").String())
		add("f", honest().set(lineFrom, "f: <"+uri+">;tag=1").String())
		add("To", honest().set(lineTo, "To: \"X\" <"+uri+">").String())
		add("t", honest().set(lineTo, "t : <"+uri+">").String())
		add("Contact", honest().set(lineContact, "Contact: <"+uri+">").String())
		add("m, second", honest().set(lineContact, "m: <sip:a@example.com>, <"+uri+">;q=0.1").String())
		for _, name := range []string{"Route", "Record-Route", "Path", "Refer-To", "r", "Referred-By", "b", "Reply-To", "Alert-Info", "Call-Info", "Error-Info"} {
			add(name, honest().insert(lineTo, name+": <"+uri+">\r\n"))
			add(name+", folded", honest().insert(lineTo, name+":\r\n <"+uri+">\r\n"))
		}
	}
	return all
}

// inner are addresses that a stranger would like us to send to.
var inner = []string{"10.0.0.10", "192.168.1.1:5060", "127.0.0.1:22", "[fd00::1]:5060", "platform.internal", "169.254.169.254:80"}

// s26: Routes of strangers lead nowhere and leave nothing.
func s26() (all []trial) {
	for _, host := range inner {
		for what, lines := range map[string]string{
			"one": "Route: <sip:H;lr>\r\n", "strict": "Route: <sip:evil@H>\r\n", "several in a line": "Route: <sip:H;lr>, <sip:evil@H;lr>,<sip:H>\r\n", "several lines": "Route: <sip:H;lr>\r\nroute: <sip:H;lr>\r\nROUTE: <sip:H;lr>\r\n",
			"blank before the colon": "Route : <sip:H;lr>\r\n", "tab before the colon": "route\t: <sip:H;lr>\r\n", "folded": "Route:\r\n <sip:H;lr>\r\n", "folded in the list": "Route: <sip:H;lr>,\r\n\t<sip:H;lr>\r\n",
			"transport": "Route: <sip:H;transport=tcp;lr>\r\n", "maddr": "Route: <sip:a.example.com;maddr=H;lr>\r\n", "named": "Route: \"way, in\" <sip:H;lr>;x=\"<sip:y>\"\r\n", "sips": "Route: <sips:H;lr>\r\n",
		} {
			lines = strings.ReplaceAll(lines, "H", host)
			for _, p := range places {
				all = append(all, trial{name: fmt.Sprintf("%s to %s, %s", what, host, p.name), raw: honest().insert(p.at, lines), fate: pass, also: noRoute})
			}
		}
		all = append(all, trial{name: "only lr of " + host, raw: honest().insert(lineTo, "Route: <sip:"+host+";lr=on;lr>\r\n")},
			trial{name: "no angles for " + host, raw: honest().insert(lineTo, "Route: sip:"+host+";lr\r\n")},
			trial{name: "one good, one bad of " + host, raw: honest().insert(lineTo, "Route: <sip:"+host+";lr>, sip:"+host+"\r\n")})
	}
	return all
}

// noRoute: nothing of a Route is left. Its own Record-Route is the edge's.
func noRoute(a *arrival) string {
	if n := len(a.all("route")); n > 0 {
		return fmt.Sprintf("%d Routes", n)
	}
	return ""
}

// s27: addresses that a stranger puts into Record-Route, Path and Via.
func s27() (all []trial) {
	for _, host := range inner {
		for what, line := range map[string]string{"Record-Route": "Record-Route: <sip:H;lr>", "record-route, list": "record-route : <sip:H;lr>, <sip:evil@H;lr>", "Path": "Path: <sip:H;lr>", "folded": "Record-Route:\r\n <sip:H;lr>"} {
			line = strings.ReplaceAll(line, "H", host)
			for _, p := range places {
				t := trial{name: fmt.Sprintf("%s of %s, %s", what, host, p.name), raw: honest().insert(p.at, line+"\r\n"), fate: pass}
				if what != "Path" {
					t.also = ownRecordRoute
				}
				all = append(all, t)
			}
		}
		for what, via := range map[string]string{"sent-by": "SIP/2.0/TRANSPORT H;branch=z9hG4bKCASE0000;rport", "received": "SIP/2.0/TRANSPORT a.example.com;branch=z9hG4bKCASE0000;rport;received=H",
			"maddr": "SIP/2.0/TRANSPORT a.example.com;branch=z9hG4bKCASE0000;rport;maddr=H", "rport": "SIP/2.0/TRANSPORT a.example.com;branch=z9hG4bKCASE0000;rport=5060;received=H"} {
			via = strings.ReplaceAll(via, "H", strings.TrimSuffix(strings.TrimSuffix(host, ":5060"), ":80"))
			if strings.Contains(via, "=[") || strings.Contains(via, ":22") || strings.Contains(via, "=platform.") {
				continue
			}
			all = append(all, trial{name: fmt.Sprintf("%s %s", what, host), raw: honest().set(lineVia, "Via: "+via).String(), fate: pass},
				trial{name: fmt.Sprintf("second Via, %s %s", what, host), raw: honest().insert(1, "Via: "+strings.Replace(via, caseID, "x"+caseID, 1)+"\r\n"), fate: pass})
		}
	}
	return all
}

// ownRecordRoute: the edge's own is the only one.
func ownRecordRoute(a *arrival) string {
	if all := a.all("record-route"); len(all) != 1 || strings.Contains(all[0], ",") {
		return fmt.Sprintf("Record-Route %q", all)
	}
	return ""
}

// claims are fields by which the inside tells who called, and who pays (RFC 3325, 3455, 7315, 8224, 5806, 7044 and custom).
var claims = []string{"P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "P-Charging-Vector", "P-Charging-Function-Addresses", "P-Access-Network-Info", "P-Called-Party-ID", "P-Associated-URI",
	"P-Visited-Network-ID", "P-Served-User", "P-User-Database", "P-Profile-Key", "P-Early-Media", "P-Anything-At-All", "X-Internal", "X-Source", "X-Auth-User", "X-Anything-At-All", "Diversion", "History-Info", "Identity"}

// s28: such claims of strangers are removed in every spelling; other unknown fields pass unchanged and in order.
func s28() (all []trial) {
	for _, name := range claims {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name), name + " ", strings.ToLower(name) + "\t ", name + "  \t"} {
			for what, value := range map[string]string{"plain": " <sip:evil@example.com>", "tight": "<sip:evil@example.com>", "folded": "\r\n <sip:evil@example.com>", "two": " <sip:evil@example.com>, <tel:+1900>", "empty": ""} {
				i := len(all) % len(places)
				t := trial{name: fmt.Sprintf("%q %s", spelling, what), raw: honest().insert(places[i].at, spelling+":"+value+"\r\n"), fate: clean, gone: []string{name}}
				if name == "X-Source" { // the edge writes its own
					t.gone, t.fate, t.also = nil, pass, sourceOnce
				}
				all = append(all, t)
			}
		}
		if name == "X-Source" {
			continue
		}
		all = append(all, trial{name: name + " twice", raw: honest().insert(lineTo, name+": a\r\nOther: y\r\n"+strings.ToLower(name)+": b\r\n"), fate: clean, gone: []string{name}})
	}
	for _, compact := range []string{"y", "Y", "n"} {
		all = append(all, trial{name: "compact " + compact, raw: honest().insert(lineTo, compact+": abc\r\n"), fate: clean, gone: []string{"Identity"}})
	}
	names := []string{"Anything", "Q-Header", "xyz", "Ünknown", "Custom.Field!", "a%b*c_d+e`f'g~", "Priority", "Organization", "In-Reply-To"}
	names = slices.DeleteFunc(names, func(n string) bool { return !token.MatchString(n) })
	lines, want := "", []field{}
	for i, name := range append(names, names...) {
		value := fmt.Sprintf("value %d,  of \"%s\"", i, name)
		lines, want = lines+name+": "+value+"\r\n", append(want, field{name, value})
	}
	model := trial{name: "unknown fields", fate: pass, fields: want, also: func(a *arrival) string {
		got := slices.DeleteFunc(slices.Clone(a.fields), func(f field) bool { return !slices.Contains(names, f.name) })
		if !slices.Equal(got, want) {
			return fmt.Sprintf("unknown fields became %q", got)
		}
		return ""
	}}
	return append(all, everywhere(model, lines)...)
}

// sourceOnce: the caller's address stands in X-Source once, and is the edge's word.
func sourceOnce(a *arrival) string {
	if all := a.all("x-source"); len(all) != 1 || !strings.HasPrefix(all[0], "127.") {
		return fmt.Sprintf("X-Source %q", all)
	}
	return ""
}

// s32: bodies that look like messages.
func s32() (all []trial) {
	parts := "--b\r\nContent-Type: message/sip\r\n\r\n" + evil + "--b\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\nX-Internal: evil\r\n--b--\r\n"
	for kind, body := range map[string]string{
		"message/sip": evil, "message/cpim": evil + evil, "application/sip": evil, "message/sipfrag": "SIP/2.0 200 OK\r\n", "multipart/mixed;boundary=b": parts, "multipart/mixed": parts, "multipart/alternative; boundary=\"b\"": parts,
		"multipart/mixed;boundary=\"\"": parts, "text/plain": "\r\n\r\n" + evil, "application/octet-stream": "\x00\x01\x02\r\n\r\n\xff\xfe" + evil, "application/sdp": "v=0\r\no=" + internal + ": evil\r\n\r\n" + evil, "": evil,
		"message/http": "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + evil, "x/y": strings.Repeat(evil, 20), "a/b": "\n\n" + strings.ReplaceAll(evil, "\r\n", "\n"), "a/c": "\r\r" + strings.ReplaceAll(evil, "\r\n", "\r"), "a/d": strings.Repeat("\r\n", 500) + evil,
	} {
		for _, name := range []string{"Content-Type", "c", "CONTENT-TYPE "} {
			line := name + ": " + kind
			if kind == "" {
				line = ""
			}
			d := honest().carrying(body).set(lineType, line)
			all = append(all, trial{name: fmt.Sprintf("%s in %s", kind, name), raw: d.String(), fate: pass},
				trial{name: fmt.Sprintf("%s in %s, encoded", kind, name), raw: d.insert(lineTo, "Content-Encoding: gzip\r\ne: x\r\nContent-Disposition: render;handling=optional\r\nMIME-Version: 1.0\r\n"), fate: pass})
		}
	}
	return all
}
