package sip

import (
	"fmt"
	"strings"
	"testing"
)

// frames cuts stream, handed over in pieces that end at the offsets in cuts, and describes what came out.
func frames(stream []byte, max int, cuts ...int) string {
	f := Framer{Max: max}
	got := ""
	at := 0
	for _, end := range append(cuts, len(stream)) {
		for {
			kind, n, err := f.Next(stream[at:end])
			if err != nil {
				return got + "!"
			}
			if kind == FrameMore {
				break
			}
			got += fmt.Sprintf("%d:%d ", kind, n)
			at += n
		}
	}
	return got + fmt.Sprintf("+%d", len(stream)-at)
}

func TestFramer(t *testing.T) {
	one := message(optionsLine, "\r\n")
	four := message(optionsLine, "l:4\r\n\r\nfour", "Content-Length")
	for _, c := range []struct{ in, want string }{
		{"", "+0"},
		{one, fmt.Sprintf("1:%d +0", len(one))},
		{one + four + "\r\n" + one, fmt.Sprintf("1:%d 1:%d 3:2 1:%d +0", len(one), len(four), len(one))},
		{"\r\n\r\n" + one, fmt.Sprintf("2:4 1:%d +0", len(one))},
		{"\r\n", "+2"}, {"\r\n\r", "+3"}, {"\r", "+1"},
		{"\r\n\rx", "3:2 !"}, {"\rx", "!"}, {"\nx", "!"}, {"\x16\x03\x01", "!"}, {" x", "!"}, {"\x00", "!"},
		{"GET / HTTP/1.1\r\n", "!"}, {"SIP/2.0 200 OK\r\nl: 0\r\n\r\nrest", "1:24 +4"}, {"SIP/2.0 200 OK\r\nl: 0\r\n\r\n\x00", "1:24 !"}, {strings.Repeat("A", MaxMethod+1), "!"},
		{message(optionsLine, "\r\n", "Content-Length"), "!"},
		{"OPTIONS sip:a SIP/2.0\r\nX: y\nl: 0\r\n\r\n", "!"},
		{"OPTIONS sip:a SIP/2.0\r\n" + strings.Repeat("X: y\r\n", 2000), "!"},
		{four[:len(four)-1], fmt.Sprintf("+%d", len(four)-1)},
	} {
		if got := frames([]byte(c.in), 4096); got != c.want {
			t.Errorf("%.60q: got %q, want %q", c.in, got, c.want)
		}
	}
}

// TestFramerLength runs S11 to S15 over a stream: one decision, or an error as soon as the header is complete.
func TestFramerLength(t *testing.T) {
	const head, body = "OPTIONS sip:a SIP/2.0\r\n", "INVITE sip:evil SIP/2.0\r\n\r\n"
	size := len(body)
	for _, c := range []struct {
		row, lines string
		want       error
	}{
		{"S11/equal", fmt.Sprintf("Content-Length: %d\r\nl:%d\r\n", size, size), nil},
		{"S11/different", fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n", size), ErrContentLengthDiffers},
		{"S11/compact", fmt.Sprintf("l: 0\r\nContent-Length: %d\r\n", size), ErrContentLengthDiffers},
		{"S11/case", fmt.Sprintf("CONTENT-length : %d\r\nL\t:0\r\n", size), ErrContentLengthDiffers},
		{"S12/2^32", "Content-Length: 4294967296\r\n", ErrContentLength},
		{"S12/2^64+5", "Content-Length: 18446744073709551621\r\n", ErrContentLength},
		{"S12/1 GB", "Content-Length: 1073741824\r\n", ErrTooLarge},
		{"S13/-1", "Content-Length: -1\r\n", ErrContentLength},
		{"S13/+5", "Content-Length: +5\r\n", ErrContentLength},
		{"S13/list", "Content-Length: 5, 5\r\n", ErrContentLength},
		{"S13/empty", "Content-Length:\r\n", ErrContentLength},
		{"S13/NUL", "Content-Length: 5\x00\r\n", ErrContentLength},
		{"S14/fold", "Content-Length: 0\r\n 5\r\n", ErrContentLength},
		{"S14/leading fold", "Content-Length:\r\n 5\r\n", ErrContentLength},
		{"S14/in a fold", fmt.Sprintf("Subject: x\r\n Content-Length: 0\r\nl: %d\r\n", size), nil},
		{"S14/bare LF", "Subject: x\nContent-Length: 0\r\n", ErrBareLF},
		{"S15/missing", "Subject: x\r\n", ErrContentLengthMissing},
	} {
		t.Run(c.row, func(t *testing.T) {
			f := Framer{Max: MaxBody}
			raw := []byte(head + c.lines + "\r\n" + body)
			kind, n, err := f.Next(raw)
			if err != c.want || err == nil && (kind != FrameMessage || n != len(raw)) {
				t.Fatalf("got %d, %d, %v; want %v", kind, n, err, c.want)
			}
			if err != nil && !err.(Error).Framing() {
				t.Errorf("%v leaves no doubt", err)
			}
		})
	}
}

// TestFramerAgrees asserts that Parse refuses what the framer cuts wherever the two could read lines differently.
func TestFramerAgrees(t *testing.T) {
	for row, cases := range rows() {
		for _, c := range cases {
			raw := []byte(c.raw)
			f := Framer{Max: MaxBody}
			kind, n, err := f.Next(raw)
			if kind != FrameMessage || err != nil {
				continue
			}
			var m Message
			if m.Parse(raw[:n], false) == nil && c.want != errNone {
				t.Errorf("%s/%s: accepted on a stream: %.200q", row, c.name, raw[:n])
			}
		}
	}
}

// FuzzFramer asserts that every way to cut the stream into pieces gives the same frames.
func FuzzFramer(f *testing.F) {
	f.Add([]byte(message(optionsLine, "\r\n") + "\r\n\r\n" + message(optionsLine, "l: 2\r\n\r\nab", "Content-Length") + "\r\n"))
	f.Add([]byte("SIP/2.0 200 OK\r\nContent-Length: 0\r\n 1\r\n\r\n"))
	for _, s := range seedMessages {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 600 {
			return
		}
		whole := frames(b, 400)
		for i := range b {
			if got := frames(b, 400, i); got != whole {
				t.Fatalf("cut at %d: %q, whole: %q\n%q", i, got, whole, b)
			}
		}
		var cuts []int
		for i := range b {
			cuts = append(cuts, i)
		}
		if got := frames(b, 400, cuts...); got != whole {
			t.Fatalf("byte by byte: %q, whole: %q\n%q", got, whole, b)
		}
	})
}
