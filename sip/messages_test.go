package sip

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A messageFile is a message of testdata/messages with what it expects: "ok" and defects, or the id of an error.
//
// Such a file begins with lines of "# …" that say what it is about, then "want: …" and perhaps "stream", then an empty
// line. Each line after that is a line of the message: Go escapes in it are undone and CRLF follows, unless it ends in
// "\c". "{body}" stands for the length of what follows the first empty line.
type messageFile struct {
	name   string
	want   string
	stream bool
	raw    []byte
}

func messageFiles(t testing.TB) (list []messageFile) {
	files, err := filepath.Glob(filepath.Join("testdata", "messages", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("messages in testdata: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := messageFile{name: strings.TrimSuffix(filepath.Base(file), ".txt")}
		head, lines, _ := strings.Cut(string(text), "\n\n")
		for line := range strings.Lines(head + "\n") {
			if want, ok := strings.CutPrefix(line, "want: "); ok {
				c.want = strings.TrimSpace(want)
			}
			c.stream = c.stream || line == "stream\n"
		}
		if c.raw, err = unescape(lines); err != nil || c.want == "" {
			t.Fatalf("%s: want %q, %v", file, c.want, err)
		}
		list = append(list, c)
	}
	return list
}

func unescape(text string) ([]byte, error) {
	var out []byte
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line, open := strings.CutSuffix(lines.Text(), `\c`)
		for line != "" {
			if line[0] != '\\' {
				out, line = append(out, line[0]), line[1:]
				continue
			}
			c, multibyte, rest, err := strconv.UnquoteChar(line, 0)
			if err != nil {
				return nil, err
			}
			if line = rest; multibyte {
				out = append(out, string(c)...)
			} else {
				out = append(out, byte(c))
			}
		}
		if !open {
			out = append(out, "\r\n"...)
		}
	}
	if _, body, ok := bytes.Cut(out, []byte("\r\n\r\n")); ok {
		out = bytes.Replace(out, []byte("{body}"), strconv.AppendInt(nil, int64(len(body)), 10), 1)
	}
	return out, lines.Err()
}

// TestMessages parses the messages of testdata/messages, which cover the kinds of RFC 4475 and RFC 5118.
func TestMessages(t *testing.T) {
	for _, c := range messageFiles(t) {
		t.Run(c.name, func(t *testing.T) {
			var m Message
			err := m.Parse(c.raw, !c.stream)
			got := strings.TrimSpace("ok " + m.Defects.String())
			if err != nil {
				got = err.(Error).ID()
				if m.Replyable() {
					got += " replyable"
				}
			}
			if got != c.want {
				t.Fatalf("got %q at %d, want %q\n%q", got, m.ErrorAt(), c.want, c.raw)
			}
			compare(t, c.raw, !c.stream)
		})
	}
}
