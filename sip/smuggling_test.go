package sip

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// The rows S1 to S25 of the smuggling table, as far as syntax decides them: what two parsers could read differently is
// refused, or leaves in one canonical reading. Every case runs as a datagram and as a message of a stream, with the odd
// line before, between and after the others.

// A smuggle is one odd message.
type smuggle struct {
	name string
	raw  string
	want Error // errNone: accepted or refused, but clean
	ok   bool  // must be accepted
}

var cleanLines = []string{
	"Via: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKa1", "Max-Forwards: 70", "From: <sip:carol@pbx.example>;tag=c1",
	"To: <sip:desk@pbx.example>", "Call-ID: 4711@203.0.113.9", "CSeq: 12 OPTIONS", "Content-Length: 0",
}

// message joins a request line, the clean lines but those that begin with one of without, and body.
func message(line, body string, without ...string) string {
	b := line + "\r\n"
next:
	for _, l := range cleanLines {
		for _, w := range without {
			if strings.HasPrefix(l, w) {
				continue next
			}
		}
		b += l + "\r\n"
	}
	return b + body
}

const optionsLine = "OPTIONS sip:desk@pbx.example SIP/2.0"

// insert puts text, line ends and all, before the first, the fourth and behind the last field.
func insert(name, text string, want Error, ok bool) []smuggle {
	var list []smuggle
	for _, at := range []int{0, 3, len(cleanLines)} {
		raw := optionsLine + "\r\n"
		for i, l := range cleanLines {
			if i == at {
				raw += text
			}
			raw += l + "\r\n"
		}
		if at == len(cleanLines) {
			raw += text
		}
		list = append(list, smuggle{fmt.Sprintf("%s/at%d", name, at), raw + "\r\n", want, ok})
	}
	return list
}

// replace puts line in the place of the clean line that begins with prefix.
func replace(name, prefix, line string, want Error) []smuggle {
	raw := optionsLine + "\r\n"
	for _, l := range cleanLines {
		if strings.HasPrefix(l, prefix) {
			l = line
		}
		raw += l + "\r\n"
	}
	return []smuggle{{name, raw + "\r\n", want, want == errNone}}
}

func startLine(name, line string, want Error) []smuggle {
	return []smuggle{{name, message(line, "\r\n"), want, want == errNone}}
}

func rows() map[string][]smuggle {
	r := map[string][]smuggle{}
	add := func(row string, list []smuggle) { r[row] = append(r[row], list...) }
	for _, blank := range []string{" ", "\t", "                ", " \t "} {
		add("S1", insert(fmt.Sprintf("%q", blank), "X-Internal"+blank+": evil\r\n", errNone, true))
	}
	for c := range 256 {
		if !is(byte(c), cToken) && c != ' ' && c != '\t' && c != ':' && c != '\r' && c != '\n' {
			for _, format := range []string{"X-Internal%c: evil\r\n", "%cX-Internal: evil\r\n", "X-In%cternal: evil\r\n"} {
				text := strings.Replace(format, "%c", string([]byte{byte(c)}), 1)
				add("S2", insert(fmt.Sprintf("%02x/%q", c, format), text, ErrFieldName, false))
			}
		}
	}
	for _, line := range cleanLines {
		name, value, _ := strings.Cut(line, ":")
		for n := range 24 {
			zeros := strings.Repeat("\x00", n+1)
			add("S2", replace(fmt.Sprintf("%d zeros behind %s", n+1, name), name, name+zeros+":"+value, ErrFieldName))
			add("S2", replace(fmt.Sprintf("%d zeros before %s", n+1, name), name, zeros+line, ErrFieldName))
		}
	}
	lexical(add)
	length(add)
	single(add)
	requestLines(add)
	return r
}

