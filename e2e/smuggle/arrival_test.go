package smuggle

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An arrival is one message that reached the platform, read by the strictest reader there can be.
type arrival struct {
	raw    string
	over   string // "udp" or "tcp"
	start  string
	fields []field
	body   string
	faults []string // what is not canonical
}

// long maps compact field names to those that must leave instead (RFC 3261 §7.3.3, IANA registry of SIP header fields).
var long = map[string]string{"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "c": "content-type",
	"k": "supported", "s": "subject", "e": "content-encoding", "r": "refer-to", "b": "referred-by", "o": "event", "x": "session-expires",
	"a": "accept-contact", "j": "reject-contact", "d": "request-disposition", "u": "allow-events", "y": "identity", "n": "identity-info"}

// spelled is the name of a field in lower case and in long form.
func spelled(name string) string {
	name = strings.ToLower(name)
	if l, ok := long[name]; ok {
		return l
	}
	return name
}

// single are the fields that a message has once at most.
var single = []string{"from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type", "expires", "event", "refer-to",
	"referred-by", "session-expires", "min-se", "subject", "user-agent", "date", "content-disposition", "rack", "replaces"}

var (
	token       = regexp.MustCompile("^[A-Za-z0-9.!%*_+`'~-]+$")
	requestLine = regexp.MustCompile("^([A-Za-z0-9.!%*_+`'~-]+) ([!-;=?-~]+) SIP/2\\.0$")
	statusLine  = regexp.MustCompile(`^SIP/2\.0 [1-6][0-9][0-9] `)
	number      = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)
	escapes     = regexp.MustCompile("%[0-9A-Fa-f]{2}")
	// Control bytes are allowed as quoted-pairs only: a backslash before them, inside of quotes.
	quotedPairs = regexp.MustCompile(`"(?:[^"\\]|\\[\x00-\x7f])*"`)
)

// read takes raw apart and notes all that is not canonical.
func read(raw, over string) *arrival {
	a := &arrival{raw: raw, over: over}
	head, body, ok := strings.Cut(raw, "\r\n\r\n")
	if !ok {
		a.fault("no end of the header")
	}
	a.body = body
	lines := strings.Split(head, "\r\n")
	a.start = lines[0]
	if !requestLine.MatchString(a.start) {
		a.fault("request line %q", a.start)
	}
	for _, line := range lines {
		if hasControl(line) && hasControl(unpaired(line)) {
			a.fault("control byte in %q", line)
		}
	}
	for _, line := range lines[1:] {
		name, value, found := strings.Cut(line, ":")
		if !found || !token.MatchString(name) {
			a.fault("no field: %q", line)
		}
		if long[name] != "" {
			a.fault("compact name %q", line)
		}
		if value != "" && (!strings.HasPrefix(value, " ") || strings.Trim(value, " \t") != value[1:]) {
			a.fault("white space of %q", line)
		}
		a.fields = append(a.fields, field{name, strings.Trim(value, " \t")})
	}
	a.singles()
	return a
}

// hasControl reports whether s holds a control byte but HTAB.
func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// readReply says what in a message to the caller is not canonical.
func readReply(m string) (faults []string) {
	_, rest, _ := strings.Cut(m, "\r\n")
	status, _, _ := strings.Cut(m, "\r\n")
	if !statusLine.MatchString(status) || hasControl(status) {
		faults = append(faults, fmt.Sprintf("status line %q", status))
	}
	for _, fault := range read("X sip:x SIP/2.0\r\n"+rest, "").faults {
		if !strings.HasPrefix(fault, "CSeq ") && fault != "no max-forwards" && fault != `Max-Forwards ""` { // what only requests must have
			faults = append(faults, fault)
		}
	}
	return faults
}

// unpaired is line without its quoted strings that end, whose quoted-pairs may hold any control byte but CR and LF.
func unpaired(line string) string {
	return quotedPairs.ReplaceAllStringFunc(line, func(q string) string {
		for i := 1; i < len(q); i++ {
			if q[i] == '\\' {
				if q[i+1] == '\r' || q[i+1] == '\n' {
					return q
				}
				i++
			} else if q[i] < ' ' && q[i] != '\t' || q[i] == 0x7f {
				return q
			}
		}
		return ""
	})
}

