package smuggle

import (
	"fmt"
	"strings"
)

// Rows S11 to S17: where a message ends.

// lengthNames are the spellings of Content-Length, white space before the colon included.
var lengthNames = []string{"Content-Length", "content-length", "CONTENT-LENGTH", "l", "L", "l ", "Content-Length\t"}

// sized is the honest INVITE with evil as its body and these lines, with their ends, in the place of Content-Length.
func sized(lines string) string {
	d := honest().carrying(evil)
	return d.set(lineLength, "").insert(lineLength, lines)
}

// evilLength is the length of evil.
var evilLength = len(evil)

// s11: two lengths are one if they are equal; else the message is refused and nothing behind it is read.
func s11() (all []trial) {
	n := fmt.Sprint(evilLength)
	for i, first := range lengthNames {
		for k, second := range lengthNames {
			for _, v := range [][2]string{{n, n}, {"0", n}, {n, "0"}, {n, fmt.Sprint(evilLength - 1)}, {n, fmt.Sprint(evilLength + 1)}, {n, "0" + n}, {n, n + "0"}, {n, ""}, {n, "x"}} {
				equal := v[0] == v[1] || v[1] == "0"+n
				if !equal && (i+k)%3 != 0 && i != k {
					continue
				}
				t := trial{name: fmt.Sprintf("%s %s, %s %s", first, v[0], second, v[1]), closes: true, status: 400}
				if equal {
					t.fate, t.closes = pass, false
				}
				lines := [2]string{first + ": " + v[0] + "\r\n", second + ": " + v[1] + "\r\n"}
				t.raw = sized(lines[0] + lines[1])
				apart := t
				apart.name += ", apart"
				apart.raw = strings.Replace(sized(lines[1]), "Via: ", lines[0]+"Via: ", 1)
				all = append(all, t, apart)
			}
		}
	}
	for _, name := range lengthNames { // three, of which one differs
		raw := sized(strings.Repeat(name+": "+n+"\r\n", 2) + "Content-Length: 0\r\n")
		all = append(all, trial{name: "three, " + name, raw: raw, closes: true, status: 400},
			trial{name: "three equal, " + name, raw: sized(strings.Repeat(name+": "+n+"\r\n", 3)), fate: pass})
	}
	return all
}

// s12: a length that wraps in 32 or 64 bits, or is beyond any message.
func s12() (all []trial) {
	for _, name := range lengthNames {
		for _, v := range []string{"4294967296", "4294967301", "18446744073709551616", "18446744073709551621", "2147483648", "9223372036854775808",
			"340282366920938463463374607431768211456", strings.Repeat("9", 400), fmt.Sprint(1<<32 + evilLength), fmt.Sprint(1<<16+evilLength) + "0000000"} {
			all = append(all, trial{name: fmt.Sprintf("%s %.30s", name, v), raw: sized(name + ": " + v + "\r\n"), status: 400, closes: true})
		}
		for _, v := range []string{"65536", "1000000", "1073741824", "2147483647"} {
			all = append(all, trial{name: fmt.Sprintf("%s %s", name, v), raw: sized(name + ": " + v + "\r\n"), status: 413, closes: true})
		}
	}
	return all
}

// s13: lengths that are no number.
func s13() (all []trial) {
	for i, name := range lengthNames {
		for k, v := range []string{"-1", "-0", "+5", "0x5", "5.0", "5 5", "5, 5", "5,5", "5;a=b", "", " ", "\"5\"", "\"0\"", "'5'", "<5>", "5e0", "five", "0 0", "0;", "0,", "5\t5", "5 ;", "(c)5",
			"５", "5\xa0", "٥", "5\xc2\xa0", "0\xff", "--5", "5-", "5h", "0b1", "0o7", "NaN"} {
			if i > 0 && (i+k)%2 == 0 {
				continue
			}
			all = append(all, trial{name: fmt.Sprintf("%s %q", name, v), raw: sized(name + ": " + v + "\r\n"), status: 400, closes: true})
		}
		for _, v := range []string{"5\x00", "\x005", "\x0b5", "5\x0c", "5\x7f", "\b5", "0\x00" + fmt.Sprint(evilLength)} {
			all = append(all, trial{name: fmt.Sprintf("%s %q", name, v), raw: sized(name + ": " + v + "\r\n"), closes: true})
		}
	}
	return all
}

