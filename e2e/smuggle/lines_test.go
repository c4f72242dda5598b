package smuggle

import (
	"fmt"
	"strings"
)

// Rows S1 to S10: field names and line ends.

const internal = "X-Internal"

// s1: a name with white space before its colon is that name, and leaves without it.
func s1() (all []trial) {
	for _, blank := range []string{" ", "\t", "  ", " \t ", strings.Repeat(" ", 16), strings.Repeat(" \t", 100)} {
		for _, name := range []string{internal, "x-internal", "X-INTERNAL"} {
			model := trial{name: fmt.Sprintf("%s and %.10q", name, blank), fate: clean, gone: []string{internal}}
			all = append(all, everywhere(model, name+blank+": evil\r\n")...)
		}
		for i, line := range honest().lines {
			name, value, _ := strings.Cut(line, ":")
			all = append(all, trial{name: fmt.Sprintf("%s and %.10q", name, blank), fate: pass, raw: honest().set(i, name+blank+":"+value).String(),
				fields: plainly(i, value)})
		}
		for compact, i := range map[string]int{"f": lineFrom, "T": lineTo, "i": lineCallID, "m": lineContact, "S": lineSubject, "c": lineType, "l": lineLength} {
			name, value, _ := strings.Cut(honest().lines[i], ":")
			all = append(all, trial{name: fmt.Sprintf("%s for %s and %.10q", compact, name, blank), fate: pass,
				raw: honest().set(i, compact+blank+":"+value).String(), fields: plainly(i, value)})
		}
	}
	return all
}

// plainly is the field of line i with this value, unless the edge edits it.
func plainly(i int, value string) []field {
	if i == lineVia || i == lineMaxForwards || i == lineLength {
		return nil
	}
	name, _, _ := strings.Cut(honest().lines[i], ":")
	return []field{{name, strings.TrimSpace(value)}}
}

// notNames are the bytes that a name cannot hold, but white space, the colon and line ends.
func notNames() (all []byte) {
	for c := range 256 {
		if s := string([]byte{byte(c)}); !token.MatchString(s) && !strings.Contains(" \t:\r\n", s) {
			all = append(all, byte(c))
		}
	}
	return all
}

// s2: any such byte before, in and behind names, known and unknown, is refused.
func s2() (all []trial) {
	for _, c := range notNames() {
		s := string([]byte{c})
		basic := c > 0x20 && !strings.Contains("\x7f\x80\x85\xa0\xad\xff", s)
		text := map[string]string{"behind": internal + s, "before": s + internal, "in": "X-Int" + s + "ernal", "behind, blank": internal + s + " ",
			"blank, behind": internal + " " + s}
		for where, name := range text {
			model := trial{name: fmt.Sprintf("%#02x %s %s", c, where, internal), basic: basic}
			all = append(all, everywhere(model, name+": evil\r\n")[c%4])
		}
		i := int(c) % lineEnd
		name, value, _ := strings.Cut(honest().lines[i], ":")
		all = append(all, trial{name: fmt.Sprintf("%#02x behind %s", c, name), basic: basic, raw: honest().set(i, name+s+":"+value).String()},
			trial{name: fmt.Sprintf("%#02x behind another %s", c, name), basic: basic, raw: honest().insert(i, name+s+":"+value+"\r\n")})
	}
	for i, line := range honest().lines { // NUL bytes may pass for the padding of a name (they did once)
		name, value, _ := strings.Cut(line, ":")
		for n := range 8 {
			all = append(all, trial{name: fmt.Sprintf("%d NUL behind %s", n+1, name), raw: honest().set(i, name+strings.Repeat("\x00", n+1)+":"+value).String()})
		}
	}
	for _, c := range []byte{0x00, 0x0b, 0x0c, 0x1f, 0x7f, 0x80, 0x85, 0xa0, 0xad, 0xff} {
		model := trial{name: fmt.Sprintf("%#02x behind l", c), over: "!websocket"}
		all = append(all, everywhere(model, "l"+string([]byte{c})+": 0\r\n")...)
	}
	return all
}

// broken makes trials that hold end where CRLF or nothing belongs.
func broken(end string) (all []trial) {
	add := func(name, raw string) {
		all = append(all, trial{name: fmt.Sprintf("%q %s", end, name), raw: raw, closes: true})
	}
	for i, line := range honest().lines {
		name, value, _ := strings.Cut(line, ": ")
		add("and a field behind "+name, honest().set(i, line+end+internal+": evil").String())
		add("in the middle of "+name, honest().set(i, name+": "+value[:len(value)/2]+end+value[len(value)/2:]).String())
		add("before the value of "+name, honest().set(i, name+":"+end+" "+value).String())
		add("before the name "+name, honest().set(i, end+line).String())
	}
	for _, p := range places {
		add("alone, "+p.name, honest().insert(p.at, end))
		add("behind an unknown field, "+p.name, honest().insert(p.at, "Other: a"+end+internal+": evil\r\n"))
		add("and blanks behind an unknown field, "+p.name, honest().insert(p.at, "Other: a"+end+" "+internal+": evil\r\n"))
	}
	add("in the method", honest().begin("INV"+end+strings.TrimPrefix(startLine, "INV")).String())
	add("in the Request-URI", honest().begin(strings.Replace(startLine, "@", end+"@", 1)).String())
	add("before the version", honest().begin(strings.Replace(startLine, " SIP", end+"SIP", 1)).String())
	return all
}

