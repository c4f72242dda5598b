package sip

// Character classes of RFC 3261 §25.1, one bit each.
const (
	cToken    uint32 = 1 << iota // token
	cWord                        // word (Call-ID)
	cUser                        // user without escapes
	cPassword                    // password without escapes
	cParam                       // paramchar without escapes
	cHeader                      // hname and hvalue without escapes
	cURIC                        // uric without escapes, and the brackets of RFC 3986
	cHost                        // letters, digits, "-", "." and "_" (which host names in the field have)
	cLabel                       // cHost without "-" and "."
	cDigit                       // 0-9
	cHex                         // 0-9 a-f A-F
	cAlpha                       // a-z A-Z
	cScheme                      // what may follow the first letter of a URI scheme
	cSpace                       // SP, HTAB, CR, LF: linear white space once folds have been checked
	cQuoted                      // what needs no backslash in a quoted-string, folds included
	cName                        // what a display name in quotes nearly always is made of: token and SP
	cPhone                       // digits and visual separators of RFC 3966, and "*" "#" of local numbers
)

const (
	digits     = "0123456789"
	letters    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alphanum   = digits + letters
	unreserved = alphanum + "-_.!~*'()"
)

// class maps a byte to the classes it belongs to.
var class = makeClass()

func makeClass() (t [256]uint32) {
	for _, c := range []struct {
		bit   uint32
		chars string
	}{
		{cToken, alphanum + "-.!%*_+`'~"},
		{cWord, alphanum + "-.!%*_+`'~()<>:\\\"/[]?{}"},
		{cUser, unreserved + "&=+$,;?/"},
		{cPassword, unreserved + "&=+$,"},
		{cParam, unreserved + "[]/:&+$"},
		{cHeader, unreserved + "[]/?:+$"},
		{cURIC, unreserved + ";/?:@&=+$,[]"},
		{cHost, alphanum + "-._"},
		{cLabel, alphanum + "_"},
		{cDigit, digits},
		{cHex, digits + "abcdefABCDEF"},
		{cAlpha, letters},
		{cScheme, alphanum + "+-."},
		{cSpace, " \t\r\n"},
		{cName, alphanum + "-.!%*_+`'~ "},
		{cPhone, digits + "abcdefABCDEF*#-.()"},
	} {
		for i := range len(c.chars) {
			t[c.chars[i]] |= c.bit
		}
	}
	for c := range t {
		if b := byte(c); t[b]&cSpace != 0 || !isControl(b) && b != '"' && b != '\\' {
			t[b] |= cQuoted
		}
	}
	return t
}

// is reports whether c belongs to one of the classes in mask.
func is(c byte, mask uint32) bool { return class[c]&mask != 0 }

// all reports whether b is not empty and all its bytes belong to mask.
func all(b []byte, mask uint32) bool {
	for _, c := range b {
		if class[c]&mask == 0 {
			return false
		}
	}
	return len(b) > 0
}

// lower returns c in lower case if it is an ASCII letter.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// Spells reports whether b, in any ASCII case, spells s, which is in lower case.
func Spells(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != s[i] {
			return false
		}
	}
	return true
}

// named is Spells for a constant, quick where b is in lower case.
func named(b []byte, s string) bool { return string(b) == s || Spells(b, s) }

// AppendLower appends b to dst with ASCII letters in lower case.
func AppendLower(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, lower(c))
	}
	return dst
}

// EqualFold reports whether a and b are equal without regard to ASCII case, as RFC 3261 §7.3.1 compares names and tokens.
func EqualFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

// number reads decimal digits, at least one and nothing else, into a value that stops growing above limit.
// ok is false if b is not a number; a value above limit comes back as limit + 1.
func number(b []byte, limit uint64) (n uint64, ok bool) {
	for _, c := range b {
		if !is(c, cDigit) {
			return 0, false
		}
		if n = n*10 + uint64(c-'0'); n > limit {
			n = limit + 1
		}
	}
	return n, len(b) > 0
}