func lexical(add func(string, []smuggle)) {
	for _, text := range []string{"Subject: a\rX-Internal: evil\r\n", "Subject: a\r X-Internal: evil\r\n", "Subject:\rX-Internal: evil\r\n", "\rX-Internal: evil\r\n"} {
		add("S3", insert(fmt.Sprintf("%q", text), text, errAny, false))
	}
	for _, text := range []string{"Subject: a\nX-Internal: evil\r\n", "Subject: a\n X-Internal: evil\r\n", "Subject:\n\tx\r\n", "\nX-Internal: evil\r\n"} {
		add("S4", insert(fmt.Sprintf("%q", text), text, errAny, false))
	}
	for _, end := range []string{"\n\r", "\r\r\n", "\n\n", "\r\n\r", "\r\n\n"} {
		add("S5", insert(fmt.Sprintf("%q", end), "Subject: a"+end+"X-Internal: evil\r\n", errAny, false))
	}
	for c := range 256 {
		if isControl(byte(c)) && c != '\t' && c != '\r' && c != '\n' {
			for _, name := range []string{"Subject", "Contact", "X-Any", "User-Agent", "Authorization"} {
				add("S6", insert(fmt.Sprintf("%02x/%s", c, name), name+": \"a\""+string(rune(c))+"X-Internal: evil\r\n", errAny, false))
			}
			add("S6", insert(fmt.Sprintf("%02x/quoted", c), "Contact: \"a"+string(rune(c))+"\" <sip:a@b>\r\n", errAny, false))
			add("S6", insert(fmt.Sprintf("%02x/escaped backslash", c), "Contact: \"a\\\\"+string(rune(c))+"\" <sip:a@b>\r\n", errAny, false))
			add("S6", insert(fmt.Sprintf("%02x/pair outside quotes", c), "Contact: a\\"+string(rune(c))+" <sip:a@b>\r\n", errAny, false))
			add("S6", insert(fmt.Sprintf("%02x/quoted pair", c), "Contact: \"a\\"+string(rune(c))+"\" <sip:a@b>\r\n", errNone, true))
		}
	}
	for _, end := range []string{"\n\n", "\r\n\n", "\r\r", "\n\r\n", "\r\n\r\r\n"} {
		add("S7", insert(fmt.Sprintf("%q", end), "Subject: a"+end+"X-Internal: evil\r\n", errAny, false))
	}
	add("S8", insert("hidden name", "Subject: a\r\n X-Internal: evil\r\n", errNone, true))
	add("S8", insert("tab", "Subject: a\r\n\tX-Internal: evil\r\n", errNone, true))
	add("S8", insert("after colon", "Subject:\r\n X-Internal: evil\r\n", errNone, true))
	for _, blank := range []string{"Subject: a\r\n \r\n", "Subject: a\r\n \t\r\n X-Internal: evil\r\n", "Subject:\r\n \r\n"} {
		add("S8", insert(fmt.Sprintf("%q", blank), blank, ErrFold, false))
	}
	add("S9", startLine("space", optionsLine+"\r\n X-Internal: evil", ErrFold))
	add("S9", startLine("tab", optionsLine+"\r\n\tX-Internal: evil", ErrFold))
	all := message(optionsLine, "\r\n")
	add("S10", []smuggle{{"LF only", strings.ReplaceAll(all, "\r\n", "\n"), ErrBareLF, false}})
	add("S10", []smuggle{{"CR only", strings.ReplaceAll(all, "\r\n", "\r"), ErrBareCR, false}})
	for _, junk := range []string{"\x00", " ", "\t", "\xef\xbb\xbf", "junk\r\n", "\x00\x01\x00\x00\x21\x12\xa4\x42", "\r", "\n", "\r\n\n"} {
		add("S17", []smuggle{{fmt.Sprintf("%q", junk), junk + all, errAny, false}})
	}
}

