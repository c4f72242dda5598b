package injection

import "bytes"

// Texts that no honest user, name or credentials hold, in lower case.
var outright = [][]byte{
	[]byte("${jndi:"), []byte("$("), []byte("${"), []byte("{{"), []byte("<script"), []byte("xp_cmdshell"), []byte("pg_sleep("), []byte("benchmark("),
	[]byte("sleep("), []byte("waitfor delay"), []byte("load_file("), []byte("information_schema"), []byte("into outfile"), []byte("/etc/passwd"),
	[]byte("%n%n"),
}

// suspicious applies the rules to text as it stands.
func suspicious(text []byte) bool {
	for _, w := range outright {
		if containsFold(text, w) {
			return true
		}
	}
	for i, c := range text {
		switch {
		case c == '`', c < ' ' && c != '\t' && c != '\r' && c != '\n', c == 0x7f:
			return true
		case c == '\'' && afterQuote(text[i+1:]):
			return true
		case c == ';' && stacked(text[i+1:]):
			return true
		case c == '|' && i+1 < len(text) && text[i+1] == '|' && bytes.IndexByte(text, '\'') >= 0:
			return true
		case c|0x20 == 'u' && unites(text[i:]):
			return true
		case c|0x20 == 'o' && (i == 0 || !letter(text[i-1])) && always(text[i:]):
			return true
		}
	}
	return false
}

// afterQuote reports whether what follows a single quote ends a literal of SQL: a bracket or blank and then an operator, a comment or the next
// statement. In o'brien, d'or and the like a name follows.
func afterQuote(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " )+\t")
	if len(rest) == 0 {
		return false
	}
	switch {
	case rest[0] == ';' && stacked(rest[1:]), rest[0] == '#', bytes.HasPrefix(rest, []byte("--")), bytes.HasPrefix(rest, []byte("/*")),
		bytes.HasPrefix(rest, []byte("='")), bytes.HasPrefix(rest, []byte("||")):
		return true
	}
	for _, w := range [...]string{"or", "and", "union", "having", "order by", "group by", "like"} {
		if n := len(w); hasPrefixFold(rest, w) && len(rest) > n && !letter(rest[n]) && rest[n] != '@' && rest[n] != '.' && rest[n] != '-' && rest[n] != '"' && rest[n] != '>' {
			return true
		}
	}
	return false
}

// stacked reports whether a statement of SQL or a command follows a semicolon. Parameters of URIs are never followed by a blank.
func stacked(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t")
	for _, w := range [...]string{"drop", "delete", "insert", "update", "exec", "execute", "shutdown", "cat", "wget", "curl", "nc", "id", "ls", "rm"} {
		if n := len(w); hasPrefixFold(rest, w) && len(rest) > n && (rest[n] == ' ' || rest[n] == '\t' || rest[n] == '+') {
			return true
		}
	}
	return false
}

// unites reports whether text begins with UNION and goes on with SELECT.
func unites(text []byte) bool {
	if !hasPrefixFold(text, "union") {
		return false
	}
	rest := separated(text[len("union"):])
	if hasPrefixFold(rest, "all") {
		rest = separated(rest[len("all"):])
	}
	return hasPrefixFold(rest, "select")
}

// separated is what follows the blanks and comments that rest begins with, nil if there are none.
func separated(rest []byte) []byte {
	cut := bytes.TrimLeft(rest, " \t+/*()")
	if len(cut) == len(rest) {
		return nil
	}
	return cut
}

// always reports whether text begins with OR and a comparison that is always true: or 1=1, or 'a'='a.
func always(text []byte) bool {
	if !hasPrefixFold(text, "or") {
		return false
	}
	rest := separated(text[2:])
	rest = bytes.TrimLeft(rest, quotes)
	i := 0
	for i < len(rest) && (letter(rest[i]) || rest[i] >= '0' && rest[i] <= '9') {
		i++
	}
	if i == 0 || i == len(rest) {
		return false
	}
	word, after := rest[:i], bytes.TrimLeft(rest[i:], " "+quotes)
	if len(after) == 0 || after[0] != '=' {
		return false
	}
	return bytes.HasPrefix(bytes.TrimLeft(after[1:], " "+quotes), word)
}

// quotes of SQL, the double one with the backslash that it has in a field.
const quotes = "'\"\\"

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80 }

// hasPrefixFold reports whether b begins with the lower-case text s, in any case.
func hasPrefixFold(b []byte, s string) bool {
	if len(b) < len(s) {
		return false
	}
	for i := range s {
		if b[i] != s[i] && (b[i]|0x20 != s[i] || s[i] < 'a') {
			return false
		}
	}
	return true
}

// containsFold reports whether the lower-case text s is in b, in any case.
func containsFold(b, s []byte) bool {
	for i := 0; i+len(s) <= len(b); i++ {
		if (b[i] == s[0] || b[i]|0x20 == s[0] && s[0] >= 'a') && hasPrefixFold(b[i:], string(s)) {
			return true
		}
	}
	return false
}