func (a *arrival) fault(format string, args ...any) {
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

// singles looks at the fields that stand once and at their values.
func (a *arrival) singles() {
	for _, name := range single {
		if n := len(a.all(name)); n > 1 {
			a.fault("%d fields %s", n, name)
		}
	}
	for _, name := range []string{"via", "from", "to", "call-id", "cseq", "max-forwards", "content-length"} {
		if len(a.all(name)) == 0 {
			a.fault("no %s", name)
		}
	}
	if v := a.get("content-length"); !number.MatchString(v) || v != strconv.Itoa(len(a.body)) {
		a.fault("Content-Length %q before %d bytes", v, len(a.body))
	}
	if n, err := strconv.Atoi(a.get("max-forwards")); err != nil || !number.MatchString(a.get("max-forwards")) || n > 255 {
		a.fault("Max-Forwards %q", a.get("max-forwards"))
	}
	if method, _, _ := strings.Cut(a.start, " "); !strings.HasSuffix(a.get("cseq"), method) {
		a.fault("CSeq %q of a %s", a.get("cseq"), method)
	}
}

// all lists the values of the fields of that name.
func (a *arrival) all(name string) (values []string) {
	for _, f := range a.fields {
		if spelled(f.name) == name {
			values = append(values, f.value)
		}
	}
	return values
}

// get is the first value of the fields of that name, "" if there is none.
func (a *arrival) get(name string) string {
	if all := a.all(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// edited are the fields that a proxy changes.
var edited = []string{"via", "max-forwards", "content-length", "record-route", "route", "max-breadth"}

// judge says what is wrong with a as what became of t, which was sent as raw.
func (t *trial) judge(a *arrival, raw string) (wrong []string) {
	wrong = slices.Clone(a.faults)
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if t.fate == none {
		say("must not arrive")
	}
	if strings.Contains(a.start, "sip:evil@") {
		say("a body was run as a request")
	}
	for _, name := range t.gone {
		if a.speaks(name) {
			say("%s is there", name)
		}
	}
	if t.fate != pass {
		return wrong
	}
	t.untouched(a, raw, say)
	if t.also != nil {
		if what := t.also(a); what != "" {
			say("%s", what)
		}
	}
	return wrong
}

// speaks reports whether the header holds name in any spelling, be it as a field, in a URI or escaped.
func (a *arrival) speaks(name string) bool {
	head := a.raw[:len(a.raw)-len(a.body)]
	plain := escapes.ReplaceAllStringFunc(head, func(s string) string {
		c, _ := strconv.ParseUint(s[1:], 16, 8)
		return string([]byte{byte(c)})
	})
	return len(a.all(spelled(name))) > 0 || strings.Contains(strings.ToLower(head+plain), strings.ToLower(name))
}

// untouched compares what nobody is to edit: the start line, the lines that were sent plainly, and the body.
func (t *trial) untouched(a *arrival, raw string, say func(string, ...any)) {
	head, body, _ := strings.Cut(strings.TrimLeft(raw, "\r\n"), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	start, hops := lines[0], "69"
	if t.start != "" {
		start = t.start
	}
	if a.start != start {
		say("start line %q became %q", start, a.start)
	}
	if t.body != nil {
		body = *t.body
	}
	if a.body != body {
		say("body %q became %q", body, a.body)
	}
	if t.hops != "" {
		hops = t.hops
	}
	if got := a.get("max-forwards"); got != hops {
		say("Max-Forwards %s, not %s", got, hops)
	}
	want := slices.Clone(t.fields)
	plain := honest().lines
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		if slices.ContainsFunc(plain, func(l string) bool { n, _, _ := strings.Cut(l, ": "); return n == name }) && !slices.Contains(edited, strings.ToLower(name)) &&
			!slices.ContainsFunc(t.fields, func(f field) bool { return f.name == name }) {
			want = append(want, field{name, value})
		}
	}
	for _, f := range want {
		if !slices.Contains(a.fields, f) {
			say("%s: %q is not there as it was sent", f.name, f.value)
		}
	}
}