// s14: a length that one reader sees and another does not.
func s14() (all []trial) {
	n := fmt.Sprint(evilLength)
	for _, name := range lengthNames {
		whole := name + ": " + n + "\r\n"
		refused := func(what, lines string, status int) {
			all = append(all, trial{name: fmt.Sprintf("%s: %s", name, what), raw: sized(lines), closes: true, status: status})
		}
		passes := func(what, lines string, f field) {
			all = append(all, trial{name: fmt.Sprintf("%s: %s", name, what), raw: sized(lines), fate: pass, fields: []field{f}})
		}
		refused("folded behind the colon", name+":\r\n "+n+"\r\n", 400)
		refused("folded in the number", name+": "+n[:1]+"\r\n "+n[1:]+"\r\n", 400)
		refused("folded, a second number", name+": 0\r\n "+n+"\r\n", 400)
		refused("folded, blank", name+": "+n+"\r\n \r\n", 0)
		refused("folded by HTAB", name+": 0\r\n\t"+n+"\r\n", 400)
		refused("behind a bare LF", "Other: x\n"+name+": 0\r\n"+whole, 0)
		refused("behind a bare CR", "Other: x\r"+name+": 0\r\n"+whole, 0)
		refused("behind a bare LF only", "Other: x\n"+whole, 0)
		refused("between quotes over three lines", "Other: \"\r\n"+name+": 0\r\n\"\r\n"+whole, 0)
		refused("another between quotes, differing", "Other: \"x\r\n"+name+": 0\r\n"+whole, 400)
		refused("NUL before it", "Other: x\x00"+name+": 0\r\n"+whole, 0)
		passes("within a fold", "Other: x\r\n "+name+": 0\r\n"+whole, field{"Other", "x " + name + ": 0"})
		passes("within a fold behind the colon", "Other:\r\n "+name+": 0\r\n"+whole, field{"Other", name + ": 0"})
		passes("within quotes over a fold", "Other: \"\r\n "+name+": 0\r\n \"\r\n"+whole, field{"Other", "\" " + name + ": 0 \""})
		passes("within quotes", "Other: \""+name+": 0\"\r\n"+whole, field{"Other", "\"" + name + ": 0\""})
		passes("as the end of another name", "Ex-"+strings.TrimSpace(name)+": 0\r\n"+whole, field{"Ex-" + strings.TrimSpace(name), "0"})
		passes("as the beginning of another name", strings.TrimSpace(name)+"-X: 0\r\n"+whole, field{strings.TrimSpace(name) + "-X", "0"})
	}
	return all
}

// s15: no length. A datagram or WebSocket message ends where it ends, on a stream nobody knows.
func s15() (all []trial) {
	for name, body := range map[string]string{"text": "hello", "nothing": "", "an empty line": "\r\n\r\n", "a request": evil, "two requests": evil + evil, "fields": internal + ": evil\r\nContent-Length: 0\r\n\r\n",
		"a long body": strings.Repeat("0123456789", 3000), "bytes": "\x00\x01\xff\xfe"} {
		raw := honest().carrying(body).set(lineLength, "").String()
		untyped := honest().carrying(body).set(lineLength, "").set(lineType, "").String()
		all = append(all, trial{name: name, raw: raw, over: "!stream", fate: pass}, trial{name: name, raw: raw, over: "stream", status: 400, closes: true},
			trial{name: name + " without Content-Type", raw: untyped, over: "!stream", fate: pass},
			trial{name: name + " without Content-Type", raw: untyped, over: "stream", status: 400, closes: true})
	}
	return all
}

// s16: a datagram of another length than it says. Shorter: refused. Longer: cut, and the rest is nothing.
func s16() (all []trial) {
	for _, name := range lengthNames {
		for _, more := range []int{1, 2, 1000, 65535 - evilLength} {
			raw := sized(fmt.Sprintf("%s: %d\r\n", name, evilLength+more))
			missing := trial{name: fmt.Sprintf("%s, %d bytes missing", name, more), raw: raw}
			all = append(all, missing.on("datagram"), missing.on("stream"), missing.on("websocket"))
			all[len(all)-2].waits, all[len(all)-1].closes = more < 60000, true
		}
		for _, n := range []int{0, 1, 36, evilLength / 2, evilLength - 1} {
			body := evil[:n]
			raw := sized(fmt.Sprintf("%s: %d\r\n", name, n))
			all = append(all, trial{name: fmt.Sprintf("%s, only %d bytes", name, n), raw: raw, over: "datagram", fate: pass, body: &body},
				trial{name: fmt.Sprintf("%s, only %d bytes", name, n), raw: raw, over: "websocket", closes: true})
		}
	}
	return append(all, trial{name: "two requests", raw: honest().String() + evil, over: "datagram", fate: pass, body: new(string(honestBody))},
		trial{name: "a request and CRLF", raw: honest().String() + "\r\n\r\n", over: "datagram", fate: pass, body: new(string(honestBody))},
		trial{name: "two requests", raw: honest().String() + evil, over: "websocket", closes: true})
}

// s17: bytes before the start line. CRLFs are skipped; anything else makes nothing of the message.
func s17() (all []trial) {
	for n := range 5 {
		all = append(all, trial{name: fmt.Sprintf("%d CRLF", n), raw: strings.Repeat("\r\n", n) + honest().String(), fate: pass, over: "!websocket"})
	}
	stun := "\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl"
	for _, junk := range []string{"\x00", "\x00\x00\x00\x00", " ", "\t", "\xef\xbb\xbf", "junk\r\n", "junk ", stun, "\x01\x01\x00\x08\x21\x12\xa4\x42abcdefghijkl", "\x80\x00", "\x16\x03\x01", "\r", "\n", "\n\n", "\r\n\n",
		"\r\n\r", "\r\n ", "\r\n\t\r\n", "\x1a", "\xff\xfe", "\xc2\xa0", "GET / HTTP/1.1\r\n", "SIP/2.0 200 OK\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"} {
		t := trial{name: fmt.Sprintf("%q", junk), raw: junk + honest().String(), closes: junk[0] != 'j' && junk[0] != 'S'} // those begin like SIP
		all = append(all, t)
		if strings.HasSuffix(junk, "\n") || junk == "\x00" {
			t.name, t.raw = fmt.Sprintf("%q, then the empty line", junk), junk+"\r\n"+honest().String()
			all = append(all, t)
		}
	}
	return all
}