func s3() []trial { return broken("\r") }

func s4() []trial { return broken("\n") }

// s5: line ends that are neither CRLF nor one byte of it.
func s5() (all []trial) {
	for _, end := range []string{"\n\r", "\r\r\n", "\r\r", "\r\n\r", "\x0b", "\x0c", "\x85", "\xe2\x80\xa8"} {
		for i := -1; i < lineEnd; i++ {
			name := "the start line"
			if i >= 0 {
				name, _, _ = strings.Cut(honest().lines[i], ":")
			}
			t := trial{name: fmt.Sprintf("%q behind %s", end, name), raw: honest().ending(i, end), closes: end < "\x80"}
			if i >= 0 && end >= "\x80" { // is part of a value, and the next line with it
				t.fate = clean
			}
			all = append(all, t)
		}
		if end < "\x80" {
			model := trial{name: fmt.Sprintf("%q and a field", end), closes: true}
			all = append(all, everywhere(model, "Other: a"+end+internal+": evil\r\n")...)
		}
	}
	return all
}

// controls are the control bytes but HTAB, CR and LF.
func controls() (all []byte) {
	for c := range byte(0x20) {
		if c != '\t' && c != '\r' && c != '\n' {
			all = append(all, c)
		}
	}
	return append(all, 0x7f)
}

// s6: control bytes are allowed as quoted-pairs in quoted strings that are read, and nowhere else.
func s6() (all []trial) {
	for _, c := range controls() {
		s := string([]byte{c})
		for i, line := range honest().lines {
			if i%4 != int(c)%4 && c != 0 {
				continue
			}
			name, value, _ := strings.Cut(line, ": ")
			all = append(all, trial{name: fmt.Sprintf("%#02x behind %s", c, name), raw: honest().set(i, line+s+internal+": evil").String(), closes: true},
				trial{name: fmt.Sprintf("%#02x in %s", c, name), raw: honest().set(i, name+": "+value[:len(value)/2]+s+value[len(value)/2:]).String(), closes: true},
				trial{name: fmt.Sprintf("%#02x before %s", c, name), raw: honest().set(i, name+": "+s+value).String(), closes: true})
		}
		for _, name := range []string{"Other", "Subject", "Authorization", "Warning"} {
			d := honest().set(lineSubject, "")
			all = append(all, trial{name: fmt.Sprintf("%#02x in quotes of %s", c, name), raw: d.insert(linePlain, name+": \"a"+s+internal+": evil\"\r\n"), closes: true})
		}
		all = append(all, quotedControls(c)...)
		all = append(all, trial{name: fmt.Sprintf("%#02x in the Request-URI", c), raw: honest().begin(strings.Replace(startLine, "@", s+"@", 1)).String(), closes: true})
	}
	return all
}

// quotedControls are those of s6 in display names.
func quotedControls(c byte) (all []trial) {
	s := string([]byte{c})
	for i, name := range map[int]string{lineFrom: "From", lineTo: "To", lineContact: "Contact"} {
		rest := " <sip:a@example.com>"
		if i == lineFrom {
			rest += ";tag=1"
		}
		with := func(display string) string { return honest().set(i, name+": "+display+rest).String() }
		all = append(all,
			trial{name: fmt.Sprintf("%#02x in quotes of %s", c, name), raw: with("\"a" + s + "b\"")},
			trial{name: fmt.Sprintf("%#02x behind an escaped backslash of %s", c, name), raw: with("\"a\\\\" + s + "b\"")},
			trial{name: fmt.Sprintf("%#02x as a pair outside of quotes of %s", c, name), raw: with("a\\" + s + "b")},
			trial{name: fmt.Sprintf("%#02x as a pair of %s", c, name), raw: with("\"a\\" + s + "b\""), fate: pass})
	}
	return all
}

// s7: an empty line made of anything but CRLF ends nothing; the fields behind it belong to the header, or the message is nothing.
func s7() (all []trial) {
	for _, end := range []string{"\n\n", "\r\n\n", "\r\r", "\n\r\n", "\r\n\r", "\r\n\r\r\n", "\r\n\x00\r\n", "\r\n\n\r\n"} {
		for i := -1; i < lineEnd; i++ {
			all = append(all, trial{name: fmt.Sprintf("%q behind line %d", end, i+1), raw: honest().ending(i, end+internal+": evil\r\n"), closes: true},
				trial{name: fmt.Sprintf("%q and a request behind line %d", end, i+1), raw: honest().ending(i, end+evil), closes: true})
		}
	}
	for i := range lineCSeq { // the header ends here, and something that it must have is missing
		raw := honest().ending(i, "\r\n\r\n"+internal+": evil\r\n")
		all = append(all, trial{name: fmt.Sprintf("CRLF CRLF behind line %d", i), raw: raw, over: "stream", closes: true},
			trial{name: fmt.Sprintf("CRLF CRLF behind line %d", i), raw: raw, over: "!stream"})
	}
	return all
}

