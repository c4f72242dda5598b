package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// httpGet PATH STATUS TEXT… asks the admin port of $ADMIN and wants this status and these texts in the body.
func httpGet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: http PATH STATUS [TEXT…]")
	}
	client := http.Client{Timeout: scriptDeadline, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + ts.Getenv("ADMIN") + args[0])
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if strconv.Itoa(resp.StatusCode) != args[1] {
		ts.Fatalf("%s: status %d, want %s\n%s", args[0], resp.StatusCode, args[1], body)
	}
	for _, text := range args[2:] {
		if !strings.Contains(string(body), text) {
			ts.Fatalf("%s: no %q in\n%s", args[0], text, body)
		}
	}
}

// sipSend FILE [STATUS] sends a file as one SIP datagram to $OUT and wants an answer with this status; without one it waits
// for nothing. Responses to earlier datagrams of the script are told apart by their branch.
func sipSend(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: sip FILE [STATUS]")
	}
	c, err := net.Dial("udp", ts.Getenv("OUT"))
	ts.Check(err)
	ts.Defer(func() { _ = c.Close() })
	text := os.Expand(ts.ReadFile(args[0]), func(name string) string {
		if name == "SOURCE" {
			return c.LocalAddr().String()
		}
		return ts.Getenv(name)
	})
	_, err = io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n"))
	ts.Check(err)
	if len(args) == 1 {
		return
	}
	ts.Check(c.SetReadDeadline(time.Now().Add(scriptDeadline)))
	answer := make([]byte, 65535)
	n, err := c.Read(answer)
	ts.Check(err)
	if want := "SIP/2.0 " + args[1] + " "; !strings.HasPrefix(string(answer[:n]), want) {
		ts.Fatalf("answered with\n%s\nwant %s", answer[:n], want)
	}
}

// mode FILE MODE wants these permission bits.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE MODE")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// expandFile FILE… replaces $NAME in files by the script's environment.
func expandFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: expand FILE…")
	}
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}