func length(add func(string, []smuggle)) {
	const body = "INVITE sip:evil@pbx.example SIP/2.0\r\n\r\n"
	add2 := func(row, lines, body string, want Error, ok bool) {
		raw := message(optionsLine, lines+"\r\n"+body, "Content-Length")
		add(row, []smuggle{{fmt.Sprintf("%q", lines), raw, want, ok}})
	}
	for _, twice := range []string{"Content-Length: %d\r\nContent-Length: %d\r\n", "l: %d\r\nContent-Length: %d\r\n", "Content-Length: %d\r\nL:%d\r\n", "CONTENT-LENGTH: %d\r\nX: y\r\nl : %d\r\n"} {
		add2("S11", fmt.Sprintf(twice, len(body), len(body)), body, errNone, true)
		add2("S11", fmt.Sprintf(twice, 0, len(body)), body, ErrContentLengthDiffers, false)
		add2("S11", fmt.Sprintf(twice, len(body), 0), body, ErrContentLengthDiffers, false)
	}
	for _, n := range []string{"4294967296", "4294967301", "18446744073709551616", "18446744073709551621", "2147483648", strings.Repeat("9", 400)} {
		add2("S12", "Content-Length: "+n+"\r\n", body, ErrContentLength, false)
	}
	for _, n := range []string{"65536", "1073741824", "2147483647"} {
		add2("S12", "Content-Length: "+n+"\r\n", body, ErrTooLarge, false)
	}
	for _, v := range []string{"-1", "+5", "0x5", "5.0", "5 5", "5, 5", "5,5", "5;a=b", "", " ", "\"5\"", "5\xa0", "\u0665", "5\t5", "5e0", "0 ;"} {
		add2("S13", "Content-Length: "+v+"\r\n", body, ErrContentLength, false)
	}
	for _, v := range []string{"5\x00", "\x005", "\x0b5"} {
		add2("S13", "Content-Length: "+v+"\r\n", body, ErrControl, false)
	}
	whole := fmt.Sprint(len(body))
	for _, lines := range []string{"Content-Length:\r\n " + whole + "\r\n", "Content-Length: 0\r\n " + whole + "\r\n", "Content-Length: 3\r\n\t9\r\n"} {
		add2("S14", lines, body, ErrContentLength, false)
	}
	add2("S14", "Subject: x\nContent-Length: 0\r\nContent-Length: "+whole+"\r\n", body, ErrBareLF, false)
	add2("S14", "Subject: x\r\n Content-Length: 0\r\nContent-Length: "+whole+"\r\n", body, errNone, true)
	add2("S14", "Contact: \"\r\n Content-Length: 0\r\n \" <sip:a@b>\r\nContent-Length: "+whole+"\r\n", body, errNone, true)
	add2("S14", "Contact: \"\r\nContent-Length: 0\r\n\" <sip:a@b>\r\nContent-Length: "+whole+"\r\n", body, errAny, false)
}

func single(add func(string, []smuggle)) {
	for _, pair := range [][2]string{
		{"From: <sip:evil@pbx.example>;tag=2", "f: <sip:evil@pbx.example>;tag=2"}, {"To: <sip:evil@pbx.example>", "T:sip:evil"},
		{"Call-ID: evil", "i: evil"}, {"CSeq: 13 OPTIONS", "cseq: 13 OPTIONS"}, {"Max-Forwards: 70", "MAX-FORWARDS : 70"},
	} {
		for _, line := range pair {
			add("S18", insert(line, line+"\r\n", ErrDuplicate, false))
		}
	}
	add("S18", insert("Content-Type", "Content-Type: a/b\r\nc: a/b\r\n", ErrDuplicate, false))
	for _, v := range []string{
		"<sip:a@b>;tag=1, <sip:c@d>;tag=2", "sip:a@b, sip:c@d", "<sip:a@b>;tag=1;tag=2", "<sip:a@b>;tag=1;TAG=2", "<sip:a@b>;tag=1;x=y;Tag=1",
		"\"a <sip:a@b>;tag=1", "\"a\\\" <sip:a@b>;tag=1", "\"a\\", "<sip:a@b<sip:c@d>>;tag=1", "<<sip:a@b>>;tag=1", "<sip:a@b>>;tag=1",
		"<sip:a@b", "sip:a@b>;tag=1", "a\"b\" <sip:a@b>", "\"a\"b <sip:a@b>", "<sip:a@b>;tag", "<sip:a@b>;tag=", "<sip:a@b>;tag=\"1\"",
		"<sip:a@b>;tag=1 x", "<sip:a@b>tag=1", "", "*", "<>", "\"a\\\xc3\xa9\" <sip:a@b>", "<sip:a@b>;tag=1,", ",<sip:a@b>", "<sip:a%@b>", "<sip:a%0@b>",
		"<sip:a%0g@b>", "<sip:a b@c>", "sip:a@b?Route=x",
	} {
		add("S19", replace(fmt.Sprintf("%q", v), "From", "From: "+v, errAny))
		add("S19", replace(fmt.Sprintf("To %q", v), "To", "To: "+v, errAny))
	}
	add("S19", replace("CRLF in quotes", "From", "From: \"a\r\nb\" <sip:a@b>;tag=1", errAny))
	add("S19", replace("escaped CRLF in quotes", "From", "From: \"a\\\r\n b\" <sip:a@b>;tag=1", errAny))
	for _, v := range []string{"2147483648 OPTIONS", "4294967308 OPTIONS", "-1 OPTIONS", "+1 OPTIONS", "0x1 OPTIONS", "12", "12OPTIONS", "12 ", "OPTIONS 12", "12 OPTIONS x", "1 2 OPTIONS"} {
		add("S20", replace(v, "CSeq", "CSeq: "+v, ErrCSeq))
	}
	for _, v := range []string{"12 INVITE", "12 options", "12 OPTION", "12 OPTIONSS"} {
		add("S20", replace(v, "CSeq", "CSeq: "+v, ErrCSeqMethod))
	}
	for _, v := range []string{"2147483647 OPTIONS", "0 OPTIONS", "000000000000000000012\tOPTIONS"} {
		add("S20", replace(v, "CSeq", "CSeq: "+v, errNone))
	}
	for _, v := range []string{"-1", "4294967305", "256", "300", "", "7 0", "70;a", "+7", "0x7"} {
		add("S21", replace(v, "Max-Forwards", "Max-Forwards: "+v, ErrMaxForwards))
	}
	for _, v := range []string{"0", "255", "0068"} {
		add("S21", replace(v, "Max-Forwards", "Max-Forwards: "+v, errNone))
	}
}

