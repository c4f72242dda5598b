package main

import (
	"bytes"
	"strings"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// A difference is one change that explain tells.
type difference struct {
	Field string `json:"field"`
	Why   string `json:"why"`
}

// part is one field of a message.
type part struct{ name, value string }

// changesOf tells what differs between a message as it came from that side and as it leaves.
func changesOf(before, after []byte, from edge.Side) []difference {
	first, was, oldBody := takeApart(before)
	then, is, newBody := takeApart(after)
	var all []difference
	if first != then {
		all = append(all, difference{"first line", "the Request-URI is what the token stands for, or the phone's own"})
	}
	done := map[string]bool{}
	for _, p := range append(was, is...) {
		if done[p.name] {
			continue
		}
		done[p.name] = true
		old, now := valuesOf(was, p.name), valuesOf(is, p.name)
		if why := reason(p.name, old, now, from); why != "" {
			all = append(all, difference{p.name, why})
		}
	}
	switch {
	case oldBody == newBody:
	case newBody == "":
		all = append(all, difference{"body", "taken out: its type is on no list, it names the inside, it can't be read, or it describes a session and answers nothing"})
	case strings.Contains(oldBody, "v=0") && strings.Contains(newBody, "v=0"):
		all = append(all, difference{"body", "the session description is ringwall's own; its ports are examples"})
	case from == edge.Inside:
		all = append(all, difference{"body", "hosts replaced; targets and Call-IDs masked"})
	default:
		all = append(all, difference{"body", "tokens put right"})
	}
	return all
}

// takeApart takes a message apart; names are canonical.
func takeApart(raw []byte) (first string, fields []part, body string) {
	head, rest, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	for i, line := range strings.Split(string(head), "\r\n") {
		if i == 0 {
			first = line
			continue
		}
		name, value, found := strings.Cut(line, ":")
		if !found || line[0] == ' ' || line[0] == '\t' { // folded
			if n := len(fields); n > 0 {
				fields[n-1].value += " " + strings.TrimSpace(line)
			}
			continue
		}
		name = strings.TrimSpace(name)
		if id := sip.FieldOf([]byte(name)); id != sip.FieldOther {
			name = id.String()
		}
		fields = append(fields, part{name, strings.TrimSpace(value)})
	}
	return first, fields, string(rest)
}

func valuesOf(fields []part, name string) (all []string) {
	for _, f := range fields {
		if f.name == name {
			all = append(all, f.value)
		}
	}
	return all
}

// outwards says why a field from inside is another one outside; inwards the reverse.
var (
	outwards = map[string]string{
		"Via": "ours alone; the others wait with the transaction", "Record-Route": "ours alone; its token holds the others",
		"Route": "the one that named us is done", "Call-ID": "masked", "From": "host replaced", "To": "host replaced", "Contact": "a token of ours",
		"Refer-To": "a token of ours", "Referred-By": "host replaced", "Reply-To": "host replaced", "Replaces": "Call-ID masked", "Join": "Call-ID masked",
		"Target-Dialog": "Call-ID masked", "In-Reply-To": "Call-IDs masked", "Server": "identity.server", "User-Agent": "identity.server",
		"Reason": "protocol and cause only", "Retry-After": "the seconds only",
	}
	inwards = map[string]string{
		"Via": "ours on top, and the source in the sender's", "Record-Route": "ours on top", "Route": "the proxies inside, from the token", "Call-ID": "unmasked",
		"From": "host put back", "To": "host put back", "Contact": "put right", "Refer-To": "the target that the token stands for", "Replaces": "Call-ID unmasked",
		"Join": "Call-ID unmasked", "Target-Dialog": "Call-ID unmasked", "In-Reply-To": "Call-IDs unmasked",
	}
)

// reason says why a field changed, "" if it did not.
func reason(name string, old, now []string, from edge.Side) string {
	if strings.Join(old, "\n") == strings.Join(now, "\n") {
		return ""
	}
	words := outwards
	if from == edge.Outside {
		words = inwards
	}
	switch {
	case name == "Max-Forwards" && len(old) > 0:
		return "one less"
	case name == "Content-Length":
		return "that of the body sent"
	case words[name] != "" && len(now) > 0:
		return words[name]
	case len(now) == 0 && (name == "Via" || name == "Route"):
		return words[name]
	case len(now) == 0 && from == edge.Inside:
		return "removed: not on the list of what leaves"
	case len(now) == 0:
		return "removed: not for outside to say"
	case len(old) == 0:
		return "added"
	case len(now) < len(old):
		return "some removed"
	}
	return "changed"
}
