package seal

import (
	"bytes"
	"testing"
)

// TestRoom: what is appended changes nothing before it, and nothing behind it but so many bytes as are promised, also where a token is refused. Where there is too little room for that,
// the room stays as it is.
func TestRoom(t *testing.T) {
	keys := openKeys(t)
	use := keys.Use("room")
	for n := range 100 {
		plain := bytes.Repeat([]byte{'p'}, n)
		text, token, other := AppendText(nil, plain), keys.Seal(nil, plain, []byte("a"), nil), use.Seal(nil, plain)
		forged := bytes.Clone(token)
		forged[len(forged)/2] ^= 1
		for name, c := range map[string]struct {
			behind int
			call   func(dst []byte) []byte
		}{
			"AppendText":  {slack, func(dst []byte) []byte { return AppendText(dst, plain) }},
			"AppendBytes": {slack, func(dst []byte) []byte { dst, _ = AppendBytes(dst, text); return dst }},
			"no text":     {slack, func(dst []byte) []byte { dst, _ = AppendBytes(dst, append(text, '=')); return dst }},
			"Seal":        {slack, func(dst []byte) []byte { return keys.Seal(dst, plain, []byte("a"), nil) }},
			"Use.Seal":    {slack, func(dst []byte) []byte { return use.Seal(dst, plain) }},
			"Open":        {OpenRoom, func(dst []byte) []byte { dst, _ = keys.Open(dst, token, []byte("a"), nil); return dst }},
			"Use.Open":    {OpenRoom, func(dst []byte) []byte { dst, _ = use.Open(dst, other); return dst }},
			"forged":      {OpenRoom + n, func(dst []byte) []byte { dst, _ = keys.Open(dst, forged, []byte("a"), nil); return dst }},
			"not ours":    {OpenRoom + n, func(dst []byte) []byte { dst, _ = use.Open(dst, bytes.Repeat([]byte{'='}, len(other))); return dst }},
		} {
			room := bytes.Repeat([]byte{0xa5}, 400)
			out := c.call(room[:20])
			if end := len(out) + c.behind; &out[0] != &room[0] || untouched(room[:20]) < 20 || untouched(room[end:]) < len(room)-end {
				t.Fatalf("%s, %d bytes: %d of 20 before and %d of %d behind stay", name, n, untouched(room[:20]), untouched(room[end:]), len(room)-end)
			}
			least := len(out) + c.behind
			if name == "forged" || name == "not ours" || name == "no text" {
				continue
			}
			room = bytes.Repeat([]byte{0xa5}, 400)
			if got := c.call(room[: 20 : least-1]); untouched(room) < len(room) || !bytes.Equal(got[20:], out[20:]) {
				t.Fatalf("%s, %d bytes: too little room is written to", name, n)
			}
		}
	}
}

// untouched is how many bytes of room are as they were.
func untouched(room []byte) int { return bytes.Count(room, []byte{0xa5}) }