func requestLines(add func(string, []smuggle)) {
	for _, line := range []string{
		"OPTIONS  sip:a@b SIP/2.0", "OPTIONS sip:a@b  SIP/2.0", "OPTIONS\tsip:a@b SIP/2.0", "OPTIONS sip:a@b\tSIP/2.0", "OPTIONS sip:a@b SIP/2.0 ",
		"OPTIONS sip:a@b SIP/2.0 SIP/2.0", "OPTIONS sip:a@b sip/2.0", "OPTIONS sip:a@b Sip/2.0", "OPTIONS <sip:a@b> SIP/2.0", "OPTIONS sip:a\x00@b SIP/2.0",
		"OPTIONS sip:a@b SIP/2.0\r", " OPTIONS sip:a@b SIP/2.0", "OPTIONS sip:a@b", "OPTIONS  SIP/2.0", "OPTIONS SIP/2.0", "OPTIONS sip:a@b SIP/2.00x", "OPTIONS sip:a@b SIP/2", "OPTIONS \"sip:a@b\" SIP/2.0",
		"OPTIONS sip:a@b SIP/2.0\n", "OPTIONS sip:a@b;x\\y SIP/2.0", "OPT<IONS sip:a@b SIP/2.0", "OPTIONS sip:a@b\xa0 SIP/2.0", "OPTIONS sip:a@b:0 SIP/2.0", "OPTIONS sip:a@b:65536 SIP/2.0", "OPTIONS sip:a@@b SIP/2.0",
	} {
		add("S22", startLine(fmt.Sprintf("%q", line), line, errAny))
	}
	for _, v := range []string{"SIP/3.0", "SIP/2.1", "SIP/7.0", "SIP/02.0", "SIP/2.00"} {
		add("S22", startLine(v, "OPTIONS sip:a@b "+v, ErrVersion))
	}
	add("S23", startLine("method", strings.Repeat("M", 4000)+" sip:a@b SIP/2.0", ErrMethodLength))
	add("S23", startLine("uri", "OPTIONS sip:"+strings.Repeat("a", 5000)+"@b SIP/2.0", ErrURILength))
	add("S23", insert("name", strings.Repeat("N", 9000)+": x\r\n", ErrFieldNameLength, false))
	add("S23", insert("fields", strings.Repeat("N: x\r\n", 500), ErrFieldCount, false))
	add("S23", insert("lines without name", strings.Repeat("x\r\n", 20000), errAny, false))
	add("S23", insert("vias", strings.Repeat("Via: SIP/2.0/UDP a\r\n", 70), ErrViaCount, false))
	add("S23", insert("vias in one line", "v: "+strings.Repeat("SIP/2.0/UDP a,", 70)+"SIP/2.0/UDP a\r\n", ErrViaCount, false))
	add("S23", insert("via params", "v: SIP/2.0/UDP a"+strings.Repeat(";a=b;b=c", 2500)+"\r\n", errAny, false))
	params := ""
	for i := range 5000 {
		params += fmt.Sprint(";p", i)
	}
	add("S23", insert("contact params", "m: <sip:a>"+params+"\r\n", errAny, false))
	add("S23", insert("uri params", "m: <sip:a"+params[:3000]+">\r\n", ErrContact, false))
	add("S23", insert("equal params", "m: <sip:a>"+strings.Repeat(";p", 60)+"\r\n", ErrContact, false))
	add("S23", insert("contacts", "m: "+strings.Repeat("<sip:a>,", 2000)+"<sip:a>\r\n", errAny, false))
	add("S23", insert("contacts short", "m: "+strings.Repeat("<sip:a>,", 40)+"<sip:a>\r\n", ErrContactCount, false))
	add("S23", insert("contact lines", strings.Repeat("m: <sip:a>\r\n", 33), ErrContactCount, false))
	add("S23", insert("value", "Subject: "+strings.Repeat("v", 40000)+"\r\n", ErrValueLength, false))
	add("S23", insert("folded value", "Subject: v"+strings.Repeat("\r\n v", 12000)+"\r\n", ErrValueLength, false))
	add("S24", startLine("uri headers", "OPTIONS sip:x@y?X-Internal=evil SIP/2.0", errNone))
	add("S25", startLine("escaped CRLF", "OPTIONS sip:x%0d%0aX-Internal:evil@y SIP/2.0", errNone))
}