// s8: folds leave as one blank, and hide no name.
func s8() (all []trial) {
	for _, fold := range []string{"\r\n ", "\r\n\t", " \r\n  ", "\t\r\n \t ", "\r\n a\r\n "} {
		inner := strings.Join(strings.Fields(strings.ReplaceAll(fold, "\r\n", " ")), " ")
		if inner != "" {
			inner += " "
		}
		model := trial{name: fmt.Sprintf("%q and a name", fold), fate: pass, gone: nil, fields: []field{{"Other", "a " + inner + internal + ": evil"}}}
		model.also = noInternal
		all = append(all, everywhere(model, "Other: a"+fold+internal+": evil\r\n")...)
		if inner == "" {
			model = trial{name: fmt.Sprintf("%q behind the colon", fold), fate: pass, also: noInternal, fields: []field{{"Other", internal + ": evil"}}}
			all = append(all, everywhere(model, "Other:"+fold+internal+": evil\r\n")...)
		}
	}
	all = append(all, foldedLines()...)
	for _, blank := range []string{"\r\n ", "\r\n\t \t", "\r\n \r\n \r\n "} {
		for _, tail := range []string{"", "\r\n " + internal + ": evil", "\r\n" + internal + ": evil"} {
			model := trial{name: fmt.Sprintf("a blank fold %q and %q", blank, tail), closes: true}
			all = append(all, everywhere(model, "Other: a"+blank+tail+"\r\n")...)
		}
	}
	for i, line := range honest().lines {
		name, value, _ := strings.Cut(line, ":")
		all = append(all, trial{name: "a fold in the name " + name, raw: honest().set(i, name[:2]+"\r\n "+name[2:]+":"+value).String(), closes: true},
			trial{name: "a fold before the colon of " + name, raw: honest().set(i, name+"\r\n :"+value).String(), closes: true})
	}
	return all
}

// noInternal: the name that a fold hid is none.
func noInternal(a *arrival) string {
	if len(a.all("x-internal")) > 0 {
		return "the hidden name became one"
	}
	return ""
}

// foldedLines folds each honest line behind its colon and at each of its blanks.
func foldedLines() (all []trial) {
	for i, line := range honest().lines {
		if i == lineLength {
			continue // S14
		}
		name, value, _ := strings.Cut(line, ": ")
		all = append(all, trial{name: "folded behind the colon: " + name, fate: pass, raw: honest().set(i, name+":\r\n "+value).String(), fields: plainly(i, value)})
		if i == lineVia || i == lineFrom || i == lineSubject || i == lineCSeq || i == linePlain {
			for at := range len(value) {
				if value[at] != ' ' || at > 0 && value[at-1] == ' ' || at+1 < len(value) && value[at+1] == ' ' || strings.Count(value[:at], `"`) == 1 {
					continue
				}
				all = append(all, trial{name: fmt.Sprintf("folded at byte %d: %s", at, name), fate: pass,
					raw: honest().set(i, name+": "+value[:at]+"\r\n\t"+value[at+1:]).String(), fields: plainly(i, value)})
			}
		}
	}
	return all
}

// s9: a line that goes on from the request line is nobody's.
func s9() (all []trial) {
	for _, text := range []string{" ", "\t", " " + internal + ": evil", "\t" + internal + ": evil", " SIP/2.0", "  Via: SIP/2.0/UDP a", " \t "} {
		all = append(all, trial{name: fmt.Sprintf("%q", text), raw: honest().insert(0, text+"\r\n"), closes: true})
	}
	return all
}

// s10: messages with one byte for every line end, or for some.
func s10() (all []trial) {
	for _, end := range []string{"\n", "\r"} {
		head, body, _ := strings.Cut(honest().String(), "\r\n\r\n")
		add := func(name, raw string) {
			all = append(all, trial{name: fmt.Sprintf("%q %s", end, name), raw: raw, closes: end == "\n" || strings.Contains(raw, "\r\n")})
		}
		add("everywhere", strings.ReplaceAll(honest().String(), "\r\n", end))
		add("in the header", strings.ReplaceAll(head, "\r\n", end)+end+end+body)
		add("in the fields", strings.Replace(strings.ReplaceAll(head, "\r\n", end), end, "\r\n", 1)+end+end+body)
		add("but for the last", strings.ReplaceAll(head, "\r\n", end)+"\r\n\r\n"+body)
		add("for the last", head+end+end+body)
		add("for the last two", head+"\r\n"+end+body)
		for i, line := range strings.Split(head, "\r\n") {
			if i > 0 && i%3 == 0 {
				add(fmt.Sprintf("from line %d on", i), strings.Replace(head, line, strings.ReplaceAll(head[strings.Index(head, line):], "\r\n", end), 1)+"\r\n\r\n"+body)
			}
		}
	}
	return all
}
