package sdp

import (
	"strings"
	"testing"
)

// sdpPart and textPart are parts of a multipart body with the boundary "b".
const (
	sdpPart  = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"
	textPart = "--b\r\nContent-Type: text/plain\r\n\r\nv=1\r\n"
)

func TestFindPart(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"application/sdp", "v=0", "v=0"},
		{"Application/SDP ; charset=x", "v=0", "v=0"},
		{" application / sdp", "v=0", "v=0"},
		{"application/\r\n\tsdp", "v=0", "v=0"},
		{"application/sdp, text/plain", "v=0", "v=0"}, // as Asterisk reads it
		{"application/sdpx", "v=0", "v=0"},
		{"application/sd", "v=0", "-"},
		{"application", "v=0", "-"},
		{"multipart / mixed;boundary=b", sdpPart + "--b--", "v=0"},
		{"text/plain", sdpPart, "-"},
		{"", "v=0", "-"},
		{"multipart/mixed;boundary=b", sdpPart + "--b--", "v=0"},
		{"multipart/mixed;boundary=b", sdpPart + "--b--\r\n", "v=0"},
		{"Multipart/Related; type=\"application/sdp\"; Boundary=\"b\"", "\r\n" + sdpPart + "--b--\r\nepilogue", "v=0"},
		{"multipart/mixed;boundary=b", "preamble\r\n" + textPart + sdpPart + textPart + "--b--", "v=0"},
		{"multipart/mixed;boundary=b", "--b \t\r\nX: y\r\ncontent-type:application/SDP;x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nv=0\r\n\r\n--b-- \r\n", "v=0\r\n"},
		{"multipart/mixed;boundary=b", "--b\r\nContent-Type: application/sdp\r\n\r\n\r\n--b--", ""},
		{"multipart/mixed;boundary=b", "--b\r\nContent-Type: text/plain\r\n\r\n--b--", "-"},
		{"multipart/mixed;boundary=b", "--b\r\n\r\nno fields\r\n--b\r\n--b--", "-"},
		{"multipart/mixed;boundary=b", textPart + "--b--", "-"},
		{"multipart/mixed;boundary=\"a b;=\"", strings.ReplaceAll(sdpPart+"--b--", "--b", "--a b;="), "v=0"},
	} {
		at, end, found, err := FindPart([]byte(c.kind), []byte(c.body))
		if err != nil || found != (c.want != "-") || found && c.body[at:end] != c.want {
			t.Errorf("%s: %d to %d, %v, %v\n%q", c.kind, at, end, found, err, c.body)
		}
	}
}

func TestFindPartRefused(t *testing.T) {
	const kind = "multipart/mixed;boundary=b"
	for _, c := range []struct {
		kind, body string
		want       Error
	}{
		{"multipart/mixed", sdpPart + "--b--", ErrMultipart},
		{"multipart/mixed;boundary=", sdpPart + "--b--", ErrMultipart},
		{"multipart/mixed;boundary=b;boundary=c", sdpPart + "--b--", ErrMultipart},
		{"multipart/mixed;boundary=\"b", sdpPart + "--b--", ErrMultipart},
		{"multipart/mixed;boundary=\"b\" x", sdpPart + "--b--", ErrMultipart},
		{"multipart/mixed;boundary=\"b\\\"\"", sdpPart + "--b--", ErrMultipart},
		{"multipart/mixed;x;boundary=b", sdpPart + "--b--", ErrMultipart},
		{"multipart/mixed;boundary=" + strings.Repeat("b", 71), sdpPart + "--b--", ErrMultipart},
		{kind, "", ErrMultipart},
		{kind, "v=0", ErrMultipart},
		{kind, "--b--", ErrMultipart},
		{kind, sdpPart, ErrMultipart},
		{kind, sdpPart + "--b", ErrMultipart},
		{kind, sdpPart + "--b-", ErrMultipart},
		{kind, sdpPart + "--b--x", ErrMultipart},
		{kind, sdpPart + "--bb\r\n\r\nx\r\n--b--", ErrMultipart},
		{kind, sdpPart + "--b--\r\n" + sdpPart + "--b--", ErrMultipart},
		{kind, strings.ReplaceAll(sdpPart+"--b--", "\r\n", "\n"), ErrMultipart},
		{kind, strings.Replace(textPart, "v=1", "\n--b\r\n", 1) + "--b--", ErrMultipart},
		{kind, textPart + "x--b\r\n--b--", ErrMultipart},
		{kind, strings.Replace(sdpPart, ": ", ":\r\n ", 1) + "--b--", ErrMultipart},
		{kind, strings.Replace(sdpPart, "Content-Type", "Content-Type ", 1) + "--b--", ErrMultipart},
		{kind, strings.Replace(sdpPart, "Content-Type", "Content-Type: text/plain\r\nContent-Type", 1) + "--b--", ErrMultipart},
		{kind, strings.Replace(sdpPart, "application/sdp", "a\nContent-Type: application/sdp", 1) + "--b--", ErrMultipart},
		{kind, strings.Replace(sdpPart, "application/sdp", "multipart/mixed;boundary=c", 1) + "--b--", ErrMultipart},
		{kind, strings.Repeat(textPart, maxParts) + sdpPart + "--b--", ErrMultipart},
		{kind, "--b\r\nContent-Type: application/sdp\r\n\r\n--b--", ErrMultipart},
		{kind, sdpPart + sdpPart + "--b--", ErrPartCount},
		{kind, strings.Replace(sdpPart, "\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1) + "--b--", ErrPartEncoding},
		{kind, strings.Replace(sdpPart, "\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n", 1) + "--b--", ErrPartEncoding},
	} {
		if at, end, found, err := FindPart([]byte(c.kind), []byte(c.body)); err != c.want || found {
			t.Errorf("%s: %d to %d, %v, %v, want %v\n%q", c.kind, at, end, found, err, c.want, c.body)
		}
	}
}
