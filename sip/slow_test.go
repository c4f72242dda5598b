package sip

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// The reference parser: slow, by regular expressions, close to the grammar of RFC 3261 §25.1, and written to be read. It
// shares nothing with the parser but the table of field names and the limits. FuzzParse holds one against the other.

// A slowMessage is what both parsers must agree on.
type slowMessage struct {
	method, uri    string
	status         int
	reason         string
	names, values  []string // long names, unfolded values
	transport      string   // of the topmost Via, as all until branch
	host           string
	port           int
	branch         string
	fromTag, toTag string
	callID         string
	cseq           int
	cseqMethod     string
	maxForwards    int
	body           string
}

const (
	reLWS   = `[ \t\n]*` // a fold has become \n
	reToken = "[A-Za-z0-9.!%*_+`'~-]+"
	reQuote = `"(?:[^"\\\x00-\x08\x0b-\x1f\x7f]|\\[\x00-\x09\x0b\x0c\x0e-\x7f])*"`
	reEsc   = `%[0-9A-Fa-f]{2}`
	reV6    = `\[[0-9A-Fa-f:.]*\]`
	reHost  = `(?:` + reV6 + `|[A-Za-z0-9._-]+)`
	reGen   = `(?:` + reToken + `|` + reQuote + `|` + reV6 + `)`
	reParam = reToken + `(?:` + reLWS + `=` + reLWS + reGen + `)?`
	reList  = `((?:` + reLWS + `;` + reLWS + reParam + `)*)`
	reEnd   = reLWS + `(,|$)`

	reUnreserved = `[A-Za-z0-9_.!~*'()-]`
	reUser       = `(?:[A-Za-z0-9_.!~*'()&=+$,;?/-]|` + reEsc + `)+`
	rePassword   = `(?:[A-Za-z0-9_.!~*'()&=+$,-]|` + reEsc + `)*`
	reURIParam   = `(?:[A-Za-z0-9_.!~*'()/:&+$\[\]-]|` + reEsc + `)+`
	reHeader     = `(?:[A-Za-z0-9_.!~*'()/?:+$\[\]-]|` + reEsc + `)`
	reURIList    = `((?:;` + reURIParam + `(?:=` + reURIParam + `)?)*)`

	reViaParam = `(?:(?i:rport)` + reLWS + `=` + `|(?i:received)` + reLWS + `=` + reLWS + `[0-9A-Fa-f:.]+|` + reParam + `)`
)

