package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/sip"
)

// headers reads the section of that name.
func headers(h *Headers) reader {
	return section(
		key{"source", value(&h.Source, parseSourceField)},
		key{"from_outside", section(key{"remove", texts(&h.Remove, parseRemoved)}, key{"allow", texts(&h.Allow, parseAllowed)})},
		key{"to_outside", section(key{"allow", texts(&h.ToOutside, parseShown)})},
	)
}

// taken are names that headers.source cannot have, in lower case: fields that SIP or its routing gives a meaning.
var taken = []string{"via", "from", "to", "call-id", "cseq", "max-forwards", "contact", "route", "record-route", "path",
	"content-length", "content-type", "content-encoding", "content-disposition", "expires", "authorization",
	"proxy-authorization", "www-authenticate", "proxy-authenticate", "require", "proxy-require", "supported",
	"unsupported", "allow", "service-route", "max-breadth", "refer-to", "replaces", "event", "date", "identity"}

// needed are fields that no message, call or registration can be without.
var needed = []sip.FieldID{sip.FieldVia, sip.FieldFrom, sip.FieldTo, sip.FieldCallID, sip.FieldCSeq, sip.FieldMaxForwards, sip.FieldContact,
	sip.FieldRoute, sip.FieldRecordRoute, sip.FieldContentLength, sip.FieldContentType, sip.FieldRequire, sip.FieldProxyRequire,
	sip.FieldRAck, sip.FieldRSeq}

// parseSourceField reads the name of the field that carries the real source.
func parseSourceField(s string) (string, error) {
	if s == "none" {
		return "", nil
	}
	if _, err := parseField(s); err != nil {
		return "", wrong{message: err.Error(), hint: "write X-Source, or none"}
	}
	if len(s) < 2 {
		return "", wrongf("write X-Source, or none", "%s is not from 2 to 64 characters long", quoted(s))
	}
	if slices.Contains(taken, strings.ToLower(s)) {
		return "", wrongf("choose a name of your own, such as X-Source", "%s means something else in SIP", s)
	}
	return s, nil
}

// parseField reads the name of a header field.
func parseField(s string) (string, error) {
	const hint = "write a name such as X-Internal, without the colon"
	for _, b := range []byte(s) {
		if !isAlnum(b) && !strings.ContainsRune("-.!%*_+`'~", rune(b)) {
			return "", wrongf(hint, "%s is not the name of a header field (RFC 3261 §25.1 token)", quoted(s))
		}
	}
	if s == "" || len(s) > 64 {
		return "", wrongf(hint, "%s is not from 1 to 64 characters long", quoted(s))
	}
	return s, nil
}

// parseRemoved reads the name of a field that goes whoever sends it.
func parseRemoved(s string) (string, error) {
	if slices.Contains(needed, sip.FieldOf([]byte(s))) {
		return "", wrongf("take it out of the list", "SIP does not work without %s", longName(s))
	}
	return parseField(s)
}

// parseAllowed reads the name of a field that strangers may send.
func parseAllowed(s string) (string, error) {
	switch sip.FieldOf([]byte(s)) {
	case sip.FieldRoute, sip.FieldRecordRoute, sip.FieldPath, sip.FieldServiceRoute:
		return "", wrongf("make who needs it a peer", "%s would let strangers choose the way of calls inside", longName(s))
	}
	return parseField(s)
}

// parseShown reads the name of a field of the platform that leaves besides those of the built-in list.
func parseShown(s string) (string, error) {
	switch sip.FieldOf([]byte(s)) {
	case sip.FieldVia, sip.FieldRoute, sip.FieldRecordRoute:
		return "", wrongf("take it out of the list", "%s is always hidden when the platform is", longName(s))
	}
	return parseField(s)
}

// parseFace reads what Server and User-Agent say towards outside.
func parseFace(s string) (string, error) {
	if s == "none" {
		return "", nil
	}
	for _, b := range []byte(s) {
		if b < ' ' || b > '~' {
			return "", wrongf("write none, or a text of letters and digits", "%s is not printable ASCII", quoted(s))
		}
	}
	if len(s) > 64 {
		return "", wrongf("write none, or a shorter text", "%s is longer than 64 characters", quoted(s))
	}
	return s, nil
}

// parseBody reads the type of a body that leaves.
func parseBody(s string) (string, error) {
	kind, sub, found := strings.Cut(strings.ToLower(s), "/")
	for _, name := range []string{kind, sub} {
		if _, err := parseField(name); err != nil || !found {
			return "", wrongf("write a type such as application/isup, without parameters", "%s is not the type of a body", quoted(s))
		}
	}
	if kind == "multipart" {
		return "", wrongf("name the types of its parts", "%s is looked into part by part", quoted(s))
	}
	return kind + "/" + sub, nil
}

// longName is the name of a field where it has several, in small letters where it is not known.
func longName(s string) string {
	if id := sip.FieldOf([]byte(s)); id != sip.FieldOther {
		return id.String()
	}
	return strings.ToLower(s)
}

// checkHeaders finds fields that stand twice in headers.from_outside, in any spelling, or that are the edge's own.
func (c *Config) checkHeaders() Errors {
	var all Errors
	lists := []struct {
		path  string
		names []string
	}{{"headers.from_outside.remove", c.Headers.Remove}, {"headers.from_outside.allow", c.Headers.Allow}}
	seen := map[string]string{}
	for _, l := range lists {
		for i, name := range l.names {
			at := fmt.Sprintf("%s[%d]", l.path, i)
			long := longName(name)
			if where, again := seen[long]; name != "" && again {
				all = append(all, c.Fault(at, name+" stands in "+where+", too", "keep one of the two")...)
			}
			seen[long] = l.path
			if name != "" && l.path == lists[1].path && long == longName(c.Headers.Source) {
				all = append(all, c.Fault(at, name+" is headers.source: what outside writes there is a forgery", "take it out of the list")...)
			}
		}
	}
	return all
}