// errAny stands for "refused, for whatever reason".
const errAny = errorCount

func TestSmuggling(t *testing.T) {
	cases := rows()
	for _, row := range []string{"S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13", "S14",
		"S17", "S18", "S19", "S20", "S21", "S22", "S23", "S24", "S25"} {
		t.Run(row, func(t *testing.T) {
			if len(cases[row]) == 0 {
				t.Fatal("no cases")
			}
			for _, c := range cases[row] {
				t.Run(c.name, func(t *testing.T) {
					c.run(t, true)
					c.run(t, false)
				})
			}
		})
	}
}

func (c *smuggle) run(t *testing.T, datagram bool) {
	var m Message
	err := m.Parse([]byte(c.raw), datagram)
	switch {
	case c.want != errNone && err == nil:
		t.Fatalf("accepted (datagram %v): %.200q", datagram, c.raw)
	case c.want != errNone && c.want != errAny && err != c.want:
		t.Fatalf("refused with %v at %d, want %v", err, m.ErrorAt(), c.want)
	case c.ok && err != nil:
		t.Fatalf("refused with %v at %d: %.300q", err, m.ErrorAt(), c.raw)
	}
	checkReply(t, &m)
	if err == nil {
		checkCanonical(t, &m)
		checkClean(t, canonical(&m))
	}
}

// checkClean asserts that bytes that leave have one reading: no evil field that could not be seen by name, CRLF only.
func checkClean(t *testing.T, out []byte) {
	t.Helper()
	header, _, ok := bytes.Cut(out, []byte("\r\n\r\n"))
	rest := strings.ReplaceAll(string(header), "\r\n", "")
	if !ok || strings.ContainsAny(rest, "\r\n") || bytes.Contains(header, []byte("\r\n ")) || bytes.Contains(header, []byte("\r\n\t")) {
		t.Fatalf("not clean: %q", out)
	}
	for line := range strings.SplitSeq(string(header), "\r\n") {
		if name, _, ok := strings.Cut(line, ":"); ok && strings.Contains(name, "X-Internal") && name != "X-Internal" && !strings.Contains(name, " SIP/2.0") && !strings.Contains(name, " sip") {
			t.Fatalf("hidden name %q", line)
		}
	}
}

// TestSmugglingBodyLength runs S15 and S16, where datagrams and streams differ.
func TestSmugglingBodyLength(t *testing.T) {
	const body = "four"
	for _, c := range []struct {
		row, lines string
		datagram   bool
		want       Error
		body       string
		defect     Defects
	}{
		{"S15/datagram", "", true, errNone, body, DefectNoContentLength},
		{"S15/stream", "", false, ErrContentLengthMissing, "", 0},
		{"S16/larger datagram", "Content-Length: 5\r\n", true, ErrBody, "", 0},
		{"S16/larger stream", "Content-Length: 5\r\n", false, ErrBody, "", 0},
		{"S16/smaller datagram", "Content-Length: 2\r\n", true, errNone, "fo", DefectTrailing},
		{"S16/smaller stream", "Content-Length: 2\r\n", false, ErrBody, "", 0},
	} {
		t.Run(c.row, func(t *testing.T) {
			var m Message
			raw := message(optionsLine, c.lines+"\r\n"+body, "Content-Length")
			err := m.Parse([]byte(raw), c.datagram)
			if err == nil && c.want != errNone || err != nil && err != c.want {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if !m.Replyable() {
				t.Error("cannot be answered")
			}
			if err == nil && (string(m.Body.Of(m.Raw)) != c.body || m.Defects != c.defect) {
				t.Errorf("body %q, defects %v", m.Body.Of(m.Raw), m.Defects)
			}
			if out := canonical(&m); err == nil && !bytes.HasSuffix(out, []byte(fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(c.body), c.body))) {
				t.Errorf("wrote %q", out)
			}
		})
	}
}