var (
	slowRequest  = regexp.MustCompile(`^(` + reToken + `) ([^ ]+) SIP/2\.0$`)
	slowResponse = regexp.MustCompile(`^SIP/2\.0 ([1-6][0-9][0-9]) ([^\x00-\x08\x0a-\x1f\x7f]*)$`)
	slowField    = regexp.MustCompile(`^(` + reToken + `)[ \t]*:((?s).*)$`)
	slowSIP      = regexp.MustCompile(`^(?i:sips?):(?:` + reUser + `(?::` + rePassword + `)?@)?(` + reHost + `)(?::([0-9]+))?` +
		reURIList + `(?:\?` + reHeader + `+=` + reHeader + `*(?:&` + reHeader + `+=` + reHeader + `*)*)?$`)
	slowTel      = regexp.MustCompile(`^(?i:tel):\+?[0-9A-Fa-f*#.()-]+` + reURIList + `$`)
	slowAbsolute = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):(?:[A-Za-z0-9_.!~*'();/?:@&=+$,\[\]-]|` + reEsc + `)+$`)
	slowAddress  = regexp.MustCompile(`^` + reLWS + `(?:(?:` + reQuote + reLWS + `|(?:` + reToken + reLWS + `)*)<([^>]*)>|(` +
		reToken + `:[^,;? \t\n]*))` + reList + reEnd)
	slowVia = regexp.MustCompile(`^` + reLWS + `(?i:SIP)` + reLWS + `/` + reLWS + `2\.0` + reLWS + `/` + reLWS + `(` + reToken +
		`)[ \t\n]+(` + reHost + `)(?:` + reLWS + `:` + reLWS + `([0-9]+))?((?:` + reLWS + `;` + reLWS + reViaParam + `)*)` + reEnd)
	slowOneParam = regexp.MustCompile(`^` + reLWS + `;` + reLWS + `(` + reToken + `)(?:` + reLWS + `=` + reLWS + `(` + reQuote +
		`|[^ \t\n;,"]*))?`)
	slowCallID = regexp.MustCompile(`^[A-Za-z0-9.!%*_+` + "`" + `'~()<>:\\"/\[\]?{}-]+(@[A-Za-z0-9.!%*_+` + "`" + `'~()<>:\\"/\[\]?{}-]+)?$`)
	slowCSeq   = regexp.MustCompile(`^0*([0-9]{1,10})[ \t\n]+(` + reToken + `)$`)
	slowNumber = regexp.MustCompile(`^0*([0-9]{1,10})$`)
	slowLabel  = regexp.MustCompile(`^[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?$`)
	slowToken  = regexp.MustCompile(`^` + reToken + `$`)
	slowFold   = regexp.MustCompile(`[ \t]*\n[ \t]*`) // white space around a fold belongs to it
	slowCtl    = regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f]`)
)

// slowParse is the reference for Message.Parse.
func slowParse(b []byte, datagram bool) (*slowMessage, error) {
	s := string(b)
	for datagram && strings.HasPrefix(s, "\r\n") {
		s = s[2:]
	}
	header, body, ok := strings.Cut(s, "\r\n\r\n")
	if !ok {
		return nil, fmt.Errorf("no end of header")
	}
	header = strings.ReplaceAll(header, "\r\n", "\n")
	if strings.Contains(header, "\r") || strings.Contains(strings.ReplaceAll(s[:len(s)-len(body)], "\r\n", ""), "\n") {
		return nil, fmt.Errorf("bare CR or LF")
	}
	lines := strings.Split(header, "\n")
	m := &slowMessage{maxForwards: -1}
	if err := m.startLine(lines[0]); err != nil {
		return nil, err
	}
	unfolded, err := slowUnfold(lines[1:])
	if err != nil {
		return nil, err
	}
	fields := map[FieldID][]string{}
	for _, line := range unfolded {
		if err := m.field(line, fields); err != nil {
			return nil, err
		}
	}
	if len(unfolded) > mostFields {
		return nil, fmt.Errorf("too many fields")
	}
	if err := m.decode(fields); err != nil {
		return nil, err
	}
	return m, m.cutBody(fields[FieldContentLength], body, datagram)
}

func (m *slowMessage) startLine(line string) error {
	if r := slowResponse.FindStringSubmatch(line); r != nil {
		m.status, _ = strconv.Atoi(r[1])
		m.reason = r[2]
		return nil
	}
	r := slowRequest.FindStringSubmatch(line)
	if r == nil || len(r[1]) > MaxMethod {
		return fmt.Errorf("start line")
	}
	m.method, m.uri = r[1], r[2]
	return slowURI(r[2])
}

// slowUnfold joins folded lines by \n.
func slowUnfold(lines []string) (out []string, err error) {
	for _, line := range lines {
		if line == "" || line[0] != ' ' && line[0] != '\t' {
			out = append(out, line)
			continue
		}
		if len(out) == 0 || strings.Trim(line, " \t") == "" {
			return nil, fmt.Errorf("fold")
		}
		out[len(out)-1] += "\n" + line
	}
	return out, nil
}

func (m *slowMessage) field(line string, fields map[FieldID][]string) error {
	r := slowField.FindStringSubmatch(line)
	if r == nil || len(r[1]) > MaxFieldName {
		return fmt.Errorf("field %q", line)
	}
	value := strings.Trim(r[2], " \t\n")
	name := r[1]
	id := FieldOther
	for f := FieldOther + 1; f < fieldIDs; f++ {
		info := fieldInfo[f]
		if strings.EqualFold(name, info.name) || len(name) == 1 && info.compact != 0 && strings.EqualFold(name, string(info.compact)) {
			id, name = f, info.name
		}
	}
	switch id {
	case FieldFrom, FieldTo, FieldContact, FieldRoute, FieldRecordRoute, FieldPath, FieldServiceRoute:
	default:
		if slowCtl.MatchString(value) {
			return fmt.Errorf("control byte in %q", line)
		}
	}
	if id == FieldContentLength && strings.Contains(line, "\n") {
		return fmt.Errorf("folded Content-Length")
	}
	if id != FieldOther {
		if fieldInfo[id].single && id != FieldContentLength && len(fields[id]) > 0 {
			return fmt.Errorf("%s twice", name)
		}
		fields[id] = append(fields[id], value)
	}
	m.names = append(m.names, name)
	m.values = append(m.values, slowFold.ReplaceAllString(value, " "))
	return nil
}

func (m *slowMessage) decode(fields map[FieldID][]string) (err error) {
	for _, id := range []FieldID{FieldVia, FieldFrom, FieldTo, FieldCallID, FieldCSeq} {
		if len(fields[id]) == 0 {
			return fmt.Errorf("no %v", id)
		}
	}
	if err = m.vias(fields[FieldVia]); err != nil {
		return err
	}
	if m.fromTag, err = slowParty(fields[FieldFrom][0]); err != nil {
		return err
	}
	if m.toTag, err = slowParty(fields[FieldTo][0]); err != nil {
		return err
	}
	if m.callID = fields[FieldCallID][0]; !slowCallID.MatchString(m.callID) {
		return fmt.Errorf("Call-ID")
	}
	r := slowCSeq.FindStringSubmatch(fields[FieldCSeq][0])
	if r == nil {
		return fmt.Errorf("CSeq")
	}
	m.cseq, _ = strconv.Atoi(r[1])
	m.cseqMethod = r[2]
	if m.cseq >= 1<<31 || m.status == 0 && r[2] != m.method {
		return fmt.Errorf("CSeq value")
	}
	if v := fields[FieldMaxForwards]; v != nil {
		n := slowNumber.FindStringSubmatch(v[0])
		if n == nil {
			return fmt.Errorf("Max-Forwards")
		}
		if m.maxForwards, _ = strconv.Atoi(n[1]); m.maxForwards > 255 {
			return fmt.Errorf("Max-Forwards value")
		}
	}
	return slowLists(fields)
}

// slowLists checks Contact and the fields that ringwall routes by.
func slowLists(fields map[FieldID][]string) error {
	contacts := 0
	for _, value := range fields[FieldContact] {
		if strings.Trim(value, " \t\n") == "*" {
			if len(fields[FieldContact]) > 1 {
				return fmt.Errorf("* and other contacts")
			}
			continue
		}
		n, _, err := slowAddresses(value, false)
		if contacts += n; err != nil || contacts > MaxContacts {
			return fmt.Errorf("Contact: %w", err)
		}
	}
	for _, id := range []FieldID{FieldRoute, FieldRecordRoute, FieldPath, FieldServiceRoute} {
		for _, value := range fields[id] {
			if _, _, err := slowAddresses(value, true); err != nil {
				return fmt.Errorf("%v: %w", id, err)
			}
		}
	}
	return nil
}

func (m *slowMessage) vias(values []string) error {
	n := 0
	for _, value := range values {
		for more := true; more; n++ {
			r := slowVia.FindStringSubmatch(value)
			if r == nil || !slowHost(r[2]) {
				return fmt.Errorf("Via %q", value)
			}
			port, ok := slowPort(r[3])
			params, err := slowParams(r[4])
			if !ok || err != nil || n == mostVias {
				return fmt.Errorf("Via %q", value)
			}
			if err := slowViaParams(params); err != nil {
				return err
			}
			if n == 0 {
				m.transport, m.host, m.port, m.branch = r[1], r[2], port, params["branch"]
			}
			value, more = value[len(r[0]):], r[5] == ","
		}
	}
	return nil
}

func slowViaParams(params map[string]string) error {
	if v, ok := params["branch"]; ok && (!slowToken.MatchString(v) || strings.EqualFold(v, "z9hG4bK")) {
		return fmt.Errorf("branch %q", v)
	}
	if v, ok := params["rport"]; ok && v != "" && v != "\x00" {
		if _, ok := slowPort(v); !ok {
			return fmt.Errorf("rport %q", v)
		}
	}
	if v, ok := params["received"]; ok {
		bare := strings.TrimSuffix(strings.TrimPrefix(v, "["), "]")
		a, err := netip.ParseAddr(bare)
		if err != nil || a.Zone() != "" || bare != v && (!a.Is6() || len(v) != len(bare)+2) {
			return fmt.Errorf("received %q", v)
		}
	}
	if v, ok := params["maddr"]; ok && !slowHost(v) {
		return fmt.Errorf("maddr %q", v)
	}
	return nil
}

// slowParty decodes From or To and returns its tag.
func slowParty(value string) (string, error) {
	n, params, err := slowAddresses(value, false)
	if err != nil || n != 1 {
		return "", fmt.Errorf("%d addresses: %w", n, err)
	}
	return params["tag"], nil
}

// slowAddresses checks a list of addresses and returns their number and the parameters of the last.
func slowAddresses(value string, angle bool) (n int, params map[string]string, err error) {
	for more := true; more; n++ {
		r := slowAddress.FindStringSubmatch(value)
		if r == nil || angle && r[2] != "" {
			return 0, nil, fmt.Errorf("address %q", value)
		}
		if err := slowURI(r[1] + r[2]); err != nil {
			return 0, nil, err
		}
		if params, err = slowParams(r[3]); err != nil {
			return 0, nil, err
		}
		if tag, ok := params["tag"]; ok && !slowToken.MatchString(tag) {
			return 0, nil, fmt.Errorf("tag %q", tag)
		}
		value, more = value[len(r[0]):], r[4] == ","
	}
	return n, params, nil
}

// slowParams splits a well-formed list; a parameter without "=" has the value NUL.
func slowParams(list string) (map[string]string, error) {
	params := map[string]string{}
	n := 0
	for strings.Trim(list, " \t\n") != "" {
		r := slowOneParam.FindStringSubmatch(list)
		name := strings.ToLower(r[1])
		if _, again := params[name]; again {
			return nil, fmt.Errorf("parameter %q twice", name)
		}
		if strings.HasPrefix(r[2], "[") && !slowHost(r[2]) {
			return nil, fmt.Errorf("parameter %q", r[2])
		}
		params[name] = r[2]
		if !strings.Contains(r[0], "=") {
			params[name] = "\x00"
		}
		if n++; n > MaxParams {
			return nil, fmt.Errorf("too many parameters")
		}
		list = list[len(r[0]):]
	}
	return params, nil
}

func slowURI(s string) error {
	scheme, _, _ := strings.Cut(s, ":")
	var list string
	switch strings.ToLower(scheme) {
	case "sip", "sips":
		r := slowSIP.FindStringSubmatch(s)
		if r == nil || !slowHost(r[1]) {
			return fmt.Errorf("URI %q", s)
		}
		if _, ok := slowPort(r[2]); !ok {
			return fmt.Errorf("port %q", s)
		}
		list = r[3]
	case "tel":
		r := slowTel.FindStringSubmatch(s)
		if r == nil {
			return fmt.Errorf("URI %q", s)
		}
		list = r[1]
	default:
		if !slowAbsolute.MatchString(s) {
			return fmt.Errorf("URI %q", s)
		}
	}
	seen := map[string]bool{}
	for i, param := range strings.Split(list, ";")[1:] {
		name, _, _ := strings.Cut(strings.ToLower(param), "=")
		if seen[name] || i >= MaxParams {
			return fmt.Errorf("URI parameter %q", param)
		}
		seen[name] = true
	}
	if list != "" && len(s) > MaxURI || len(s) > MaxURI {
		return fmt.Errorf("long URI")
	}
	return nil
}

func slowHost(s string) bool {
	if strings.HasPrefix(s, "[") {
		a, err := netip.ParseAddr(strings.Trim(s, "[]"))
		return err == nil && a.Is6()
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, label := range labels {
		if !slowLabel.MatchString(label) {
			return false
		}
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		a, err := netip.ParseAddr(s)
		return err == nil && a.Is4()
	}
	return true
}

// slowPort decodes an optional port.
func slowPort(s string) (int, bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n > 0
}

func (m *slowMessage) cutBody(lengths []string, body string, datagram bool) error {
	m.body = body
	if len(lengths) == 0 {
		if !datagram || len(body) > MaxBody {
			return fmt.Errorf("no Content-Length")
		}
		return nil
	}
	length := -1
	for _, v := range lengths {
		r := slowNumber.FindStringSubmatch(v)
		if r == nil {
			return fmt.Errorf("Content-Length")
		}
		n, _ := strconv.Atoi(r[1])
		if n > MaxBody || n > len(body) || length >= 0 && n != length || n < len(body) && !datagram {
			return fmt.Errorf("Content-Length value")
		}
		length = n
	}
	m.body = body[:length]
	return nil
}

// slowView is m in the terms of the reference.
func slowView(m *Message) *slowMessage {
	text := func(s Span) string { return string(s.Of(m.Raw)) }
	v := &slowMessage{
		method: text(m.MethodName), uri: text(m.RequestURI), status: m.Status, reason: text(m.Reason),
		transport: text(m.Via.Transport), host: text(m.Via.Host), port: int(m.Via.Port), branch: text(m.Via.Branch),
		fromTag: text(m.FromTag), toTag: text(m.ToTag), callID: text(m.CallID), cseq: int(m.CSeq.Number),
		cseqMethod: text(m.CSeq.MethodName), maxForwards: int(m.MaxForwards), body: text(m.Body),
	}
	for i := range m.Fields {
		f := &m.Fields[i]
		name := f.ID.String()
		if f.ID == FieldOther {
			name = text(f.Name)
		}
		v.names = append(v.names, name)
		v.values = append(v.values, string(bytes.TrimSpace(appendValue(nil, f.Value.Of(m.Raw)))))
	}
	return v
}
