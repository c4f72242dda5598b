package scrub

import (
	"bytes"
	"strings"

	"github.com/ringwall/ringwall/sip"
)

// A form is what fields consist of whose RFCs leave little to choose. Anything else in them serves only who wants to know what the platform is, and goes.
type form struct {
	names        string // of the fields
	list         bool   // they hold several values; one that does not keep to the form goes as a whole. Else parameters go one by one
	value, param func(part []byte) bool
}

var (
	answers   = oneOf("manual", "auto")
	codings   = oneOf("gzip", "compress", "deflate", "identity", "br", "zstd", "*")
	privacies = oneOf("header", "session", "user", "none", "critical", "id", "history")
	uses      = oneOf("session", "early-session", "render", "icon", "alert", "signal", "aib", "by-reference", "info-package", "inline", "attachment", "recipient-list",
		"recipient-list-history")
	wishes = oneOf("proxy", "redirect", "cancel", "no-cancel", "fork", "no-fork", "recurse", "no-recurse", "parallel", "sequential", "queue", "no-queue")
	ends   = oneOf("deactivated", "probation", "rejected", "timeout", "giveup", "noresource", "invariant", "badfilter")
)

// forms are those of RFC 3261 §20, RFC 3840 §10, RFC 3841 §10, RFC 4028 §4, RFC 5373 §4, RFC 5009 §8, RFC 6086 §7, RFC 6665 §8.2 and others.
var forms = [...]form{
	{"accept-encoding content-encoding", true, codings, quality},
	{"accept-language content-language", true, language, quality},
	{"answer-mode priv-answer-mode", false, answers, oneOf("require")},
	{"content-disposition", false, uses, handling},
	{"expires min-expires flow-timer max-breadth rseq", false, number, none},
	{"info-package", false, infoPackage, none},
	{"mime-version", false, oneOf("1.0"), none},
	{"min-se session-expires", false, number, refresher},
	{"p-early-media", true, oneOf("supported", "sendrecv", "sendonly", "recvonly", "inactive", "gated"), none},
	{"priority", false, oneOf("emergency", "urgent", "normal", "non-urgent", "psap-callback"), none},
	{"privacy", false, privacies, privacies},
	{"recv-info", true, infoPackage, none},
	{"refer-sub", false, oneOf("true", "false"), none},
	{"request-disposition", true, wishes, none},
	{"subscription-state", false, oneOf("active", "pending", "terminated"), ending},
}

// setForms has the fields of forms leave in their form.
func (p *Policy) setForms() {
	for k := range forms {
		for name := range strings.FieldsSeq(forms[k].names) {
			p.set(name, formed+audience(k))
		}
	}
}

// trim leaves of field i what keeps to the form.
func (f *form) trim(e *sip.Edit, i int, value []byte) {
	if f.list {
		trimList(e, i, nil, value, ", ", f.keeps)
		return
	}
	first, rest := cutPart(value, ';')
	if first = bytes.TrimSpace(first); !f.value(first) {
		e.Remove(i)
		return
	}
	var room [128]byte
	out, lost := append(room[:0], first...), false
	for len(rest) > 0 {
		var part []byte
		part, rest = cutPart(rest, ';')
		if part = bytes.TrimSpace(part); f.param(part) {
			out = append(append(out, ';'), part...)
		} else {
			lost = true
		}
	}
	if lost {
		e.Replace(i, out)
	}
}

// keeps reports whether one value of a list keeps to the form.
func (f *form) keeps(one []byte) bool {
	first, rest := cutPart(one, ';')
	ok := f.value(bytes.TrimSpace(first))
	for ok && len(rest) > 0 {
		var part []byte
		part, rest = cutPart(rest, ';')
		ok = f.param(bytes.TrimSpace(part))
	}
	return ok
}

func oneOf(words ...string) func([]byte) bool {
	return func(part []byte) bool { return among(part, words) }
}

func among(part []byte, words []string) bool {
	for _, word := range words {
		if len(word) == len(part) && sip.EqualFold(part, []byte(word)) {
			return true
		}
	}
	return false
}

func none([]byte) bool { return false }

// pair is a parameter: its name and what stands behind the equals sign.
func pair(param []byte) (name, value []byte) {
	name, value, _ = bytes.Cut(param, []byte{'='})
	return bytes.TrimSpace(name), bytes.TrimSpace(value)
}

// quality is q of RFC 3261 §25.1: at most "0.123".
func quality(param []byte) bool {
	name, value := pair(param)
	whole, part, _ := bytes.Cut(value, []byte{'.'})
	return among(name, []string{"q"}) && number(whole) && len(value) < 6 && (len(part) == 0 || number(part))
}

func refresher(param []byte) bool {
	name, value := pair(param)
	return among(name, []string{"refresher"}) && among(value, []string{"uac", "uas"})
}

func handling(param []byte) bool {
	name, value := pair(param)
	return among(name, []string{"handling"}) && among(value, []string{"required", "optional"})
}

// ending is what a Subscription-State says besides: until when, or why no more.
func ending(param []byte) bool {
	name, value := pair(param)
	return among(name, []string{"expires", "retry-after"}) && number(value) || among(name, []string{"reason"}) && ends(value)
}

// language reports whether tag is one of RFC 5646, of up to five parts: letters and digits, up to eight of them, with hyphens between.
func language(tag []byte) bool {
	if len(tag) == 1 && tag[0] == '*' {
		return true
	}
	parts := 0
	for part := range bytes.SplitSeq(tag, []byte{'-'}) {
		if parts++; parts > 5 || !word(part) || len(part) > 8 || parts == 1 && (len(part) > 3 || bytes.ContainsAny(part, "0123456789")) {
			return false
		}
	}
	return parts > 0
}

// infoPackage reports whether name is of no maker's own: a word, or one of a standard's under "g." (RFC 6086 §10.9).
func infoPackage(name []byte) bool {
	return len(name) > 0 && !begins(name, "x-") && (bytes.IndexByte(name, '.') < 0 || begins(name, "g.")) && bytes.IndexByte(name, '"') < 0
}

func word(part []byte) bool {
	for _, c := range part {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(part) > 0
}
